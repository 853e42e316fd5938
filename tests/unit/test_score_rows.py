"""`twinscore score` against real services: every row of a file is scored as it stands there, or refused with a reason."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xgboost
from click.testing import CliRunner, Result

from shared.cli import main
from shared.contract.errors import UserError
from shared.importing.package import import_file
from shared.model.package import ModelPackage, load_package
from shared.reliability.ports import free_port
from shared.scoring.client import Scored, ScoringClient
from shared.scoring.job import Tally, score_rows
from shared.scoring.text import CsvTable
from shared.scoring.values import Refused, Row
from tests.conftest import VARIANTS, Server, make_certificate, running

NAMES = ["amount", "hour", "distance"]
Score = Callable[..., Result]


def package_version(folder: Path, version: str, seed: int) -> ModelPackage:
    """A small model over NAMES, packaged."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(400, 3)) * [100, 5, 1]
    matrix = xgboost.DMatrix(rows, rng.random(400) < 1 / (1 + np.exp(-rows[:, 0] / 50)), feature_names=NAMES)
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1, "max_depth": 4}, matrix, 20)
    booster.save_model(folder / f"{version}.ubj")
    done = import_file(folder / f"{version}.ubj", name="small", version=version, out=folder / "models", trust=False)
    return load_package(done.directory)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return package_version(tmp_path_factory.mktemp("small"), "1.0.0", seed=1)


@pytest.fixture(scope="module", params=VARIANTS)
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, small: ModelPackage
) -> Iterator[Server]:
    with running(request.param, tmp_path_factory.mktemp("score"), "--model", str(small.directory)) as server:
        yield server


@pytest.fixture
def score(service: Server) -> Score:
    """Runs the command on a file."""

    def run(file: Path, *options: str) -> Result:
        return CliRunner().invoke(main, ["score", str(file), "--url", service.url, *options])

    return run


def expected(package: ModelPackage, rows: Sequence[Sequence[float | None]]) -> list[float]:
    """The predictor's own probabilities, as the wire writes them."""
    return package.predictor(np.array(rows, dtype=np.float32)).tolist()


def as_float32(values: Sequence[Any]) -> list[float]:
    return np.array([float(value) for value in values], dtype=np.float32).tolist()


