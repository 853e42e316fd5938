# ruff: noqa: T201
"""Sets weights, in the order given, by HAProxy's runtime API: `python weights.py 127.0.0.1:9999 bento=100 fastapi=0`."""

from __future__ import annotations

import socket
import sys

if len(sys.argv) < 3 or not all("=" in argument for argument in sys.argv[2:]):
    sys.exit("give the address of the runtime API and weights: python weights.py 127.0.0.1:9999 bento=100 fastapi=0")
host, _, port = sys.argv[1].rpartition(":")
for argument in sys.argv[2:]:
    server, _, weight = argument.partition("=")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(f"set server scoring/{server} weight {weight}\n".encode())
        answer = connection.makefile().read().strip()
    print(f"{server}: {answer or f'weight {weight}'}")
