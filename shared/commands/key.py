"""`twinscore key`."""

from __future__ import annotations

import click

from shared.contract.errors import UserError
from shared.serving.keys import new_key


@click.command()
@click.argument("comment", required=False, default="")
def key(comment: str) -> None:
    """Make an API key. The key goes to the client, the line into the file named by TWINSCORE_API_KEYS_FILE."""
    if not comment.isprintable():
        raise UserError("the comment stands in one line of the file of keys: give printable text without line breaks")
    made, line = new_key()
    click.echo(f"key:  {made}")
    click.echo(f"line: {line} {comment}".rstrip())