def records(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def many(n: int) -> list[list[float | None]]:
    rng = np.random.default_rng(n)
    rows = (rng.normal(size=(n, 3)) * [100, 5, 1]).astype(np.float32).astype(float)
    return [[None if rng.random() < 0.1 else float(value) for value in row] for row in rows]


def write_csv(path: Path, rows: Sequence[Sequence[float | None]]) -> None:
    lines = ["id,distance,amount,note,hour"]
    lines += [
        f"t{index},{'' if d is None else d},{'' if a is None else a},x,{'' if h is None else h}"
        for index, (a, h, d) in enumerate(rows)
    ]
    path.write_text("\n".join(lines) + "\n")


def test_a_csv_is_scored_in_order_over_many_requests(score: Score, small: ModelPackage, tmp_path: Path) -> None:
    rows = many(2000)
    write_csv(tmp_path / "rows.csv", rows)
    done = score(tmp_path / "rows.csv", "--batch-rows", "37")
    assert done.exit_code == 0, done.stderr
    found = records(done.stdout)
    assert [int(record["line"]) for record in found] == list(range(2, 2002))
    assert as_float32([record["probability"] for record in found]) == expected(small, rows)
    assert {record["model_version"] for record in found} == {"1.0.0"}
    assert "2000 rows scored, 0 refused" in done.stderr


def test_bad_lines_are_reported_and_the_others_scored(score: Score, small: ModelPackage, tmp_path: Path) -> None:
    lines = [
        b"\xef\xbb\xbfid,amount,hour,distance",  # 1
        b'"a,1",1.5,2,3',
        b"b,,,",
        b"",  # 4, a blank line
        b"c,twelve,2,3",
        b"d,1,inf,3",
        b"e,1,2,1e39",
        b"f,1,2",
        b"g,1,2,3,4",
        b'h,"1"x,2,3',  # 10
        b'"i',
        b'j",9007199254740993, 2 ,NaN',
        b"k,yes,2,3",
        b"l,1_000,2,3",
        b"\xff,1,2,3",
        b"m,1e-60,-0.0,+3.",
        b'"never closed,1,2,3',
    ]
    (tmp_path / "rows.csv").write_bytes(b"\r\n".join(lines) + b"\r\n")
    options = ("--id-column", "id", "--out", str(tmp_path / "out.csv"), "--errors", str(tmp_path / "errors.jsonl"))
    done = score(tmp_path / "rows.csv", *options)
    assert done.exit_code == 1, done.stderr
    assert done.stdout == ""
    found = records((tmp_path / "out.csv").read_bytes().decode())
    assert [record["id"] for record in found] == ["a,1", "b", "i\r\nj", "m"]
    rows = [[1.5, 2, 3], [None, None, None], [9007199254740993, 2, None], [0, 0, 3]]
    assert as_float32([record["probability"] for record in found]) == expected(small, rows)
    errors = [json.loads(line) for line in (tmp_path / "errors.jsonl").read_text().splitlines()]
    assert [(error["line"], error["id"]) for error in errors] == [
        (5, "c"),
        (6, "d"),
        (7, "e"),
        (8, None),
        (9, None),
        (10, None),
        (13, "k"),
        (14, "l"),
        (15, None),
        (17, None),
    ]
    reasons = [error["reason"] for error in errors]
    assert reasons[0] == "amount: 'twelve' is not a number"
    assert reasons[1] == "hour: inf does not fit float32"
    assert reasons[2] == "distance: 1e+39 does not fit float32"
    assert reasons[3] == "3 values where the header names 4 columns"
    assert "UTF-8" in reasons[8]
    assert "line 5: amount: 'twelve' is not a number" in done.stderr
    assert "4 rows scored, 10 refused" in done.stderr


def test_json_lines_in_and_out(score: Score, small: ModelPackage, tmp_path: Path) -> None:
    lines = [
        '{"id": 12345678901234567890, "amount": 1, "hour": 2, "distance": 3}',
        '{"id": "b", "amount": null, "hour": 2.5, "distance": NaN, "more": [1]}',
        '{"id": "c", "amount": "1", "hour": 2, "distance": 3}',
        '{"id": "d", "amount": true, "hour": 2, "distance": 3}',
        "",
        '{"id": "e", "amount": 1, "hour": 2}',
        '{"id": "f", "amount": 1',
        "[1, 2, 3]",
        '{"id": "g", "amount": 1' + "0" * 400 + ', "hour": 2, "distance": 3}',
        '{"id": "h", "amount": [1], "hour": {}, "distance": -Infinity}',
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    done = score(tmp_path / "rows.jsonl", "--id-column", "id", "--out", str(tmp_path / "out.jsonl"))
    assert done.exit_code == 1, done.stderr
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [record["id"] for record in found] == [12345678901234567890, "b"]
    rows = [[1, 2, 3], [None, 2.5, None]]
    assert as_float32([record["probability"] for record in found]) == expected(small, rows)
    for line, reason in {
        3: "amount: '1' is not a number",
        4: "amount: True is not a number",
        6: "no value for distance",
        7: "the line is not JSON",
        8: "the line is not a JSON object",
        9: "amount: a very large integer does not fit float32",
        10: "amount: [1] is not a number; hour: {} is not a number; distance: -inf does not fit",
    }.items():
        assert f"line {line}: {reason}" in done.stderr


def test_parquet_in_and_out(score: Score, small: ModelPackage, tmp_path: Path) -> None:
    table = {
        "distance": pa.array([1.0, float("nan"), None, float("inf"), 2.0], pa.float64()),
        "when": pa.array([1, 2, 3, 4, 5], pa.timestamp("s")),
        "amount": pa.array([1, 2**53 + 1, None, 4, 5], pa.int64()),
        "hour": pa.array([Decimal("1.25"), None, None, None, Decimal("2.50")], pa.decimal128(6, 2)),
    }
    pq.write_table(pa.table(table), tmp_path / "rows.parquet")
    done = score(tmp_path / "rows.parquet", "--id-column", "when", "--out", str(tmp_path / "out.parquet"))
    assert done.exit_code == 1, done.stderr
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.schema.names == ["when", "probability", "model_version"]
    assert found["when"].equals(pq.read_table(tmp_path / "rows.parquet")["when"].take([0, 1, 2, 4]))
    rows = [[1, 1.25, 1], [2**53 + 1, None, None], [None] * 3, [5, 2.5, 2]]
    assert as_float32(found["probability"].to_pylist()) == expected(small, rows)
    assert "row 4: distance: inf does not fit float32" in done.stderr
    plain = score(tmp_path / "rows.parquet", "--out", str(tmp_path / "plain.parquet"))
    assert plain.exit_code == 1
    assert pq.read_table(tmp_path / "plain.parquet")["row"].to_pylist() == [1, 2, 3, 5]


def test_a_quote_that_is_not_closed_costs_its_own_line(score: Score, small: ModelPackage, tmp_path: Path) -> None:
    rows = many(8000)
    write_csv(tmp_path / "rows.csv", rows)
    lines = (tmp_path / "rows.csv").read_text().splitlines()
    for index in (5, 6, 4000):
        lines[index] = lines[index].replace(",x,", ',"x,')
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    done = score(tmp_path / "rows.csv", "--id-column", "id")
    assert done.exit_code == 1
    assert "7997 rows scored, 3 refused" in done.stderr
    for line in (6, 7, 4001):
        assert f"line {line}: the line is not CSV: a quote in it is not closed" in done.stderr
    left = [row for index, row in enumerate(rows) if index not in (4, 5, 3999)]
    assert as_float32([record["probability"] for record in records(done.stdout)]) == expected(small, left)


def test_what_stands_in_quotes_is_no_row(score: Score, tmp_path: Path) -> None:
    """A record of the wrong width is refused whole, the lines of its quoted value with it."""
    (tmp_path / "rows.csv").write_text('amount,hour,distance,note\n1,2,3,"x\n7,8,9,fake\nz",extra\n4,5,6,y\n')
    done = score(tmp_path / "rows.csv")
    assert done.exit_code == 1
    assert [record["line"] for record in records(done.stdout)] == ["5"]
    assert "line 2: 5 values where the header names 4 columns (a value in quotes goes on to line 4)" in done.stderr


def test_an_id_column_that_is_not_there_is_named_before_anything_is_written(score: Score, tmp_path: Path) -> None:
    write_csv(tmp_path / "rows.csv", many(3))
    done = score(tmp_path / "rows.csv", "--id-column", "nope")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "has no column 'nope', which --id-column names" in done.stderr


def test_what_would_be_written_over_is_named_first(score: Score, tmp_path: Path) -> None:
    rows, other = tmp_path / "rows.csv", tmp_path / "other.csv"
    write_csv(rows, many(3))
    before = rows.read_bytes()
    other.symlink_to(rows)
    for options, reason in {
        ("--out", str(rows)): "would be written over",
        ("--out", str(other)): "would be written over",
        ("--errors", str(rows)): "would be written over",
        ("--out", str(tmp_path / "a.csv"), "--errors", str(tmp_path / "a.csv")): "--errors",
        ("--out", str(tmp_path)): "is a folder",
        ("--errors", str(tmp_path)): "is a folder",
        ("--out", str(tmp_path / "no" / "a.csv")): "does not exist",
    }.items():
        done = score(rows, *options)
        assert done.exit_code == 2
        assert reason in done.stderr
        assert rows.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("rows.csv", "amount,other\n1,2", "lacks 2 of the columns that the model needs: hour, distance"),
        ("rows.csv", "amount;hour;distance\n1;2;3", "not to be separated by commas"),
        ("rows.csv", "amount,hour,distance,hour\n1,2,3,4", "more than one column named hour"),
        ("rows.csv", "", "is empty"),
        ("rows.csv", "\ufeffamount,hour,distance\n".encode("utf-16"), "UTF-16"),
        ("rows.jsonl", "", "is empty"),
        ("rows.jsonl", '{"amount": 1}', "lacks 2 of the columns"),
        ("rows.parquet", "no parquet", "not a Parquet file"),
        ("rows.xlsx", "x", "rows are read from .csv"),
        ("absent.csv", None, "is not a file"),
    ],
)
def test_unusable_files_are_refused_whole(
    score: Score, tmp_path: Path, name: str, content: str | bytes | None, reason: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    before = sorted(tmp_path.iterdir())
    done = score(tmp_path / name, "--out", str(tmp_path / "out.csv"), "--errors", str(tmp_path / "errors.jsonl"))
    assert done.exit_code == 2
    assert reason in done.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_typed_columns_that_are_no_numbers_are_refused_whole(score: Score, tmp_path: Path) -> None:
    table = pa.table({"amount": [1.0], "hour": ["1"], "distance": [1]})
    pq.write_table(table, tmp_path / "rows.parquet")
    done = score(tmp_path / "rows.parquet")
    assert done.exit_code == 2
    assert "column hour holds string, not numbers" in done.stderr


def test_flags_are_ones_and_zeros_as_in_training(score: Score, small: ModelPackage, tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"amount": [1.0, 2.0, 3.0], "hour": [True, False, None], "distance": [1, 1, 1]}),
        tmp_path / "f.parquet",
    )
    (tmp_path / "f.csv").write_text("amount,hour,distance\n1,True,1\n2,false,1\n3,,1\n")
    for name in ("f.parquet", "f.csv"):
        done = score(tmp_path / name)
        assert done.exit_code == 0, done.stderr
        found = [record["probability"] for record in records(done.stdout)]
        assert as_float32(found) == expected(small, [[1, 1, 1], [2, 0, 1], [3, None, 1]])


