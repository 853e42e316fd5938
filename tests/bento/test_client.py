"""What only the BentoML variant has: its page, its documents and its Python client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.model.package import ModelPackage
from shared.reliability.second_model import write_second_version
from tests.conftest import ROOT, Server, StartServer, running


@pytest.fixture(scope="module")
def bento(tmp_path_factory: pytest.TempPathFactory, default_model: Path) -> Iterator[Server]:
    with running("bento", tmp_path_factory.mktemp("bento"), "--model", str(default_model)) as server:
        yield server


CLIENT = """
import json, sys
import bentoml
with bentoml.SyncHTTPClient(sys.argv[1]) as client:
    try:
        print(json.dumps(getattr(client, sys.argv[2])(json.loads(sys.argv[3]))))
    except bentoml.exceptions.BentoMLException as error:
        print(json.dumps({"refused": str(error)}))
"""


def call(server: Server, method: str, argument: object) -> Any:
    """What BentoML's Python client returns, called in a process of its own as a user would."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CLIENT, server.url, method, json.dumps(argument)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return json.loads(done.stdout)


def test_a_later_version_in_the_store_is_not_served_where_models_has_an_earlier_one(
    tmp_path: Path, default_model: Path
) -> None:
    """The store is the user's, not this checkout's: another one may have filled it."""
    home = tmp_path / "bentoml"
    later = tmp_path / "later"
    write_second_version(default_model, "9.0.0", later)
    command = [sys.executable, "-m", "bento_service.store", str(later)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "BENTOML_HOME": str(home)}, check=True)
    with running("bento", tmp_path) as server:
        assert httpx.get(f"{server.url}/model").json()["version"] == default_model.name


def test_its_client_takes_the_contracts_objects(bento: Server, package: ModelPackage) -> None:
    golden = package.manifest.golden
    answer = call(bento, "score", {"features": golden.rows[0]})
    assert abs(answer["probability"] - golden.probabilities[0]) <= 2e-6
    answer = call(bento, "score_batch", {"rows": golden.rows[:3]})
    assert len(answer["probabilities"]) == 3


def test_its_client_tells_why_a_row_is_refused(bento: Server) -> None:
    assert "invalid-request" in call(bento, "score", {"features": [1.0]})["refused"]


@pytest.mark.parametrize(("method", "path"), [("score", "/score"), ("score_batch", "/score/batch")])
def test_its_schema_agrees_with_the_contracts(bento: Server, method: str, path: str) -> None:
    theirs = {route["name"]: route for route in httpx.get(f"{bento.url}/schema.json").json()["routes"]}[method]
    ours = httpx.get(f"{bento.url}/openapi.json").json()
    operation = ours["paths"][path]["post"]
    schemas = ours["components"]["schemas"]
    reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    request = schemas[reference.rpartition("/")[2]]["properties"]
    assert theirs["route"] == path
    for name, wanted in request.items():
        found = theirs["input"]["properties"][name]
        while "items" in wanted:
            assert found.get("maxItems") == wanted.get("maxItems")
            found, wanted = found["items"], wanted["items"]
        assert found["nullable"] is True
        assert found["type"] == wanted["anyOf"][0]["type"]
    reference = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
    assert theirs["output"]["properties"].keys() == schemas[reference.rpartition("/")[2]]["properties"].keys()


def test_its_page_and_document_are_served(bento: Server) -> None:
    assert "BentoML" in httpx.get(bento.url).text
    assert {"/score", "/score/batch"} <= httpx.get(f"{bento.url}/docs.json").json()["paths"].keys()
    assert httpx.get(f"{bento.url}/static_content/index.css").status_code == 200


def test_a_refusal_is_not_logged_as_a_fault(bento: Server) -> None:
    assert httpx.post(f"{bento.url}/score", json={"features": "no"}).status_code == 422
    assert bento.log is not None
    assert "Traceback" not in bento.log.read_text()


def test_a_setting_closes_its_pages(start_server: StartServer) -> None:
    server = start_server("bento", environment={"TWINSCORE_BENTOML_PAGES": "false"})
    for path in ("/", "/schema.json", "/docs.json", "/static_content/index.css"):
        answer = httpx.get(server.url + path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
