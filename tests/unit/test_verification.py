"""The verifier: it reads templates and patterns as the vectors' README says, and finds what is wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema_rs
import pytest
from click.testing import CliRunner

from shared.cli import main
from shared.contract import errors, routes
from shared.model.package import ModelPackage
from shared.reliability.ports import free_port
from shared.verification.golden import golden_document, read_package
from shared.verification.patterns import Matcher
from shared.verification.templates import body, default_variables
from shared.verification.vectors import protocol_document, protocol_vectors

VARIABLES = default_variables(3)
VECTORS = protocol_vectors().vectors


@pytest.fixture(scope="module")
def schema() -> jsonschema_rs.Validator:
    file = resources.files("shared.contract") / "vectors" / "vectors.schema.json"
    return jsonschema_rs.validator_for(json.loads(file.read_text()))


def test_the_protocol_vectors_match_their_schema(schema: jsonschema_rs.Validator) -> None:
    assert [error.message for error in schema.iter_errors(protocol_document())] == []
    assert not schema.is_valid({**protocol_document(), "vectors": [{"id": "no-topic"}]})


def test_golden_vectors_match_the_same_schema(schema: jsonschema_rs.Validator, package: ModelPackage) -> None:
    document = golden_document(read_package(package.directory))
    assert [error.message for error in schema.iter_errors(document)] == []


def test_ids_are_unique_and_references_lead_somewhere() -> None:
    ids = [vector.id for vector in VECTORS]
    assert len(set(ids)) == len(ids)
    assert {vector.response["same_body_as"] for vector in VECTORS if "same_body_as" in vector.response} <= set(ids)
    problems = {vector.response["problem"] for vector in VECTORS if "problem" in vector.response}
    assert problems == protocol_vectors().problems.keys()


def test_problems_are_those_of_the_contract() -> None:
    known = {problem.slug: problem for problem in errors.PROBLEMS}
    for name, pattern in protocol_vectors().problems.items():
        if name in known:
            assert pattern["type"] == known[name].type_uri()
            assert (pattern["status"], pattern["title"]) == (known[name].status, known[name].title)


def test_every_route_is_asked_with_every_wrong_method() -> None:
    topics = ("route.", "head.", "method.", "slash.")
    asked = {
        (vector.request["path"], vector.request["method"]): vector.response
        for vector in VECTORS
        if vector.id.startswith(topics) and "with-body" not in vector.id
    }
    for path, methods in routes.ROUTES.items():
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
            if method in methods:
                assert (path, method) in asked
            else:
                assert asked[path, method]["status"] == 405
                assert asked[path, method]["headers"] == {"allow": ", ".join(sorted(methods))}
        assert asked[path + "/", sorted(methods)[0]]["status"] == 404


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([{"text": "é", "times": 2}], "éé".encode()),
        ([{"base64": "/w=="}, {"text": "x"}], b"\xffx"),
        ([{"json": {"features": {"$row": {}}}}], b'{"features":[0.5,0.5,0.5]}'),
        ([{"json": {"$row": {"fill": None, "plus": -1}}}], b"[null,null]"),
        ([{"json": {"$row": {"plus": 1, "set": {"0": {"$raw": "1e400"}, "-1": "x"}}}}], b'[1e400,0.5,0.5,"x"]'),
        ([{"json": {"$rows": {"row": [], "count": 2, "set": {"1": {"$row": {}}}}}}], b"[[],[0.5,0.5,0.5]]"),
        ([{"text": " ", "times": {"of": "features", "times": 2, "plus": -1}}], b"     "),
        ([{"json": [True, None, 1.5, "\U0001f600", {"a": {}}]}], '[true,null,1.5,"\U0001f600",{"a":{}}]'.encode()),
    ],
)
def test_templates(parts: list[dict[str, Any]], expected: bytes) -> None:
    assert body(parts, VARIABLES) == expected


@pytest.mark.parametrize(
    ("pattern", "fits", "differs"),
    [
        (1, 1.0, True),
        (True, True, 1),
        ("a", "a", "b"),
        ([1, 2], [1, 2], [2, 1]),
        ({"a": 1}, {"a": 1}, {"a": 1, "b": 2}),
        ({"a": 1}, {"a": 1}, {}),
        ({"$has": {"a": 1}}, {"a": 1, "b": 2}, {"b": 2}),
        ({"$any": True}, None, ...),
        ({"$type": "number"}, 1.5, True),
        ({"$type": "array"}, [], {}),
        ({"$match": "a.+"}, "a\n", "ba"),
        ({"$number": {"min": 0, "max": 1}}, 1, 1.01),
        ({"$close": {"to": 0.5, "within": 2e-6}}, 0.5000019, 0.5000021),
        ({"$count": {"of": "features", "plus": -1}}, 2, 3),
        ({"$header": "x-request-id"}, "me", "you"),
        ({"$each": {"count": 2, "of": {"$type": "number"}}}, [1, 2], [1, "2"]),
        ({"$each": {"count": {"of": "features"}, "of": {"$any": True}}}, [1, 2, 3], [1, 2]),
    ],
)
def test_patterns(pattern: Any, fits: Any, differs: Any) -> None:
    assert differences(pattern, fits) == []
    if differs is not ...:
        assert differences(pattern, differs) != []


def differences(pattern: Any, value: Any) -> list[Any]:
    matcher = Matcher(VARIABLES, {"x-request-id": "me"})
    matcher.match("body", pattern, value)
    return matcher.differences


class WrongService(BaseHTTPRequestHandler):
    """Has a model card of three features, and answers whatever else with an empty object."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        card = {"features": [{"name": f"f{index}"} for index in range(3)]}
        content = json.dumps(card if self.path == "/model" else {}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = True

    do_GET = do_POST = answer  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def wrong_service() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), WrongService) as service:
        thread = threading.Thread(target=service.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{service.server_port}"
        service.shutdown()
        thread.join()


def test_verify_finds_what_a_wrong_service_does(wrong_service: str, tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    done = CliRunner().invoke(main, ["verify", wrong_service, "--only", "route.", "--junit", str(junit)])
    assert done.exit_code == 1
    assert "route.score" in done.output
    assert "differs from the contract" in done.output
    suite = ElementTree.parse(junit).getroot()[0]
    asked = [vector for vector in VECTORS if vector.id.startswith("route.")]
    assert suite.get("tests") == suite.get("failures") == str(len(asked))
    failure = suite.find("testcase[@name='score']/failure")
    assert failure is not None
    assert "body.probability" in str(failure.text)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ftp://somewhere"], "is not the URL of a service"),
        (["http://127.0.0.1:99999"], "Port out of range"),
        (["http://127.0.0.1:{free}"], "is a service running there"),
        (["http://127.0.0.1:{free}", "--insecure"], "go with https"),
        (["https://127.0.0.1:{free}", "--ca", "{folder}/none.pem"], "CA certificates"),
        (["http://127.0.0.1:{free}", "--model", "{folder}"], "takes the folder of a model package"),
        (["http://127.0.0.1:{free}", "--write-golden", "{folder}/g.json"], "needs --model"),
        (["{wrong}", "--only", "nothing."], "no vector's id starts with"),
        (["{wrong}/below"], "is no model card"),
        (["{wrong}", "--only", "route.livez", "--junit", "{folder}/none/junit.xml"], "cannot be written"),
    ],
)
def test_verify_says_what_it_cannot_use(wrong_service: str, tmp_path: Path, arguments: list[str], said: str) -> None:
    values = {"free": free_port(), "folder": tmp_path, "wrong": wrong_service}
    done = CliRunner().invoke(main, ["verify", *(argument.format(**values) for argument in arguments)])
    assert done.exit_code == 2
    assert said in done.output


def test_verify_writes_the_golden_vectors(wrong_service: str, tmp_path: Path, package: ModelPackage) -> None:
    file = tmp_path / "golden.json"
    arguments = ["verify", wrong_service, "--only", "golden.card", "--model", str(package.directory)]
    done = CliRunner().invoke(main, [*arguments, "--write-golden", str(file)])
    assert done.exit_code == 1
    document = json.loads(file.read_text())
    assert document["level"] == "golden"
    assert document["model"]["sha256"] == package.manifest.sha256