def test_the_contract_holds_for_a_model_of_few_features(service: Server, small: ModelPackage) -> None:
    """Whose body limit is below what some of the contract's bodies have."""
    done = CliRunner().invoke(main, ["verify", service.url, "--model", str(small.directory)])
    assert done.exit_code == 0, done.output


def test_rows_that_the_service_refuses_are_left_out(service: Server, small: ModelPackage) -> None:
    rows: list[list[float | None]] = [*many(300)]
    for index in range(0, 300, 3):
        rows[index] = [1e39, None, 1]
    with ScoringClient(service.url) as client:
        answers = client.score(rows)
    for index, answer in enumerate(answers):
        assert (answer.probability is None) == (index % 3 == 0)
        assert (answer.reason or "").startswith("the service refuses value 1" if index % 3 == 0 else "")
    good = [row for index, row in enumerate(rows) if index % 3]
    assert as_float32([a.probability for a in answers if a.probability is not None]) == expected(small, good)


def test_a_wrong_number_of_values_ends_it(service: Server) -> None:
    with ScoringClient(service.url) as client, pytest.raises(UserError, match=r"answers 422.*body\.rows\.0"):
        client.score([[1.0, 2.0]])


def test_addresses_that_lead_nowhere_are_told_at_once(service: Server, tmp_path: Path) -> None:
    write_csv(tmp_path / "rows.csv", many(3))
    for url, reason in {
        f"http://127.0.0.1:{free_port()}": "cannot be used, tried 3 times",
        service.url + "/nowhere": "answers 404",
        "http://.svc:8000": "no name of a host",
        "http://127.0.0.1:99999": "65535 at most",
        "127.0.0.1:8000": "give the service's address",
    }.items():
        done = CliRunner().invoke(main, ["score", str(tmp_path / "rows.csv"), "--url", url])
        assert done.exit_code == 2
        assert reason in done.stderr


@pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl is not installed (Debian: apt-get install openssl)"
)
@pytest.mark.parametrize("variant", VARIANTS)
def test_an_authority_of_ones_own_is_trusted_when_it_is_given(
    variant: str, tmp_path: Path, small: ModelPackage
) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    make_certificate(certificate, key, "127.0.0.1")
    write_csv(tmp_path / "rows.csv", many(3))
    tls = {"TWINSCORE_TLS_CERT_FILE": str(certificate), "TWINSCORE_TLS_KEY_FILE": str(key)}
    with running(variant, tmp_path, "--model", str(small.directory), ca=certificate, environment=tls) as server:
        arguments = ["score", str(tmp_path / "rows.csv"), "--url", server.url]
        refused = CliRunner().invoke(main, arguments)
        assert refused.exit_code == 2
        assert "give its authority with --ca" in refused.stderr
        done = CliRunner().invoke(main, [*arguments, "--ca", str(certificate)])
        assert done.exit_code == 0, done.stderr
        assert len(records(done.stdout)) == 3


@pytest.mark.parametrize("variant", VARIANTS)
def test_refusals_for_load_and_size_cost_no_row(variant: str, tmp_path: Path, small: ModelPackage) -> None:
    """One request in flight and bodies of 24 kB, where four connections send batches of 1,024 rows."""
    rows = many(6000)
    write_csv(tmp_path / "rows.csv", rows)
    limits = {"TWINSCORE_MAX_IN_FLIGHT": "1", "TWINSCORE_MAX_BODY_BYTES": "24000", "TWINSCORE_MAX_BATCH_ROWS": "2"}
    with running(variant, tmp_path, "--model", str(small.directory), environment=limits) as server:
        arguments = ["score", str(tmp_path / "rows.csv"), "--url", server.url, "--batch-rows", "1024"]
        done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.stderr
    assert as_float32([record["probability"] for record in records(done.stdout)]) == expected(small, rows)
    assert "requests sent again" in done.stderr


