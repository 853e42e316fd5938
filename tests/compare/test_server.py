"""The server behind the page: whom it answers, what it takes, what it refuses."""

from __future__ import annotations

import gzip
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.reliability.ports import free_port
from tests.compare.conftest import Compare, clean_environment, comparing
from tests.conftest import ROOT, VARIANTS

SEND = {"body": "{}", "content_type": "application/json", "count": 1, "at_once": False}


@pytest.fixture(scope="module")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compare]:
    """`twinscore compare` of two services that are not there."""
    urls = {variant: f"http://127.0.0.1:{free_port()}" for variant in VARIANTS}
    with comparing(tmp_path_factory.mktemp("lonely"), urls) as compare:
        yield compare


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/static/none.js", "/api/page", "/api/model"])
def test_every_answer_forbids_what_the_page_does_not_need(lonely: Compare, path: str) -> None:
    headers = httpx.get(lonely.url + path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "server" not in headers


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:8080"},
        {"host": "localhost.evil.example"},
        {"host": "[broken"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "https://127.0.0.1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/api/send", "/api/page", "/api/events"])
def test_other_sites_are_refused(lonely: Compare, path: str, headers: dict[str, str]) -> None:
    if path == "/api/send":
        response = httpx.post(lonely.url + path, json=SEND, headers=headers)
    else:
        response = httpx.get(lonely.url + path, headers=headers)
    assert response.status_code == 403


def test_its_own_page_is_not_refused(lonely: Compare) -> None:
    port = lonely.url.rpartition(":")[2]
    for host in (f"localhost:{port}", f"127.0.0.1:{port}"):
        own = {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}
        assert httpx.post(f"{lonely.url}/api/send", json=SEND, headers=own).status_code == 200
    # A link on another site may lead to the page.
    assert httpx.get(lonely.url, headers={"sec-fetch-site": "cross-site"}).status_code == 200


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"count": 0}, 400),
        ({"count": 201}, 400),
        ({"count": "1"}, 400),
        ({"content_type": "application/json\r\nx-evil: 1"}, 400),
        ({"content_type": "text/html"}, 400),
        ({"body": None}, 400),
        ({"at_once": 1}, 400),
        ({"body": "x" * 600_000}, 413),
        ({"url": "http://evil.example", "path": "/metrics"}, 200),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_page_can_send_a_body_and_nothing_else(lonely: Compare, change: dict[str, Any], status: int) -> None:
    response = httpx.post(f"{lonely.url}/api/send", json=SEND | change)
    assert response.status_code == status
    if status == 200:
        assert response.json()["exchanges"][0]["verdict"]["kind"] == "none"


def test_only_its_own_routes_and_files_are_there(lonely: Compare) -> None:
    plain = httpx.post(f"{lonely.url}/api/send", content=b"{}", headers={"content-type": "text/plain"})
    assert plain.status_code == 415
    assert (
        httpx.post(f"{lonely.url}/api/send", content=b"{", headers={"content-type": "application/json"}).status_code
        == 400
    )
    assert httpx.post(f"{lonely.url}/").status_code == 405
    for path in ("/score", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static/", "/static/app.py", "/docs"):
        assert httpx.get(lonely.url + path).status_code == 404


def test_traces_are_taken_in_the_standard_form_only(lonely: Compare) -> None:
    url = f"{lonely.otlp}/v1/traces"
    protobuf = {"content-type": "application/x-protobuf"}
    assert httpx.post(url, content=b"", headers=protobuf).status_code == 200
    assert (
        httpx.post(url, content=gzip.compress(b""), headers=protobuf | {"content-encoding": "gzip"}).status_code == 200
    )
    assert httpx.post(url, content=b"\xff\xff", headers=protobuf).status_code == 400
    assert httpx.post(url, content=b"no gzip", headers=protobuf | {"content-encoding": "gzip"}).status_code == 400
    assert httpx.post(url, json={}).status_code == 415
    bomb = gzip.compress(bytes(64 * 1024 * 1024))
    assert httpx.post(url, content=bomb, headers=protobuf | {"content-encoding": "gzip"}).status_code == 413
    assert httpx.post(url, content=b"", headers=protobuf | {"host": "evil.example"}).status_code == 403
    assert httpx.post(url, content=b"", headers=protobuf | {"origin": "http://evil.example"}).status_code == 403


def test_api_keys_are_sent_and_never_shown(tmp_path: Path) -> None:
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as service:
        url = f"http://127.0.0.1:{service.getsockname()[1]}"
        urls = {"fastapi": url, "bento": f"http://127.0.0.1:{free_port()}"}
        with comparing(tmp_path, urls, TWINSCORE_API_KEY="secret-key") as compare:
            connection, _ = service.accept()
            with connection:
                received.append(connection.recv(65536))
            shown = httpx.get(f"{compare.url}/api/page").text
    assert b"\r\nauthorization: Bearer secret-key\r\n" in received[0]
    assert "secret-key" not in shown


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--fastapi", "localhost:8000"], r"--fastapi localhost:8000: give a base URL"),
        (["--bento", "http://user@host"], r"--bento http://user@host: give a base URL"),
        (["--bento", "http://h:99999"], r"give a base URL"),
        (["--serve", "--bento", "https://127.0.0.1:1"], r"--serve starts services on this machine: --bento"),
        (["--serve", "--fastapi", "http://192.0.2.1:1"], r"--serve starts services on this machine: --fastapi"),
        (["--fastapi", "https://127.0.0.1:1", "--ca", "nowhere.pem"], r"--ca nowhere.pem cannot be used"),
        (["--port", "{taken}"], r"cannot listen on 127.0.0.1:\d+: .*; choose another --port"),
        (["--otlp-port", "{taken}"], r"cannot listen on 127.0.0.1:\d+: .*; choose another --otlp-port \(0: none\)"),
        (["--serve", "--fastapi", "http://127.0.0.1:{taken}"], r"cannot listen on .*choose another --fastapi"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(options: list[str], expected: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        filled = [option.format(taken=taken.getsockname()[1]) for option in options]
        defaults = ["--port", str(free_port()), "--otlp-port", str(free_port())]
        done = subprocess.run(
            [sys.executable, "-m", "shared.cli", "compare", *defaults, *filled],
            cwd=ROOT,
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert re.search(expected, done.stderr)
