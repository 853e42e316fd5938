# ruff: noqa: T201
"""What a notebook does: a table, a classifier, a joblib file. Run it as a script, or cell by cell in an editor.

It writes model.joblib and orders.csv into build/own-model.
"""

# %% A table: orders of an online shop, one in eight fraudulent
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from xgboost import XGBClassifier

rng = np.random.default_rng(7)
n = 6000
orders = pd.DataFrame(
    {
        "amount": rng.lognormal(3.5, 1.0, n).round(2),
        "items": rng.integers(1, 9, n),
        "hour": rng.integers(0, 24, n),
        "account_age_days": rng.exponential(300, n).round(),
        "orders_30d": rng.poisson(1.5, n),
        "distance_km": rng.exponential(40, n).round(1),
    }
)
# Not every order has an address that could be located: a missing value, which XGBoost takes as it is.
orders.loc[rng.random(n) < 0.1, "distance_km"] = np.nan
odds = (
    0.02 * orders["amount"]
    + 0.02 * orders["distance_km"].fillna(60)
    - 0.01 * orders["account_age_days"]
    + 1.0 * (orders["hour"] < 6)
)
fraud = (odds + rng.logistic(size=n) > 3).astype(int)

# %% A classifier that stops where more trees no longer help
train, test, fraud_train, fraud_test = train_test_split(orders, fraud, test_size=0.25, random_state=7)
model = XGBClassifier(n_estimators=400, max_depth=4, learning_rate=0.1, early_stopping_rounds=20, n_jobs=1)
model.fit(train, fraud_train, eval_set=[(test, fraud_test)], verbose=False)
print(f"AUC ROC {roc_auc_score(fraud_test, model.predict_proba(test)[:, 1]):.3f}, {model.best_iteration + 1} trees")

# %% Two files: the model, and rows it will see
folder = Path("build/own-model")
folder.mkdir(parents=True, exist_ok=True)
joblib.dump(model, folder / "model.joblib")
test.to_csv(folder / "orders.csv", index=False)
print(f"{folder} has model.joblib and orders.csv ({len(test)} orders)")
