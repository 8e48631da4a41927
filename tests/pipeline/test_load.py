"""Load and ingest: a source through a real broker into a real store, recorded, resumed, with nothing lost or twice."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from gridwatch.containers import Store, open_store
from gridwatch.errors import MissingServiceError, RateLimitedError, SourceError
from gridwatch.pipeline.ingest import ingest_daily
from gridwatch.pipeline.load import load_batch
from gridwatch.settings import AlphaVantageSettings, KafkaSettings, Settings
from gridwatch.sources import Dataset
from gridwatch.sources.testing import AlphaVantageServer, Answer
from gridwatch.streaming import read_dead_letters

NOW_MS = int(datetime(2013, 10, 11, 22, tzinfo=UTC).timestamp() * 1000)
HEADER = "timestamp,open,high,low,close,volume\n"
NOTE = Answer('{"Note": "Our standard API call frequency is 5 calls per minute."}')


def _month(month: str, rows: int = 3) -> str:
    return "".join(f"{month}-02 09:{30 + row}:00,1,2,1,1.5,{row}\r\n" for row in reversed(range(rows)))


@pytest.fixture
def server() -> Iterator[AlphaVantageServer]:
    months = {month: _month(month) for month in ("2013-07", "2013-08", "2013-09", "2013-10")}
    months["daily"] = "2013-10-11 09:30:00,1,2,1,1.5,9\r\n" + months["2013-10"]
    with AlphaVantageServer(months) as server:
        yield server


@pytest.fixture
def settings(tmp_path: Path, bootstrap: str, server: AlphaVantageServer) -> Settings:
    return Settings(
        home=tmp_path / "home",
        kafka=KafkaSettings(bootstrap_servers=bootstrap, group_id=f"group-{uuid.uuid4().hex[:8]}"),
        alpha_vantage=AlphaVantageSettings(
            base_url=server.url, api_key=SecretStr("secret-key"), requests_per_minute=60_000, attempts=2, timeout_s=20
        ),
    )


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with open_store(settings.store) as store:
        yield store


@pytest.fixture
def symbol() -> str:
    """A symbol of the test's own: topics outlive it."""
    return f"T{uuid.uuid4().hex[:8]}"


@pytest.fixture
def stock(symbol: str) -> Dataset:
    source = {"kind": "alpha_vantage", "symbol": "IBM"}
    return Dataset.model_validate({"name": "stock", "symbol": symbol, "source": source, "calendar": "XNYS"})


@pytest.fixture
def folder(symbol: str, tmp_path: Path) -> Dataset:
    source = {"kind": "csv_folder", "path": str(tmp_path / "csv")}
    (tmp_path / "csv").mkdir()
    return Dataset.model_validate({"name": "folder", "symbol": symbol, "source": source})


def _volumes(store: Store, dataset: Dataset) -> list[int]:
    volumes: list[int] = store.read(dataset.container)["volume"].to_pylist()
    return volumes


def _loaded(store: Store) -> list[tuple[str, int]]:
    rows = store.sql("SELECT batch, rows FROM loads ORDER BY batch")
    return [(row["batch"], row["rows"]) for row in rows.to_pylist()]


def test_a_load_brings_every_month_and_records_those_that_are_over(
    stock: Dataset, store: Store, settings: Settings, server: AlphaVantageServer
) -> None:
    told: list[tuple[int, int | None]] = []
    report = load_batch(
        stock, store, settings, now_ms=NOW_MS, months=3, progress=lambda done, of: told.append((done, of))
    )
    assert (report.batches, report.rows, report.rejected, report.skipped_batches) == (4, 12, 0, 0)
    assert _volumes(store, stock) == [0, 1, 2] * 4
    assert _loaded(store) == [("2013-07", 3), ("2013-08", 3), ("2013-09", 3)]
    assert told == [(3, None), (6, None), (9, None), (12, None)]
    assert json.loads(json.dumps(dataclasses.asdict(report)))["from_ms"] == 1372771800000
    again = load_batch(stock, store, settings, now_ms=NOW_MS, months=3)
    assert (again.batches, again.rows, again.skipped_batches) == (1, 3, 3)
    assert [query["month"] for query in server.asked[4:]] == ["2013-10"]
    assert len(_volumes(store, stock)) == 12


def test_a_load_that_is_cut_short_goes_on_where_it_stopped(
    stock: Dataset, store: Store, settings: Settings, server: AlphaVantageServer
) -> None:
    server.answers.extend([Answer(HEADER + _month("2013-07")), Answer(HEADER + _month("2013-08")), NOTE, NOTE])
    with pytest.raises(RateLimitedError, match=r"limits requests at .* for 2013-09: .*a load goes on where it stopped"):
        load_batch(stock, store, settings, now_ms=NOW_MS, months=3)
    assert _loaded(store) == [("2013-07", 3), ("2013-08", 3)]
    assert len(_volumes(store, stock)) == 6
    asked = len(server.asked)
    report = load_batch(stock, store, settings, now_ms=NOW_MS, months=3)
    assert [query["month"] for query in server.asked[asked:]] == ["2013-09", "2013-10"]
    assert (report.batches, report.skipped_batches) == (2, 2)
    assert len(_volumes(store, stock)) == 12


_CHILD = """
import sys
from gridwatch.containers import open_store
from gridwatch.pipeline.load import load_batch
from gridwatch.settings import Settings
from gridwatch.sources import Dataset
settings = Settings.model_validate_json(sys.argv[1])
with open_store(settings.store) as store:
    load_batch(Dataset.model_validate_json(sys.argv[2]), store, settings, now_ms=int(sys.argv[3]), months=3)
"""


