"""One at a time for a change of a row, as on stores whose UPDATE ... WHERE may have several winners."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from gridwatch.containers.catalog import LEASES
from gridwatch.containers.lease import Lease
from gridwatch.containers.sqlite import SqliteStore
from gridwatch.containers.turn import turn
from gridwatch.errors import StoreError


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqliteStore]:
    """A store that says of itself what GridDB's stores say."""
    monkeypatch.setattr(SqliteStore, "atomic_updates", False)
    with SqliteStore(tmp_path / "store.db") as store:
        store.put_container(LEASES)
        yield store


def test_a_lease_is_kept_while_its_holder_is_busy(store: SqliteStore, capsys: pytest.CaptureFixture[str]) -> None:
    now_ms = [1000]
    mine, other = (Lease(store, "job", clock=lambda: now_ms[0], lasts_ms=80) for _ in range(2))

    def until(end_ms: int) -> None:
        ends = time.monotonic() + 120
        while store.read(LEASES.name).to_pylist()[0]["until_ms"] < end_ms:
            assert time.monotonic() < ends
            time.sleep(0.005)

    assert mine.hold()
    with mine.kept():
        for now_ms[0] in (1079, 1158):
            until(now_ms[0] + 80)
            assert not other.hold()
    assert other.hold(), "given back at the end"
    other.release()
    assert mine.hold()
    with pytest.raises(ValueError, match="inside"), mine.kept():
        raise ValueError("inside")
    assert other.hold(), "and after a failure"
    other.release()
    assert mine.hold()
    with mine.kept():
        store.drop_container(LEASES.name)
        ends = time.monotonic() + 120
        while "lease_not_renewed" not in capsys.readouterr().out:
            now_ms[0] += 80
            assert time.monotonic() < ends
            time.sleep(0.02)
        store.put_container(LEASES)


def rows(store: SqliteStore) -> int:
    return int(store.read(LEASES.name).num_rows)


def test_a_turn_is_one_callers_and_is_given_back(store: SqliteStore) -> None:
    with turn(store, "row", now_ms=1000) as first:
        with turn(store, "row", now_ms=1000) as second, turn(store, "other", now_ms=1000) as other:
            assert (first, second, other) == (True, False, True)
    assert rows(store) == 0
    with pytest.raises(ValueError, match="inside"), turn(store, "row", now_ms=1000):
        raise ValueError("inside")
    with turn(store, "row", now_ms=1000) as again:
        assert again


def test_of_many_at_once_one_has_it(store: SqliteStore) -> None:
    together, leave = threading.Barrier(6), threading.Barrier(6)

    def attempt(_: int) -> bool:
        together.wait(120)
        with turn(store, "row", now_ms=1000) as ours:
            leave.wait(120)
            return ours

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(attempt, range(6))) == [False] * 5 + [True]


def test_a_turn_of_one_that_died_is_passed_over_when_it_is_old(store: SqliteStore) -> None:
    store.put(LEASES.name, pa.table({"name": ["turn row 0"], "until_ms": [61_000]}))
    with turn(store, "row", now_ms=61_000) as young:
        assert not young
    with turn(store, "row", now_ms=61_001) as old, turn(store, "row", now_ms=61_001) as second:
        assert (old, second) == (True, False)
    assert rows(store) == 1


def test_a_turn_that_cannot_be_given_back_is_told_and_ends_by_itself(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def away(*_: object) -> int:
        raise StoreError("away")

    with monkeypatch.context() as patched:
        patched.setattr(store, "delete", away)
        with turn(store, "row", now_ms=0) as ours:
            assert ours
    assert "turn_left" in capsys.readouterr().out
    with turn(store, "row", now_ms=60_001) as later:
        assert later


def test_a_store_that_fails_is_told(store: SqliteStore) -> None:
    store.drop_container(LEASES.name)
    with pytest.raises(StoreError, match="leases"), turn(store, "row", now_ms=0):
        pass


def test_too_many_dead_turns_are_told(store: SqliteStore) -> None:
    names = [f"turn row {number}" for number in range(20)]
    store.put(LEASES.name, pa.table({"name": names, "until_ms": [1] * 20}))
    with pytest.raises(StoreError, match=r"20 turns at 'row' were left .*delete their rows of leases"):
        with turn(store, "row", now_ms=5):
            pass


def test_a_holder_keeps_its_lease_when_its_renewal_meets_a_turn(store: SqliteStore) -> None:
    now_ms = 1000
    mine = Lease(store, "job", clock=lambda: now_ms, lasts_ms=900)
    other = Lease(store, "job", clock=lambda: now_ms, lasts_ms=900)
    assert (mine.hold(), other.hold()) == (True, False)
    now_ms = 1500
    with turn(store, "job", now_ms=now_ms):
        assert (mine.hold(), other.hold()) == (True, False)
    now_ms = 3000
    with turn(store, "job", now_ms=now_ms):
        assert (mine.hold(), other.hold()) == (False, False)
    assert (other.hold(), mine.hold()) == (True, False)


def test_a_lease_is_given_up_in_its_turn(store: SqliteStore) -> None:
    now_ms = 1000
    mine, other = (Lease(store, "job", clock=lambda: now_ms, lasts_ms=900) for _ in range(2))
    assert mine.hold()
    with turn(store, "job", now_ms=now_ms):
        mine.release()
    assert not other.hold()
    mine.release()
    assert other.hold()


def test_no_turn_is_needed_where_updates_are_atomic(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SqliteStore, "atomic_updates", True)
    with turn(store, "row", now_ms=0) as first, turn(store, "row", now_ms=0) as second:
        assert (first, second, rows(store)) == (True, True, 0)
