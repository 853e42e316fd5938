"""What an extra of the package brings, asked for before anything is done."""

from __future__ import annotations

from importlib.util import find_spec

from shared.contract.errors import UserError


def require(extra: str, *modules: str) -> None:
    """Raises UserError if a module that the extra brings is not installed."""
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise UserError(f"{missing[0]} is not installed: pip install 'twinscore[{extra}]'")