def test_a_load_that_is_killed_is_done_again_without_loss(
    stock: Dataset, store: Store, settings: Settings, server: AlphaVantageServer
) -> None:
    release = server.hold("2013-09")
    plain = json.loads(settings.model_dump_json())
    plain["alpha_vantage"]["api_key"] = "secret-key"
    arguments = [json.dumps(plain), stock.model_dump_json(), str(NOW_MS)]
    child = subprocess.Popen([sys.executable, "-c", _CHILD, *arguments], stdout=subprocess.DEVNULL)
    try:
        assert server.holding.wait(60), "the child has not come to the third month"
    finally:
        child.kill()
        child.wait()
        release.set()
    report = load_batch(stock, store, settings, now_ms=NOW_MS, months=3)
    assert report.rows + 3 * report.skipped_batches == 12
    assert _volumes(store, stock) == [0, 1, 2] * 4
    assert _loaded(store) == [("2013-07", 3), ("2013-08", 3), ("2013-09", 3)]


def test_failures_and_notes_on_the_way_change_nothing(
    stock: Dataset, store: Store, settings: Settings, server: AlphaVantageServer
) -> None:
    server.answers.extend([Answer("slow", 429, {"Retry-After": "0"})])
    server.answers.extend([Answer(HEADER + _month("2013-09")), Answer("oops", 500), Answer(HEADER + _month("2013-10"))])
    assert load_batch(stock, store, settings, now_ms=NOW_MS, months=1).rows == 6


def test_an_empty_month_is_recorded_too(
    stock: Dataset, store: Store, settings: Settings, server: AlphaVantageServer
) -> None:
    del server.months["2013-09"]
    report = load_batch(stock, store, settings, now_ms=NOW_MS, months=1)
    assert (report.batches, report.rows) == (2, 3)
    assert _loaded(store) == [("2013-09", 0)]


def test_ingest_brings_the_newest_rows_as_often_as_it_is_asked(
    stock: Dataset, store: Store, settings: Settings
) -> None:
    for _ in range(2):
        report = ingest_daily(stock, store, settings, now_ms=NOW_MS)
        assert (report.batches, report.rows, report.skipped_batches) == (1, 4, 0)
        assert _volumes(store, stock) == [0, 1, 2, 9]
    assert _loaded(store) == []


def test_rejected_lines_are_dead_letters_with_their_reason(
    folder: Dataset, store: Store, settings: Settings, bootstrap: str, tmp_path: Path
) -> None:
    lines = "2013-10-10 09:30:00,1,2,1,1,7\n2013-10-10 09:31:00,1,2,1,oops,7\nrubbish\n"
    (tmp_path / "csv" / "a.csv").write_text(HEADER + lines)
    report = load_batch(folder, store, settings, now_ms=NOW_MS)
    assert (report.rows, report.rejected) == (1, 2)
    assert [reason.split(", ", 1)[1] for reason in report.reasons] == [
        "line 3: close: not a number",
        "line 4: 1 fields, and the header has 6",
    ]
    letters = list(read_dead_letters(settings, bootstrap, folder.container))
    assert [(letter.value, letter.reason) for letter in letters] == [
        (b"2013-10-10 09:31:00,1,2,1,oops,7", "close: not a number"),
        (b"rubbish", "1 fields, and the header has 6"),
    ]
    headers = dict(letters[0].headers)
    assert (headers["dataset"], headers["line"]) == (b"folder", b"3")


def test_ingest_of_a_folder_takes_what_is_new(
    folder: Dataset, store: Store, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "csv" / "a.csv").write_text(f"{HEADER}2013-10-10 09:30:00,1,2,1,1,7\n")
    load_batch(folder, store, settings, now_ms=NOW_MS)
    (tmp_path / "csv" / "b.csv").write_text(f"{HEADER}2013-10-11 09:30:00,1,2,1,1,8\n")
    report = ingest_daily(folder, store, settings, now_ms=NOW_MS)
    assert (report.batches, report.rows, report.skipped_batches) == (1, 1, 1)
    assert _volumes(store, folder) == [7, 8]


def test_nothing_new_needs_no_broker(folder: Dataset, store: Store, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "csv" / "a.csv").write_text(f"{HEADER}2013-10-10 09:30:00,1,2,1,1,7\n")
    load_batch(folder, store, settings, now_ms=NOW_MS)
    kafka = settings.kafka.model_copy(update={"bootstrap_servers": "127.0.0.1:1", "request_timeout_s": 1.0})
    away = settings.model_copy(update={"kafka": kafka})
    assert load_batch(folder, store, away, now_ms=NOW_MS).batches == 0
    (tmp_path / "csv" / "b.csv").write_text(f"{HEADER}2013-10-11 09:30:00,1,2,1,1,8\n")
    with pytest.raises(MissingServiceError, match=r"Kafka at 127\.0\.0\.1:1 does not answer"):
        load_batch(folder, store, away, now_ms=NOW_MS)
    assert len(_loaded(store)) == 1


def test_a_source_that_fails_at_once_makes_nothing(folder: Dataset, store: Store, settings: Settings) -> None:
    with pytest.raises(SourceError, match=r"No file in .* matches '\*\.csv' for dataset 'folder'"):
        load_batch(folder, store, settings, now_ms=NOW_MS)
    assert store.container(folder.container) is None
