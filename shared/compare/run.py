"""Running it all: the page's server, the receiver of traces, and the services where they are started here."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from shared.compare.app import Page, page_app
from shared.compare.bench import Follower
from shared.compare.children import Children
from shared.compare.client import Client
from shared.compare.events import Hub
from shared.compare.exchange import Comparer
from shared.compare.guard import Guard
from shared.compare.receiver import receiver_app
from shared.compare.spans import Decode, Traces
from shared.compare.target import Target, Variant, authority
from shared.compare.watch import Watch
from shared.contract.errors import UserError


@dataclass(frozen=True)
class Options:
    """What `twinscore compare` was told.

    Attributes:
        decode: reads what the services export; None receives no traces.
        names: host names under which the page may be opened, besides localhost and addresses.
        serve: start both services.
        bench: the results file to follow.
    """

    targets: Mapping[Variant, Target]
    decode: Decode | None
    names: frozenset[str]
    serve: bool
    bench: Path | None


class Listener(uvicorn.Server):
    """A server whose signals are somebody else's business."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=2,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int, option: str) -> socket.socket:
    """A socket that listens. Raises UserError if it cannot."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise UserError(
            f"cannot listen on {authority(host, port)}: {error.strerror}; choose another {option}"
        ) from None
    return listener


def run(options: Options, page: socket.socket, traces: socket.socket | None, tell: Callable[[str], None]) -> int:
    """Serves until a signal comes or a service that was started here ends; the exit code."""
    # Not uvloop: it writes when all else of a round is done, and the times of a burst would begin before its requests.
    return asyncio.run(_run(options, page, traces, tell))


async def _run(options: Options, page: socket.socket, traces: socket.socket | None, tell: Callable[[str], None]) -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)

    hub = Hub()
    store = Traces(lambda views: hub.tell("spans", views))
    clients = {variant: Client(target) for variant, target in options.targets.items()}
    watch = Watch(clients, lambda found: hub.tell("services", found, keep=True))
    follower = Follower(options.bench, lambda found: hub.tell("bench", found, keep=True))
    otlp = f"http://{authority(*traces.getsockname()[:2])}" if traces is not None else None
    about = Page(options.targets, otlp, options.serve)
    app = page_app(about, Comparer(clients, store.expect), watch, hub)
    listeners = [(Listener(Guard(app, options.names)), page)]
    if traces is not None and options.decode is not None:
        listeners.append((Listener(Guard(receiver_app(options.decode, store.add))), traces))

    children = Children()
    tasks = [asyncio.create_task(server.serve(sockets=[sock])) for server, sock in listeners]
    endless = [asyncio.create_task(watch.run()), asyncio.create_task(follower.run())]
    tell(f"compare is on http://{authority(*page.getsockname()[:2])} (Ctrl-C stops it)")
    code = 0
    try:
        if options.serve:
            await children.start(list(options.targets.values()), otlp)
        code = await _until(stopped, children)
        if code:
            tell("a service has ended, and so does this: see above")
    finally:
        for task in endless:
            task.cancel()
        hub.close()
        for server, _ in listeners:
            server.should_exit = True
        await asyncio.gather(*tasks, *endless, return_exceptions=True)
        for client in clients.values():
            client.close()
        await children.stop()
    return code


async def _until(stopped: asyncio.Event, children: Children) -> int:
    """Waits for a signal, exit code 0, or for a child that ends by itself: its exit code, 1 for 0."""
    signalled, ended = asyncio.create_task(stopped.wait()), asyncio.create_task(children.first_exit())
    done, waiting = await asyncio.wait([signalled, ended], return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    return 0 if signalled in done else (ended.result() or 1)
