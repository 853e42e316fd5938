"""Asking one service: connections kept open, and many requests written in the same moment."""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Mapping, Sequence

from shared.compare.target import Target, authority
from shared.compare.wire import NoAnswer, Reply, Wire

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 15.0
"""Longer than a service's own deadline, which it answers with 504."""


class Client:
    """Requests to one service."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._idle: list[Wire] = []

    def request(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
        """The bytes of a request. `headers` must come from this program, never from a page."""
        target = self.target
        lines = [f"{method} {target.prefix}{path} HTTP/1.1", f"host: {authority(target.host, target.port)}"]
        if target.api_key is not None:
            lines.append(f"authorization: Bearer {target.api_key}")
        if method == "POST":
            lines.append(f"content-length: {len(body)}")
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body

    async def get(self, path: str, seconds: float = ANSWER_SECONDS) -> Reply:
        """Raises NoAnswer."""
        return await self.ask(self.request("GET", path, {"accept": "application/json"}), seconds)

    async def ask(self, request: bytes, seconds: float = ANSWER_SECONDS) -> Reply:
        """Sends a request on a connection that is open already, if there is one. Raises NoAnswer."""
        wire = self._take() or await self._connect()
        try:
            return await self._answer(wire, wire.send(request), seconds)
        except NoAnswer as error:
            # The service closes idle connections: one that went just then says nothing about the service.
            if not (error.untouched and wire.reused):
                raise
        wire = await self._connect()
        return await self._answer(wire, wire.send(request), seconds)

    async def ask_at_once(self, requests: Sequence[bytes]) -> list[Reply | NoAnswer]:
        """Opens a connection for each request first, then writes them all without a pause in between."""
        wires = [wire for _ in requests if (wire := self._take()) is not None]
        opened = await asyncio.gather(
            *(self._connect() for _ in range(len(requests) - len(wires))), return_exceptions=True
        )
        wires += [wire for wire in opened if isinstance(wire, Wire)]
        for error in opened:
            if isinstance(error, NoAnswer):
                self._idle += wires
                return [error] * len(requests)
            if isinstance(error, BaseException):
                raise error
        futures = [wire.send(request) if wire.open else None for wire, request in zip(wires, requests, strict=True)]
        outcomes = map(self._outcome, wires, futures, requests)
        return list(await asyncio.gather(*outcomes))

    def close(self) -> None:
        for wire in self._idle:
            wire.close()
        self._idle.clear()

    async def _outcome(self, wire: Wire, future: asyncio.Future[Reply] | None, request: bytes) -> Reply | NoAnswer:
        try:
            if future is not None:
                try:
                    return await self._answer(wire, future, ANSWER_SECONDS)
                except NoAnswer as error:
                    if not (error.untouched and wire.reused):
                        raise
            return await self.ask(request)
        except NoAnswer as error:
            return error

    async def _answer(self, wire: Wire, future: asyncio.Future[Reply], seconds: float) -> Reply:
        try:
            reply = await asyncio.wait_for(future, seconds)
        except TimeoutError:
            wire.close()
            raise NoAnswer(f"gave no answer within {seconds:g} s") from None
        except asyncio.CancelledError:
            wire.close()
            raise
        if wire.open:
            self._idle.append(wire)
        else:
            wire.close()
        return reply

    def _take(self) -> Wire | None:
        while self._idle:
            wire = self._idle.pop()
            if wire.open:
                return wire
        return None

    async def _connect(self) -> Wire:
        target = self.target
        loop = asyncio.get_running_loop()
        try:
            _, wire = await asyncio.wait_for(
                loop.create_connection(Wire, target.host, target.port, ssl=target.context), CONNECT_SECONDS
            )
        except TimeoutError:
            raise NoAnswer(f"no connection within {CONNECT_SECONDS:g} s") from None
        except ssl.SSLError as error:
            raise NoAnswer(f"TLS failed ({error.reason or error}): give its authority with --ca") from None
        except OSError as error:
            # A name with several addresses gives one error with all reasons in its text and no number.
            if error.errno == errno.ECONNREFUSED or "refused" in str(error) or "Connect call failed" in str(error):
                raise NoAnswer("nothing listens there") from None
            raise NoAnswer(f"no connection: {(error.strerror or str(error)).lower()}") from None
        return wire
