"""What commands that start services check beforehand."""

from __future__ import annotations

import errno

from shared.contract.errors import UserError
from shared.serving.supervisor import try_port


def check_port(host: str, port: int, variable: str) -> None:
    """Raises UserError if something listens on the port already."""
    try:
        try_port(host, port)
    except OSError as error:
        other = variable if error.errno in (errno.EADDRINUSE, errno.EACCES) else "--host"
        raise UserError(f"cannot listen on {host}:{port}: {error.strerror}; choose another {other}") from None
