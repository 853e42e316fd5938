"""Every way a request or a command can be refused. Raising one of these is enough: the edge and the CLI render it."""

from __future__ import annotations


class UserError(Exception):
    """Input a person gave (a file, a setting, an option) that cannot be used.

    The message is one line that says what is wrong and what to do; the command line prints it and exits 2.
    """
