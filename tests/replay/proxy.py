"""A proxy in front of a service that fails in the ways networks and deployments do, or tampers with an answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Thread

import httpx

Fault = Callable[[int], str]
"""What is to happen to the request of this number: "" nothing, "503", "429", "502", "drop", "drop after", "tamper"."""


@contextmanager
def faulty_proxy(url: str, fault: Fault) -> Iterator[str]:
    """The URL of a proxy for the service at `url`; requests to score are numbered from 0."""
    numbers = count()
    client = httpx.Client(base_url=url)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *arguments: object) -> None:
            """Nothing: the test's output is no access log."""

        def do_GET(self) -> None:
            self._answer(client.get(self.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            what = fault(next(numbers)) if self.path == "/score" else ""
            if what == "drop":
                self.close_connection = True
                return
            if what.isdigit():
                self._send(int(what), b"{}")
                return
            answer = client.post(self.path, content=body, headers={"content-type": "application/json"})
            if what == "drop after":
                self.close_connection = True
                return
            if what == "tamper":
                document = answer.json()
                document["probability"] /= 2
                self._send(200, json.dumps(document).encode())
                return
            self._answer(answer)

        def _answer(self, answer: httpx.Response) -> None:
            self._send(answer.status_code, answer.content)

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        client.close()
