"""`twinscore settings`."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table

from shared.serving.settings import PREFIX, Settings, load_settings, misspelt


@click.command()
def settings() -> None:
    """Print every setting, its value and its meaning."""
    values = load_settings()
    table = Table("variable", "value", "default", "meaning", box=None, pad_edge=False)
    for name, field in Settings.model_fields.items():
        value = getattr(values, name)
        table.add_row(PREFIX + name.upper(), _show(value), _show(field.default), field.description or "")
    Console(width=None).print(table)
    for name, meant in misspelt().items():
        click.echo(f"{name} is no setting and changes nothing; {meant} is one", err=True)


def _show(value: object) -> str:
    return "-" if value is None else str(value)
