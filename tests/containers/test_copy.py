"""Copies between stores: the same rows on both sides, resumed after a kill, nothing of the target's put over."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType, Store, copy_blocks, open_store
from gridwatch.containers._fingerprint import Fingerprint
from gridwatch.containers.catalog import ARTIFACT_CHUNKS, ARTIFACTS, LABELS
from gridwatch.containers.copy import Copied, copy_container, copy_store
from gridwatch.containers.objects import ObjectStore
from gridwatch.errors import ConfigError, ContainerExistsError, ContainerNotFoundError, StoreError
from tests.containers.web_api import served, url

COPIER = Path(__file__).with_name("copy_process.py")
T = ColumnType
BARS = ContainerInfo(
    "Bars",
    ContainerType.TIME_SERIES,
    (Column("ts", T.TIMESTAMP, nullable=False), Column("v", T.DOUBLE, nullable=False), Column("s", T.STRING)),
    ("ts",),
    ("s",),
)
KEYLESS = ContainerInfo("keyless", ContainerType.COLLECTION, (Column("s", T.STRING), Column("b", T.BOOL)))
ROWS = 3_000
OBJECTS = {f"m/{number}": os.urandom(2_100_000) for number in range(2)}


def bars(count: int = ROWS) -> pa.Table:
    # Most of them within a second, and gaps of years.
    steps = np.where(np.arange(count) % 700 == 0, 50_000_000_000, 1)
    ts = pa.array(np.cumsum(steps), pa.timestamp("ms", "UTC"))
    return pa.table(
        {"ts": ts, "v": np.arange(count) / 7, "s": pa.array([f"é{i}" if i % 3 else None for i in range(count)])}
    )


def open_sqlite(folder: Path, name: str) -> Store:
    return open_store(f"sqlite:///{folder / name}")


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Store]:
    with open_sqlite(tmp_path, "source.db") as store:
        store.put_container(BARS)
        store.put("Bars", bars())
        store.put_container(KEYLESS)
        store.put("keyless", pa.table({"s": ["b", "a", "b", None], "b": [True, None, True, False]}))
        store.put_container(LABELS)
        objects = ObjectStore(store, now_ms=lambda: 1_700_000_000_000)
        for path, data in OBJECTS.items():
            objects.put(path, data)
        yield store


@pytest.fixture(params=["sqlite", "webapi"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with open_sqlite(tmp_path, "target.db") if request.param == "sqlite" else served() as store:
        yield store


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_blocks, "BLOCK_ROWS", 500)
    monkeypatch.setattr(copy_blocks, "BLOCK_BYTES", 1)


@pytest.mark.usefixtures("small_blocks")
def test_everything_is_copied_and_verified(source: Store, target: Store) -> None:
    told: list[tuple[int, int | None]] = []
    copied = copy_store(source, target, progress=lambda done, total: told.append((done, total)))
    assert [one.container for one in copied] == sorted(
        source.containers(), key=lambda name: (name == ARTIFACTS.name, name)
    )
    assert target.containers() == source.containers()
    assert target.container("bars") == BARS
    assert getattr(target.container("bars"), "indexes") == ("s",)  # noqa: B009  the field does not count in ==
    assert target.read("bars").equals(source.read("bars"))
    assert target.read("keyless").equals(source.read("keyless"))
    assert {path: ObjectStore(target).read(path) for path in OBJECTS} == OBJECTS
    assert copied[0] == Copied("Bars", ROWS, ROWS, Fingerprint.of(bars()).checksum, made=True)
    assert told[0] == (0, told[-1][0])
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert len(told) > ROWS // 500
    # Once more: nothing is left to do.
    assert [one.copied for one in copy_store(source, target)] == [0] * len(copied)


def test_named_containers_alone(source: Store, target: Store) -> None:
    assert [one.container for one in copy_store(source, target, ["KEYLESS", "bars"])] == ["Bars", "keyless"]
    assert target.containers() == ["Bars", "keyless"]
    with pytest.raises(ContainerNotFoundError, match=r"No container 'nosuch' in store 'sqlite:///.*source\.db'"):
        copy_store(source, target, ["labels", "nosuch"])
    assert target.container("labels") is None


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("killed_after", [3, 15])
def test_a_copy_that_was_killed_goes_on(source: Store, target: Store, killed_after: int) -> None:
    to = target.url if target.url.startswith("sqlite") else url()
    child = subprocess.Popen([sys.executable, str(COPIER), source.url, to], stdout=subprocess.PIPE, text=True)
    with child:
        assert child.stdout is not None
        for _ in range(killed_after):
            assert child.stdout.readline()
        child.kill()
    held = ObjectStore(target)
    # What is seen of a half copy is whole.
    assert all(held.read(info.path) == OBJECTS[info.path] for info in held.list())
    before = {name: target.read(name).num_rows for name in target.containers()}
    copied = {one.container: one for one in copy_store(source, target)}
    assert {name: one.copied for name, one in copied.items()} == {
        name: one.rows - before.get(name, 0) for name, one in copied.items()
    }
    assert target.read("bars").equals(source.read("bars"))
    assert {path: held.read(path) for path in OBJECTS} == OBJECTS


def test_another_schema_is_refused_before_anything_is_copied(source: Store, target: Store) -> None:
    target.put_container(
        ContainerInfo("bars", BARS.type, (BARS.columns[0], Column("v", T.DOUBLE), BARS.columns[2]), ("ts",))
    )
    with pytest.raises(
        ContainerExistsError, match=r"'Bars' is in the target .* with another columns .*v DOUBLE NOT NULL"
    ):
        copy_store(source, target)
    assert target.containers() == ["bars"]
    target.drop_container("bars")
    target.put_container(ContainerInfo("BARS", ContainerType.COLLECTION, BARS.columns, ("ts",)))
    with pytest.raises(
        ContainerExistsError, match=r"with another type \(COLLECTION, not TIME_SERIES\); rename or drop it"
    ):
        copy_store(source, target)


def test_rows_that_differ_are_not_put_over(source: Store, target: Store) -> None:
    copy_store(source, target, ["bars"])
    target.put(
        "bars", pa.table({"ts": pa.array([50_000_000_001], pa.timestamp("ms", "UTC")), "v": [0.5], "s": ["new"]})
    )
    message = (
        r"'Bars' of the target .* has rows that differ .* such as ts = 1971-08-02 .* may be newer; pass --overwrite"
    )
    with pytest.raises(ContainerExistsError, match=message):
        copy_store(source, target, ["bars"])
    assert target.get("bars", [50_000_000_001]).to_pydict()["s"] == ["new"]
    (copied,) = copy_store(source, target, ["bars"], overwrite=True)
    assert copied.copied == 1
    assert target.read("bars").equals(source.read("bars"))


def test_rows_of_the_targets_own_are_told(source: Store, target: Store) -> None:
    copy_store(source, target, ["labels", "keyless"])
    target.put("labels", pa.table({"id": ["mine"], "series": ["x"]}))
    with pytest.raises(
        StoreError, match=r"'labels' differs after the copy .*: it has 1 rows there and 0 in the source\."
    ):
        copy_store(source, target, ["labels"])
    target.put("keyless", pa.table({"s": ["more"]}))
    with pytest.raises(
        ContainerExistsError, match=r"'keyless' .*the rows there are not the first of the source's; drop it"
    ):
        copy_store(source, target, ["keyless"], overwrite=True)


def test_a_write_during_the_copy_is_told(source: Store, target: Store) -> None:
    def write(done: int, _total: int | None) -> None:
        if done:
            target.delete("bars", [50_000_000_001])

    info = source.container("bars")
    assert info is not None
    with pytest.raises(StoreError, match=r"'Bars' differs after the copy .*2999 rows there and 3000 .*gridwatch down"):
        copy_container(source, target, info, progress=write)


def test_a_store_is_not_copied_onto_itself(source: Store) -> None:
    with pytest.raises(ConfigError, match="Source and target are the same store"):
        copy_store(source, source)


def test_chunks_go_before_the_manifests(source: Store, target: Store) -> None:
    order = [one.container for one in copy_store(source, target, [ARTIFACTS.name, ARTIFACT_CHUNKS.name, "labels"])]
    assert order == ["labels", ARTIFACT_CHUNKS.name, ARTIFACTS.name]


ROW = st.tuples(
    st.integers(-(2**63), 2**63 - 1) | st.none(),
    st.floats(allow_nan=False) | st.none(),
    st.text() | st.none(),
    st.binary() | st.none(),
    st.booleans() | st.none(),
)
KINDS = (pa.int64(), pa.float64(), pa.string(), pa.binary(), pa.bool_())


def table(rows: list[tuple[object, ...]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(KINDS)
    return pa.table(
        {f"c{n}": pa.array(column, kind) for n, (column, kind) in enumerate(zip(columns, KINDS, strict=True))}
    )


@settings(max_examples=30, deadline=None)
@given(st.lists(ROW, max_size=8), st.randoms(use_true_random=False))
def test_a_fingerprint_does_not_depend_on_order(rows: list[tuple[object, ...]], random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    whole = Fingerprint.of(table(rows))
    assert Fingerprint.of(table(shuffled)) == whole
    assert Fingerprint.of(table(rows[:3])) + Fingerprint.of(table(rows[3:])) == whole
    assert Fingerprint.of(table(rows).select(["c4", "c0", "c3", "c2", "c1"])) == whole


@settings(max_examples=50, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=5), st.integers(0, 4), ROW)
def test_a_fingerprint_tells_one_changed_value(
    rows: list[tuple[object, ...]], place: int, other: tuple[object, ...]
) -> None:
    changed = [list(row) for row in rows]
    changed[0][place] = other[place]
    same = all(a == b and type(a) is type(b) for a, b in zip(changed[0], rows[0], strict=True))
    assert (Fingerprint.of(table([tuple(row) for row in changed])) == Fingerprint.of(table(rows))) == same
    assert Fingerprint.of(table(rows)).rows == len(rows)
