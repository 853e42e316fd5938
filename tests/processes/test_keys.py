"""With API keys configured, only who brings one is answered; probes need none."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from shared.contract.errors import UserError
from shared.model.package import ModelPackage
from shared.serving.keys import ApiKeys, new_key
from tests.conftest import VARIANTS, StartServer
from tests.processes.test_serve import golden_request, run_twinscore


@pytest.mark.parametrize("variant", VARIANTS)
def test_two_keys_work_side_by_side_and_the_contract_holds(
    variant: str, start_server: StartServer, package: ModelPackage, tmp_path: Path
) -> None:
    (old, old_line), (new, new_line) = new_key(), new_key()
    file = tmp_path / "keys"
    file.write_text(f"# rotated in May\n{old_line} old\n\n{new_line} new\n")
    server = start_server(variant, environment={"TWINSCORE_API_KEYS_FILE": str(file)})
    for key in (old, new):
        answer = httpx.post(
            f"{server.url}/score", json=golden_request(package), headers={"authorization": f"Bearer {key}"}
        )
        assert answer.status_code == 200
    for path in ("/model", "/metrics", "/openapi.json", "/docs"):
        refused = httpx.get(server.url + path)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
    verified = run_twinscore("verify", server.url, "--api-key", new, "--only", "key")
    assert verified.returncode == 0, verified.stdout
    assert server.log is not None
    for key in (old, new):
        assert key not in server.log.read_text()


@pytest.mark.parametrize("text", ["", "# nothing\n", "secret\n", "sha256:abc\n", f"sha256:{'0' * 63}g x\n"])
def test_a_bad_key_file_is_refused_and_not_repeated(text: str, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(text)
    with pytest.raises(UserError, match="key") as refused:
        ApiKeys.load(file)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_missing_key_file_stops_the_start(variant: str, default_model: Path) -> None:
    result = run_twinscore("serve", variant, "--model", str(default_model), TWINSCORE_API_KEYS_FILE="/nowhere/keys")
    assert result.returncode == 2
    assert "TWINSCORE_API_KEYS_FILE" in result.stderr


@pytest.mark.parametrize("header", [b"", b"Bearer", b"Bearer ", b"Basic x", b"bearer wrong", b"Token x", None])
def test_what_is_no_valid_key_is_refused(header: bytes | None) -> None:
    _, line = new_key()
    keys = ApiKeys([bytes.fromhex(line.removeprefix("sha256:"))])
    assert not keys.accept(header)


def test_the_scheme_is_told_in_any_case() -> None:
    key, line = new_key()
    keys = ApiKeys([bytes.fromhex(line.removeprefix("sha256:"))])
    assert keys.accept(b"BEARER " + key.encode())
    assert keys.accept(b"Bearer  " + key.encode() + b" ")
