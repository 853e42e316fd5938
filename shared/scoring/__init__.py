"""Scoring a file of transactions over the wire: a client of the contract, with no model and no framework."""
