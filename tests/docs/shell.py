"""Shell commands taken apart, and each looked up: the program, its options, its files, its settings."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from shared.cli import main
from shared.commands.serve import PREFIX
from shared.contract import routes
from shared.serving.settings import Settings, load_settings
from shared.serving.supervisor import SUPERVISOR_VARIABLE
from shared.telemetry.multiprocess import DIRECTORY_VARIABLE
from tests.conftest import ROOT
from tests.docs.markdown import Block, commands

OTHER_VARIABLES = {SUPERVISOR_VARIABLE, DIRECTORY_VARIABLE, "TWINSCORE_API_KEY"}
"""Not settings of a service: what supervisors tell their children, and the key of who asks."""

SHELL_WORDS = {
    "cd",
    "export",
    "unset",
    ".",
    "source",
    "sleep",
    "wait",
    "echo",
    "printf",
    "rm",
    "cp",
    "mv",
    "mkdir",
    "cat",
}
SHELL_WORDS |= {
    "head",
    "tail",
    "grep",
    "sed",
    "sort",
    "kill",
    "test",
    "true",
    "watch",
    "for",
    "do",
    "done",
    "while",
    "until",
}
TOOLS = {
    "curl",
    "jq",
    "nc",
    "git",
    "docker",
    "kubectl",
    "haproxy",
    "promtool",
    "wrk",
    "openssl",
    "helm",
    "apt-get",
    "sh",
    "bash",
}
"""Programs that are not ours. What else a document calls is looked up, or refused here until it is known."""

PATHS = re.compile(
    r"^@?(?:\./)?((?:docs|examples|deploy|tests|shared|benchmarks|requirements|sbom|fastapi_service|bento_service)/\S+)$"
)
SPLIT = re.compile(r"\s*(?:\|\||&&|[|;&])\s*")


def simple_commands(block: Block) -> Iterator[list[str]]:
    """The words of each command, without redirections; what stands in quotes or `$(...)` is not taken apart."""
    for line in commands(block.script):
        # A command in a substitution is a command as well.
        inner = re.findall(r"\$\(([^()]*)\)", line)
        outer = re.sub(r"\$\([^()]*\)", "SUBSTITUTED", line)
        for text in (outer, *inner):
            quoted: list[str] = []

            def keep(match: re.Match[str], quoted: list[str] = quoted) -> str:
                quoted.append(match[0])
                return f"QUOTED{len(quoted) - 1}END"

            hidden = re.sub(r"'[^']*'|\"(?:\\.|[^\"\\])*\"", keep, text)
            hidden = re.sub(r"(?:^|\s)#.*$", "", hidden)
            hidden = re.sub(r"\d?(?:>>?|<)(?:&\d)?\s*[^\s&|;()]*", " ", hidden)
            for part in SPLIT.split(hidden.replace("(", " ").replace(")", " ")):
                shown = re.sub(r"QUOTED(\d+)END", lambda match, quoted=quoted: quoted[int(match[1])], part)
                words = [word for word in shlex.split(shown) if word not in ("{", "}")]
                while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                    check_variable(*words.pop(0).split("=", 1))
                if words:
                    yield words


def check_variable(name: str, value: str) -> None:
    """A setting of ours that is set in front of a command must exist and take that value."""
    if name.startswith(PREFIX) and name not in OTHER_VARIABLES:
        field = name.removeprefix(PREFIX).lower()
        assert field in Settings.model_fields, f"there is no setting {name}"
        if "$" not in value and "..." not in value:
            load_settings(**{field: value})


def check_command(words: list[str]) -> None:
    """Raises AssertionError unless the program exists, knows these options, and its files are there."""
    program, arguments = words[0].removeprefix(".venv/bin/"), words[1:]
    if program == "twinscore":
        check_twinscore(arguments)
    elif program == "make":
        for target in (word for word in arguments if "=" not in word):
            assert re.search(rf"^{re.escape(target)}:", (ROOT / "Makefile").read_text(), re.M), (
                f"make has no target {target}"
            )
    elif program in ("python", "python3.11"):
        check_python(arguments)
    elif program in ("pytest", "uvicorn", "bentoml", "ruff", "mypy", "lint-imports", "sphinx-build", "pip"):
        assert (Path(sys.executable).parent / program).exists(), f"{program} is not in the environment"
    elif "/" in program:
        assert (ROOT / program).is_file(), f"there is no {program}"
    else:
        assert program in SHELL_WORDS | TOOLS, f"{program}: not ours and not known; add it to TOOLS if it is right"
    if program == "curl":
        check_curl(arguments)
    for argument in arguments:
        match = PATHS.match(argument.partition("::")[0])
        if match and not re.search(r"[*<$]|/mine\b", match[1]):  # overlays/mine: the reader's own
            assert (ROOT / match[1]).exists(), f"there is no {match[1]}"


def check_twinscore(arguments: list[str]) -> None:
    # `[--url URL2]` says that it may be left out, `...` that there is more.
    words = [word.strip("[]") for word in arguments if word != "..."]
    command: click.Command = main
    name = "twinscore"
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, f"{name} has no command {words[0]}"
        command, name = found, f"{name} {words.pop(0)}"
    try:
        command.make_context(name, words)
    except click.exceptions.Exit:  # --help, which is all it does
        pass
    except click.ClickException as error:
        raise AssertionError(f"{name} {' '.join(words)}: {error.format_message()}") from None


def check_python(arguments: list[str]) -> None:
    if arguments and arguments[0] == "-m":
        module = arguments[1].replace(".", "/")
        assert any((ROOT / f"{module}{end}").exists() for end in (".py", "/__main__.py")), f"there is no {arguments[1]}"
    elif arguments and arguments[0] != "-c":
        assert (ROOT / arguments[0]).is_file(), f"there is no {arguments[0]}"


def check_curl(arguments: list[str]) -> None:
    known = {*routes.ROUTES, "/", "/schema.json", "/docs.json"}
    for argument in arguments:
        local = re.match(r"^(?:https?://)?(?:localhost|127\.0\.0\.1):(\d+)(/\S*)?$", argument)
        # Ports of the services, of the proxy before them and of the examples; other programs have paths of their own.
        if local and local[1][:2] in ("80", "30") and local[2]:
            path = local[2].partition("?")[0]
            examples = "".join(file.read_text() for file in (ROOT / "examples").rglob("*.py"))
            assert path in known or f'"{path}"' in examples, f"nothing answers {path}"
