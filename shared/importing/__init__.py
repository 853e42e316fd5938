"""Bringing your own model: from a pickled or saved XGBoost classifier to a model package.

`unpickle` is the one place in the project that unpickles. Needs the `train` extra; never imported when serving.
"""
