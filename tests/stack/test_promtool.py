"""Prometheus' own tool finds the configuration and the rules well formed, and their unit tests pass."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.stack.files import PROMETHEUS, RULE_TESTS, RULES, load, rules

pytestmark = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: apt-get install prometheus)"
)


def promtool(*arguments: str | Path, folder: Path = PROMETHEUS) -> str:
    command = ["promtool", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_configuration_is_valid() -> None:
    told = promtool("check", "config", "--lint=all", "--lint-fatal", "prometheus.yml")
    assert f"{len(RULES)} rule files found" in told


def test_what_the_configuration_offers_as_comments_is_valid(tmp_path: Path) -> None:
    """Keys, TLS, targets from files and an Alertmanager, as the comments say, all at once."""
    shutil.copytree(PROMETHEUS / "rules", tmp_path / "rules")
    lines = (PROMETHEUS / "prometheus.yml").read_text().splitlines()
    offered = ("alerting:", "alertmanagers:", "- static_configs:", "- targets: [alert", "file_sd_configs:", "- files:")
    offered += ("authorization:", "credentials_file:", "scheme:", "tls_config:", "ca_file:")
    uncommented = [
        line.replace("# ", "", 1) if line.strip().removeprefix("# ").strip().startswith(offered) else line
        for line in lines
    ]
    assert sum(map(str.__ne__, lines, uncommented)) == len(offered)
    (tmp_path / "prometheus.yml").write_text("\n".join(uncommented) + "\n")
    (tmp_path / "twinscore.key").write_text("a key")
    shutil.copy(_certificate(), tmp_path / "twinscore-ca.pem")
    promtool("check", "config", "prometheus.yml", folder=tmp_path)
    job = load(tmp_path / "prometheus.yml")["scrape_configs"][0]
    assert {"authorization", "file_sd_configs", "scheme", "tls_config"} <= job.keys()


def _certificate() -> str:
    import certifi

    return certifi.where()


@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.stem)
def test_unit_tests_of_the_rules_pass(path: Path) -> None:
    assert "SUCCESS" in promtool("test", "rules", f"tests/{path.name}")


@pytest.mark.parametrize("alert", sorted({rule["alert"] for rule in rules("alert")}))
def test_every_alert_is_tested_firing_and_not_firing(alert: str) -> None:
    tests = [test for path in RULE_TESTS for test in load(path)["tests"]]
    checks = [check for test in tests for check in test.get("alert_rule_test", ()) if check["alertname"] == alert]
    fired = {one["exp_labels"]["severity"] for check in checks for one in check["exp_alerts"]}
    assert fired == {rule["labels"]["severity"] for rule in rules("alert") if rule["alert"] == alert}
    assert any(not check["exp_alerts"] for check in checks)
