"""HAProxy in front of several services, moved by its runtime socket."""

from __future__ import annotations

import asyncio
import re
import resource
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from shared.contract import routes
from shared.contract.errors import UserError
from shared.reliability.ports import free_port
from shared.reliability.services import StartError

MAX_CONNECTIONS = 4096

SESSION = re.compile(r"source=\S+:(\d+)\n.*\n.*\n\s+backend=services .* addr=\S+:(\d+)\n\s+server=(\S+) ")
"""In `show sess all`: the client's port, the port of the connection to the server, and the server."""

CONFIGURATION = """\
global
    maxconn {connections}
    # One loop: what its socket is asked for, it answers after it has looked at the connections.
    nbthread 1
    stats socket {folder}/control mode 600 level admin
    # What becomes of the servers, and of the requests that went wrong.
    log stdout format raw daemon notice
    # Connections to the services are kept though clients take most of the files that may be open.
    tune.pool-low-fd-ratio 95
    tune.pool-high-fd-ratio 95

defaults
    mode http
    log global
    option httplog
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout queue 10s
    # Long: a service that is slow to answer is not one that is down. One that drains answers 503 at once.
    timeout check 10s
    # A request that was sent is never sent again: only what never reached a server may go to another.
    retries 3
    retry-on conn-failure
    option redispatch 1

frontend score
    bind 127.0.0.1:{port}
    # Of the requests only those that HAProxy could not send or that were answered 5xx: an error is above the level of the log.
    option log-separate-errors
    http-response set-log-level silent unless {{ status 500:599 }}
    default_backend services

backend services
    balance leastconn
    option httpchk GET {readyz}
    http-check expect status 200
    # A connection that lies idle in a pool may be one that the service is just closing.
    http-reuse never
    # As in deploy/haproxy. Two, because a check may be what a killed worker held. The interval is also how long HAProxy gives
    # a check to connect, its own delays among it: at 50 ms, thousands of clients made every server seem down at once.
    default-server check inter 1s fall 2 rise 1
{servers}
"""


class Proxy:
    """HAProxy with one server a name, all on this machine.

    Args:
        servers: names and ports. What does not listen yet gets no request until its `/readyz` answers 200.
    """

    def __init__(self, servers: Sequence[tuple[str, int]]) -> None:
        self.port = free_port()
        self._names = [name for name, _ in servers]
        # Not a folder of the caller's: the paths of UNIX sockets are short.
        self._folder = Path(tempfile.mkdtemp(prefix="twinscore-haproxy-"))
        self._output = self._folder / "log"
        configuration = self._folder / "haproxy.cfg"
        lines = "\n".join(f"    server {name} 127.0.0.1:{port} weight 100" for name, port in servers)
        configuration.write_text(
            CONFIGURATION.format(
                folder=self._folder, port=self.port, readyz=routes.READYZ, servers=lines, connections=_connections()
            )
        )
        self._command = [str(haproxy()), "-db", "-f", str(configuration)]
        self._process: subprocess.Popen[bytes] | None = None
        self.log = ""
        """Once it is closed: what became of the servers, and the requests that failed."""

    async def start(self) -> None:
        """Raises StartError."""
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(self._command, stdout=output, stderr=output)
        while not (self._folder / "control").exists():
            if self._process.poll() is not None:
                raise StartError(f"haproxy: {self._output.read_text()}")
            await asyncio.sleep(0.02)

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self.log = self._output.read_text(errors="replace")
        shutil.rmtree(self._folder, ignore_errors=True)

    async def command(self, text: str) -> str:
        """What the runtime socket answers to a command."""
        reader, writer = await asyncio.open_unix_connection(str(self._folder / "control"))
        writer.write(text.encode() + b"\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer.decode()

    async def weights(self, **weights: int) -> None:
        """Sets the share of new requests that each server gets, 0 to 256; the largest first, so that one always has some."""
        for name, weight in sorted(weights.items(), key=lambda item: -item[1]):
            answer = await self.command(f"set server services/{name} weight {weight}")
            if answer.strip():
                raise ValueError(answer.strip())

    async def up(self) -> set[str]:
        """The servers whose last check was answered 200."""
        rows = await self._statistics()
        return {name for name, row in rows.items() if row["status"].startswith(("UP", "DRAIN"))}

    async def serving(self, name: str) -> int:
        """Requests that a server has and has not answered yet."""
        return int((await self._statistics())[name]["scur"])

    def clients_of(self, name: str, ports: frozenset[int]) -> frozenset[int]:
        """Ports of the clients whose requests are with server `name`, on connections from these ports of the proxy.

        Blocks, so that no client in this process sends anything meanwhile.
        """
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(str(self._folder / "control"))
            control.sendall(b"show sess all\n")
            with control.makefile() as answer:
                found = SESSION.findall(answer.read())
        return frozenset(int(client) for client, port, server in found if server == name and int(port) in ports)

    async def _statistics(self) -> dict[str, dict[str, str]]:
        """A row of `show stat` for each server."""
        rows = (await self.command("show stat")).splitlines()
        columns = rows[0].removeprefix("# ").split(",")
        found = (dict(zip(columns, row.split(","), strict=False)) for row in rows[1:] if row.startswith("services,"))
        return {row["svname"]: row for row in found if row["svname"] in self._names}


def _connections() -> int:
    """As many as the limit of open files allows: each takes two."""
    return max(100, min(MAX_CONNECTIONS, (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 100) // 2))


def available() -> bool:
    return shutil.which("haproxy", path=SEARCH_PATH) is not None


def haproxy() -> Path:
    """Raises UserError if there is none."""
    found = shutil.which("haproxy", path=SEARCH_PATH)
    if found is None:
        raise UserError("HAProxy is not installed (Debian: apt-get install haproxy)")
    return Path(found)


SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/homebrew/bin"
"""HAProxy lies in /usr/sbin, which is not on every user's path."""
