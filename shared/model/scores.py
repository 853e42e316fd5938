"""The bins in which scores are counted, in training and in service, so that the two can be compared."""

SCORE_EDGES = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Edges of the score distribution: narrow near 0, where nearly all transactions are."""
