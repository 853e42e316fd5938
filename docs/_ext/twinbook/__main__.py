"""`python docs/_ext/twinbook lines PART...` and `python docs/_ext/twinbook profiles`: the figures of the book's tables."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from twinbook.count import count  # noqa: E402
from twinbook.profiles import FILE, measure  # noqa: E402
from twinbook.selection import SelectionError  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(prog="python docs/_ext/twinbook", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    lines = commands.add_parser("lines", help="count lines of code")
    lines.add_argument("part", nargs="+", help="FILE, FOLDER, FILE:Class.method or 'FILE#Step'")
    commands.add_parser("profiles", help=f"write {FILE}: packages and megabytes of what is installed here")
    arguments = parser.parse_args()
    try:
        if arguments.command == "profiles":
            print(f"wrote {measure()}")  # noqa: T201
            return
        counted = [(part, count(part)) for part in arguments.part]
    except SelectionError as error:
        sys.exit(f"Error: {error}")
    for part, number in counted:
        print(f"{number:6,} {part}")  # noqa: T201
    if len(counted) > 1:
        print(f"{sum(number for _, number in counted):6,} in all")  # noqa: T201


if __name__ == "__main__":
    main()
