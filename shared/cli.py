"""The `twinscore` command. Each command is imported when it is called, so that none pays for another's libraries."""

from __future__ import annotations

import importlib
from typing import Any

import click

from shared import __version__
from shared.contract.errors import UserError

COMMANDS = {
    "bench": "shared.commands.bench:bench",
    "compare": "shared.commands.compare:compare",
    "features": "shared.commands.features:features",
    "import": "shared.commands.import_model:import_model",
    "key": "shared.commands.key:key",
    "models": "shared.commands.models:models",
    "replay": "shared.commands.replay:replay",
    "score": "shared.commands.score:score",
    "serve": "shared.commands.serve:serve",
    "settings": "shared.commands.settings:settings",
    "simulate": "shared.commands.simulate:simulate",
    "soak": "shared.commands.soak:soak",
    "train": "shared.commands.train:train",
    "verify": "shared.commands.verify:verify",
}


class Refusal(click.ClickException):
    """A UserError as click shows it: one line, exit code 2."""

    exit_code = 2


class LazyGroup(click.Group):
    """Commands by the names of their modules."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            raise Refusal(str(error)) from None


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="twinscore")
def main() -> None:
    """One fraud-scoring contract, two interchangeable services: BentoML and FastAPI."""


if __name__ == "__main__":
    main()
