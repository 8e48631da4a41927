"""Stores that older versions of gridwatch wrote: opened, brought up to date, and worked with.

`stores/format_N.db.gz` was written by the gridwatch whose stores had format N: 50 rows of a series, a scored row, an
anomaly that was told of, a watermark, and from format 2 on a small object.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pytest

from gridwatch.alerts.anomalies import list_anomalies
from gridwatch.containers import _sqlite_format as layout
from gridwatch.containers._sqlite_session import Session
from gridwatch.containers.catalog import ARTIFACTS, DELIVERIES, DETECTIONS, anomaly_info, score_info, series_info
from gridwatch.containers.objects import ObjectStore
from gridwatch.containers.restore import restore_store
from gridwatch.containers.sqlite import SqliteStore
from gridwatch.settings import RetentionSettings, Settings
from gridwatch.upkeep import run_upkeep

STORES = Path(__file__).with_name("stores")
FIRST_MS = 1_700_000_000_000
VERSIONS = range(1, layout.FORMAT_VERSION + 1)


def unpacked(version: int, path: Path) -> Path:
    path.write_bytes(gzip.decompress((STORES / f"format_{version}.db.gz").read_bytes()))
    return path


def version_of(path: Path) -> int:
    session = Session(path)
    try:
        return int(session.query("PRAGMA user_version").column(0)[0].as_py())
    finally:
        session.close()


def test_there_is_a_store_of_every_format() -> None:
    """Whoever makes a new format keeps a store of it here, before the next one comes."""
    assert {path.name for path in STORES.iterdir()} == {f"format_{version}.db.gz" for version in VERSIONS}


@pytest.mark.parametrize("version", VERSIONS)
def test_what_was_stored_is_there_and_new_columns_are_empty(version: int, tmp_path: Path) -> None:
    path = unpacked(version, tmp_path / "store.db")
    assert version_of(path) == version
    with SqliteStore(path) as store:
        assert store.read("INTRADAY_AAPL")["close"].to_pylist() == [100.0 + row for row in range(50)]
        for info in (score_info("AAPL"), anomaly_info("AAPL"), DELIVERIES, DETECTIONS):
            assert store.put_container(info, modifiable=True).arrow == info.arrow
        scored = score_info("AAPL").arrow
        new = {"ts": FIRST_MS + 60_000, "actual": 101.0, "driver": "seasonal"}
        store.put("SCORE_AAPL", pa.Table.from_pylist([{name: new.get(name) for name in scored.names}], schema=scored))
        assert store.sql("SELECT score, driver FROM SCORE_AAPL ORDER BY ts").to_pylist() == [
            {"score": 99.5, "driver": None},
            {"score": None, "driver": "seasonal"},
        ]
        [anomaly] = list_anomalies(store)
        assert (anomaly["id"], anomaly["mail"], anomaly["explanation"]) == ("a" * 32, "sent", None)
        if store.container(ARTIFACTS.name):
            assert ObjectStore(store).read("1/model/detector.json") == b"{}"
        large = bytes(9 << 20)
        ObjectStore(store).put("2/model/model.keras", large)
        assert ObjectStore(store).read("2/model/model.keras") == large
        store.execute("CREATE VIEW dear AS SELECT ts FROM INTRADAY_AAPL WHERE close > 140")
        assert store.sql("SELECT COUNT(*) AS n FROM dear").to_pylist() == [{"n": 9}]
        keep = Settings(home=tmp_path, retention=RetentionSettings(scores_days=1, anomalies_days=1))
        assert run_upkeep(store, keep, [], clock=lambda: FIRST_MS + 10 * 86_400_000).rows == 4
    assert version_of(path) == layout.FORMAT_VERSION
    session = Session(path)
    assert session.query("PRAGMA integrity_check").column(0).to_pylist() == ["ok"]
    session.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_backup_of_an_older_version_is_restored_and_stays_as_it_is(version: int, tmp_path: Path) -> None:
    backup = unpacked(version, tmp_path / "backup.db")
    before = backup.read_bytes()
    with SqliteStore(tmp_path / "store.db") as store:
        store.put_container(series_info("newer"))
    assert restore_store(backup, tmp_path / "store.db") is not None
    assert backup.read_bytes() == before
    with SqliteStore(tmp_path / "store.db") as store:
        assert "newer" not in store.containers()
        assert store.read("INTRADAY_AAPL").num_rows == 50
