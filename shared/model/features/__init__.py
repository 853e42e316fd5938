"""The 42 features: their definition (numbers only) and their computation from a table of transactions.

`definition` says what a row carries and imports nothing; `batch` computes all rows of a `Transactions` table.
"""
