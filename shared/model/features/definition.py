"""The 42 features by name, in the order a row carries them: one list for training, serving and the card."""

from __future__ import annotations

from dataclasses import dataclass

DAYS = (1, 7, 30)
"""Lengths, in days, of the windows a windowed feature exists for."""

DELAY_DAYS = 7
"""Days a label takes to arrive: the terminal windows end this long before the transaction."""


@dataclass(frozen=True)
class Feature:
    """One input of the model. `nullable` says whether it can be null (NaN) for want of history."""

    name: str
    description: str
    unit: str
    nullable: bool = False


def _windowed(name: str, description: str, unit: str, *, nullable: bool = False) -> tuple[Feature, ...]:
    """The feature `name` over each window; `{window}` in the description becomes the window's length."""
    return tuple(
        Feature(f"{name}_{days}d", description.format(window=f"{days} day{'s' * (days > 1)}"), unit, nullable)
        for days in DAYS
    )


_DELAYED = f"the {{window}} that ended {DELAY_DAYS} days before"

FEATURES: tuple[Feature, ...] = (
    Feature("amount", "Amount of the transaction", "currency"),
    Feature("amount_log1p", "Natural logarithm of 1 + amount", "log currency"),
    Feature("amount_is_whole", "1 if the amount has no cents, else 0", "flag"),
    Feature("is_weekend", "1 on Saturday and Sunday, else 0", "flag"),
    Feature("is_night", "1 from 00:00:00 until before 07:00:00 (clock hour <= 6), else 0", "flag"),
    Feature("hour_sin", "Sine of the time of day on a 24-hour circle", "ratio"),
    Feature("hour_cos", "Cosine of the time of day on a 24-hour circle", "ratio"),
    Feature("weekday_sin", "Sine of the day of the week on a 7-day circle, Monday = 0", "ratio"),
    Feature("weekday_cos", "Cosine of the day of the week on a 7-day circle, Monday = 0", "ratio"),
    *_windowed("customer_tx_count", "Customer's transactions in the last {window}, this one included", "count"),
    *_windowed("customer_amount_mean", "Mean amount of the customer's transactions in the last {window}", "currency"),
    *_windowed(
        "customer_amount_std",
        "Population standard deviation of the customer's amounts in the last {window}",
        "currency",
    ),
    *_windowed("customer_amount_max", "Largest of the customer's amounts in the last {window}", "currency"),
    *_windowed(
        "customer_amount_ratio",
        "Amount divided by the customer's mean amount in the last {window}; null if that mean is 0",
        "ratio",
        nullable=True,
    ),
    Feature(
        "customer_amount_zscore_30d",
        "(amount - mean) / standard deviation of the customer's amounts in the last 30 days; 0 if that is 0",
        "standard deviations",
    ),
    Feature(
        "customer_seconds_since_previous",
        "Seconds since the customer's previous transaction; null for the first",
        "seconds",
        nullable=True,
    ),
    Feature("customer_tx_count_1h", "Customer's transactions in the last hour, this one included", "count"),
    Feature("customer_amount_sum_1h", "Sum of the customer's amounts in the last hour", "currency"),
    Feature(
        "customer_new_terminal_30d",
        "1 unless the customer used this terminal before, in the last 30 days",
        "flag",
    ),
    *_windowed("terminal_tx_count", f"Terminal's transactions in {_DELAYED}", "count"),
    *_windowed(
        "terminal_amount_mean",
        f"Mean amount of the terminal's transactions in {_DELAYED}; null without any",
        "currency",
        nullable=True,
    ),
    *_windowed("terminal_fraud_count", f"Terminal's frauds in {_DELAYED}", "count"),
    *_windowed(
        "terminal_fraud_rate",
        f"Frauds divided by transactions of the terminal in {_DELAYED}; null without any",
        "ratio",
        nullable=True,
    ),
    Feature(
        "terminal_seconds_since_previous",
        "Seconds since the terminal's previous transaction (not delayed); null for the first",
        "seconds",
        nullable=True,
    ),
)

FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)
