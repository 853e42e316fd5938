"""What commands that start services check beforehand."""

from __future__ import annotations

import socket

from shared.contract.errors import UserError


def check_port(host: str, port: int, variable: str) -> None:
    """Raises UserError if something listens on the port already."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UserError(f"cannot listen on {host}:{port}: {error.strerror}; choose another {variable}") from None
