"""Exit code 0 while the service in this container is ready: `python -I -S healthcheck.py DEFAULT_PORT`.

Only what the interpreter has loaded anyway is imported, TLS apart, because an engine runs this every few seconds.
"""

import os
import socket
import sys

TIMEOUT_SECONDS = 3.0


def main() -> bool:
    host = os.environ.get("TWINSCORE_HOST") or "127.0.0.1"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    port = int(os.environ.get("TWINSCORE_PORT") or sys.argv[1])
    with socket.create_connection((host, port), TIMEOUT_SECONDS) as connection:
        if os.environ.get("TWINSCORE_TLS_CERT_FILE"):
            import ssl

            context = ssl.create_default_context()
            # It asks its own process, whose certificate is made out for another name.
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            connection = context.wrap_socket(connection)
        connection.sendall(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        status = connection.makefile("rb").readline().split()
    return status[1:2] == [b"200"]


if __name__ == "__main__":
    try:
        sys.exit(not main())
    except OSError as error:
        sys.exit(f"not ready: {error}")
