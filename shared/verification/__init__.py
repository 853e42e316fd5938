"""Checking a service, any service, against the contract vectors: what `twinscore verify` and `tests/contract` run."""