class Collected:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.records: list[tuple[Any, float, str]] = []

    def write(self, records: Sequence[tuple[Any, float, str]]) -> None:
        self.records += records


def test_a_service_replaced_midway_costs_no_row(
    tmp_path: Path, small: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One variant goes away, the other comes with another model; every row is scored, and tells by which."""
    port = free_port()
    monkeypatch.setattr("tests.conftest.free_port", lambda: port)
    later = package_version(tmp_path, "2.0.0", seed=2)
    rows = many(1200)
    write_csv(tmp_path / "rows.csv", rows)
    sink = Collected()
    with ExitStack() as stack:
        first = ExitStack()
        server = first.enter_context(running(VARIANTS[0], tmp_path, "--model", str(small.directory)))

        def replacing() -> Iterator[Row | Refused]:
            for index, row in enumerate(CsvTable(tmp_path / "rows.csv", NAMES, None)):
                if index == 800:
                    first.close()
                    stack.enter_context(running(VARIANTS[1], tmp_path, "--model", str(later.directory)))
                yield row

        tally = collect(replacing(), stack.enter_context(ScoringClient(server.url)), sink)
    assert (tally.scored, tally.refused, tally.versions) == (1200, 0, {"1.0.0", "2.0.0"})
    assert [place for place, _, _ in sink.records] == list(range(2, 1202))
    packages = {"1.0.0": small, "2.0.0": later}
    for version, package in packages.items():
        mine = [(place, p) for place, p, of in sink.records if of == version]
        assert as_float32([p for _, p in mine]) == expected(package, [rows[place - 2] for place, _ in mine])


def collect(rows: Iterator[Row | Refused], client: ScoringClient, sink: Collected) -> Tally:
    def refuse(row: Refused) -> None:
        raise AssertionError(row)

    return score_rows(
        rows,
        client,
        sink,
        by_key=False,
        batch_rows=50,
        connections=4,
        refuse=refuse,
        advance=lambda: None,
    )


def test_a_service_that_stays_away_is_given_up_and_nothing_is_written(
    tmp_path: Path, small: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.scoring.client.MAX_WAIT_SECONDS", 0.01)
    write_csv(tmp_path / "rows.csv", many(50))
    with running(VARIANTS[0], tmp_path, "--model", str(small.directory)) as server:
        answered = ScoringClient.score

        def score(client: ScoringClient, rows: Sequence[Sequence[float | None]]) -> list[Scored]:
            server.stop()
            return answered(client, rows)

        monkeypatch.setattr(ScoringClient, "score", score)
        arguments = ["score", str(tmp_path / "rows.csv"), "--url", server.url, "--out", str(tmp_path / "out.csv")]
        done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert "tried 10 times" in done.stderr
    assert [path for path in tmp_path.iterdir() if "out.csv" in path.name] == []
