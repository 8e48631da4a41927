"""What every store promises; a new backend adds one line to BACKENDS."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gridwatch.containers import PLAIN_TYPES, Column, ColumnType, ContainerInfo, ContainerType, Store, open_store
from gridwatch.errors import (
    ContainerExistsError,
    ContainerNotFoundError,
    RangeTooLargeError,
    SchemaError,
    StoreError,
    ValueRefusedError,
)
from tests.containers.griddb_server import griddb, needs_server
from tests.containers.web_api import served

# Functions that open a store in a folder.
BACKENDS: dict[str, Any] = {
    "sqlite": lambda folder: open_store(f"sqlite:///{folder / 'store.db'}"),
    "webapi": served,
    "griddb": pytest.param(griddb, marks=pytest.mark.griddb),
}

T = ColumnType
BARS = ContainerInfo(
    "pump_7",
    ContainerType.TIME_SERIES,
    (Column("ts", T.TIMESTAMP, nullable=False), Column("v", T.DOUBLE), Column("n", T.LONG)),
    ("ts",),
)
EVERYTHING = ContainerInfo(
    "everything",
    ContainerType.COLLECTION,
    (Column("id", T.STRING, nullable=False), *(Column(f"c_{kind.lower()}", kind) for kind in PLAIN_TYPES)),
    ("id",),
)
PARTS = ContainerInfo(
    "parts",
    ContainerType.COLLECTION,
    (Column("a", T.STRING, nullable=False), Column("b", T.INTEGER, nullable=False), Column("data", T.BLOB)),
    ("a", "b"),
)
KEYLESS = ContainerInfo("keyless", ContainerType.COLLECTION, (Column("s", T.STRING), Column("n", T.LONG)))


@pytest.fixture(params=list(BACKENDS.values()), ids=list(BACKENDS))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with request.param(tmp_path) as store:
        for info in (BARS, EVERYTHING, PARTS, KEYLESS):
            store.put_container(info)
        store.put("pump_7", bars(2_000, 1_000, 3_000))
        yield store


def bars(*times_ms: int) -> pa.Table:
    return pa.table(
        {
            "ts": pa.array(times_ms, pa.timestamp("ms", "UTC")),
            "v": pa.array([ms / 10_000 for ms in times_ms]),
            "n": pa.array(times_ms),
        }
    )


def times_ms(table: pa.Table) -> list[int]:
    times: list[int] = table.column("ts").cast(pa.int64()).to_pylist()
    return times


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "times"),
    [
        (0, 999, []),
        (0, 2_000, [1_000, 2_000]),
        (2_000, None, [2_000, 3_000]),
        (None, 3_000, [1_000, 2_000, 3_000]),
        (None, None, [1_000, 2_000, 3_000]),
        (2_000, 2_000, [2_000]),
        (3_001, 9_000, []),
    ],
)
def test_read_is_ordered_and_includes_both_ends(
    store: Store, start_ms: int | None, end_ms: int | None, times: list[int]
) -> None:
    rows = store.read("pump_7", start_ms, end_ms)
    assert times_ms(rows) == times
    assert rows.schema == BARS.arrow


def test_read_past_rows_max_is_an_error(store: Store) -> None:
    assert store.read("pump_7", rows_max=3).num_rows == 3
    with pytest.raises(RangeTooLargeError, match=r"'pump_7' has more than 2 rows.*raise rows_max"):
        store.read("pump_7", rows_max=2)


def test_a_reversed_range_is_an_error(store: Store) -> None:
    with pytest.raises(ValueError, match=r"start_ms must not be above end_ms, got 2 and 1\."):
        store.read("pump_7", 2, 1)


def test_a_collection_has_no_range_of_time(store: Store) -> None:
    with pytest.raises(SchemaError, match="'parts' is a collection"):
        store.read("parts", 0, 1)


def test_read_of_some_columns_keeps_their_order(store: Store) -> None:
    assert store.read("pump_7", columns=["N", "ts"]).column_names == ["n", "ts"]
    with pytest.raises(SchemaError, match=r"'pump_7' has no column 'x'; it has ts, v, n\."):
        store.read("pump_7", columns=["x"])


def test_put_replaces_by_key_and_the_last_of_equal_keys_wins(store: Store) -> None:
    ts = pa.array([2_000, 5_000, 5_000], pa.timestamp("ms", "UTC"))
    assert store.put("pump_7", pa.table({"ts": ts, "v": [0.5, 1.5, 2.5]})) == 3
    assert store.read("pump_7", 2_000).to_pydict()["v"] == [0.5, 0.3, 2.5]
    # A column that is not given is null, not what was there before.
    assert store.read("pump_7", 2_000).to_pydict()["n"] == [None, 3_000, None]


def test_names_are_compared_without_case_and_kept(store: Store) -> None:
    assert times_ms(store.read("PUMP_7", 3_000)) == [3_000]
    assert store.put("Pump_7", bars(4_000).rename_columns(["TS", "V", "N"])) == 1
    found = store.container("PUMP_7")
    assert found is not None
    assert found.name == "pump_7"
    assert store.containers() == ["everything", "keyless", "parts", "pump_7"]


@pytest.mark.parametrize("action", ["put", "read", "get", "delete"])
def test_a_container_that_is_not_there(store: Store, action: str) -> None:
    needed: dict[str, list[object]] = {"put": [bars(1)], "read": [], "get": [["a"]], "delete": [["a"]]}
    with pytest.raises(ContainerNotFoundError, match="No container 'nosuch'"):
        getattr(store, action)("nosuch", *needed[action])
    assert store.container("nosuch") is None
    store.drop_container("nosuch")


def test_drop_container(store: Store) -> None:
    store.drop_container("PUMP_7")
    assert store.container("pump_7") is None
    store.put_container(BARS)
    assert store.read("pump_7").num_rows == 0


LIMITS: dict[ColumnType, list[Any]] = {
    T.BOOL: [True, False],
    T.STRING: ["", "Gänge 漢字 🦉"],
    T.BYTE: [-128, 127],
    T.SHORT: [-32_768, 32_767],
    T.INTEGER: [-(2**31), 2**31 - 1],
    T.LONG: [-(2**63), 2**63 - 1],
    T.FLOAT: [float(np.finfo(np.float32).max), 1.17549435e-38],
    T.DOUBLE: [1.7976931348623157e308, 5e-324],
    T.TIMESTAMP: [0, 253_402_300_799_999],
    T.BLOB: [b"", bytes(range(256))],
}


@pytest.mark.parametrize("kind", PLAIN_TYPES)
def test_every_type_keeps_its_limits_and_null(store: Store, kind: ColumnType) -> None:
    values = pa.array([*LIMITS[kind], None], kind.arrow)
    name = f"c_{kind.lower()}"
    store.put("everything", pa.table({"id": ["a", "b", "c"], name: values}))
    rows = store.get("everything", ["a", "b", "c"])
    assert rows.schema == EVERYTHING.arrow
    assert rows.column(name).combine_chunks() == values


def test_nulls_before_values_keep_the_type(store: Store) -> None:
    count = 3_000
    values = pa.array([None] * (count - 1) + [1.5])
    ts = pa.array(range(10_000, 10_000 + count), pa.timestamp("ms", "UTC"))
    store.put("pump_7", pa.table({"ts": ts, "v": values}))
    rows = store.read("pump_7", 10_000)
    assert rows.schema == BARS.arrow
    assert rows.column("v").null_count == count - 1
    assert rows.column("v")[-1].as_py() == 1.5


def test_frames_go_in_and_out(store: Store) -> None:
    frame = pd.DataFrame(
        {
            "ts": pd.to_datetime([10_000, 20_000], unit="ms", utc=True).as_unit("ns"),
            "v": [1.5, -2.5],
            "n": pd.array([1, None], dtype="Int64"),
        }
    )
    assert store.put("pump_7", frame) == 2
    rows = store.read("pump_7", 10_000).to_pandas()
    assert rows["ts"].tolist() == frame["ts"].tolist()
    assert rows["v"].tolist() == [1.5, -2.5]
    assert pd.isna(rows["n"][1])


@pytest.mark.parametrize(
    "ts",
    [
        pd.Series(pd.to_datetime(["2024-01-01"])),
        pd.Series(pd.to_datetime(["2024-01-01T01:00:00+01:00"])),
        pd.Series([1_704_067_200_000]),
        pd.Series([datetime(2024, 1, 1, tzinfo=UTC)], dtype=object),
    ],
    ids=["naive-is-utc", "zone", "ms", "objects"],
)
def test_times_of_many_shapes(store: Store, ts: pd.Series[Any]) -> None:
    store.put("pump_7", pd.DataFrame({"ts": ts}))
    assert times_ms(store.read("pump_7", 1_704_067_200_000)) == [1_704_067_200_000]


REFUSED = {
    "nan": ({"v": [0.5, float("nan")]}, r"'pump_7', column 'v', row 1: value nan: not finite.*as null"),
    "infinity": ({"v": [float("-inf"), 0.5]}, r"column 'v', row 0: value -inf: not finite"),
    "text": ({"v": ["1.5", "a"]}, r"column 'v', row 0: value 1\.5: .*string is not DOUBLE"),
    "bool": ({"n": [True, False]}, r"column 'n', row 0: .*bool is not LONG"),
    "fraction": ({"n": [1.0, 1.5]}, r"column 'n', row 1: value 1\.5: no whole number"),
    "too large": ({"n": np.array([1, 2**63], dtype=np.uint64)}, r"row 1: value 9223372036854775808: out of range"),
    "before the epoch": ({"ts": pd.to_datetime([0, -1], unit="ms")}, r"column 'ts', row 1: value -1: outside 0\.\."),
    "after 9999": ({"ts": [0, 253_402_300_800_000]}, r"row 1: value 253402300800000: outside"),
    "microseconds": ({"ts": pd.to_datetime([0, 1], unit="us")}, r"row 1: value 1: finer than a millisecond"),
    "null key": ({"ts": [pd.Timestamp(0), None]}, r"column 'ts', row 1: .*must not be null"),
    "mixed objects": ({"v": [0.5, "a"]}, r"column 'v': its values are not all DOUBLE"),
}


@pytest.mark.parametrize(("columns", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_values_name_column_value_and_row(store: Store, columns: dict[str, object], message: str) -> None:
    with pytest.raises(ValueRefusedError, match=message):
        store.put("pump_7", pd.DataFrame({"ts": [10_000, 20_000], **columns}))
    assert store.read("pump_7", 10_000).num_rows == 0


def test_refused_text(store: Store) -> None:
    with pytest.raises(ValueRefusedError, match=r"\[145006\].*column 'c_string', row 0: .*NUL"):
        store.put("everything", pa.table({"id": ["a"], "c_string": ["a\0b"]}))
    with pytest.raises(ValueRefusedError, match=r"\[60079\].*longer than 31744 bytes; use a BLOB"):
        store.put("everything", pa.table({"id": ["a"], "c_string": ["é" * 15_873]}))
    assert store.put("everything", pa.table({"id": ["a"], "c_string": ["a" * 31_744]})) == 1


def test_unknown_and_repeated_columns(store: Store) -> None:
    with pytest.raises(SchemaError, match="'pump_7' has no column 'w'; it has ts, v, n"):
        store.put("pump_7", pa.table({"ts": [1], "w": [1.0]}))
    with pytest.raises(SchemaError, match="column 'V' twice"):
        store.put("pump_7", pa.table({"ts": [1], "v": [1.0], "V": [1.0]}))


def test_an_empty_put(store: Store) -> None:
    assert store.put("pump_7", bars()) == 0
    assert store.put("pump_7", pd.DataFrame({"ts": []}, dtype="datetime64[ms, UTC]")) == 0


def test_put_many_is_all_or_nothing(store: Store) -> None:
    assert store.put_many({"pump_7": bars(7_000), "keyless": pa.table({"s": ["a"]})}) == 2
    with pytest.raises(ValueRefusedError):
        store.put_many({"pump_7": bars(8_000), "keyless": pa.table({"s": [1]})})
    with pytest.raises(ContainerNotFoundError):
        store.put_many({"pump_7": bars(8_000), "nosuch": bars(1)})
    assert times_ms(store.read("pump_7", 7_000)) == [7_000]


def test_get_follows_the_order_of_the_keys(store: Store) -> None:
    keys = [3_000, datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), 9, 3_000]
    assert times_ms(store.get("pump_7", keys)) == [3_000, 1_000]
    assert store.get("pump_7", []).schema == BARS.arrow


def test_get_and_delete_many_keys(store: Store) -> None:
    # Several batches of keys on every backend.
    count = 12_000 if store.url.startswith("griddb+") else 70_000
    store.put("pump_7", bars(*range(10_000, 10_000 + count)))
    keys = list(range(10_000 + count - 1, 9_999, -1))
    assert times_ms(store.get("pump_7", keys)) == keys
    assert store.delete("pump_7", keys) == count
    assert store.read("pump_7").num_rows == 3


def test_composite_keys(store: Store) -> None:
    store.put("parts", pa.table({"a": ["x", "x", "y"], "b": [1, 2, 1], "data": [b"1", b"2", b"3"]}))
    assert store.get("parts", [("y", 1), ("x", 1)]).to_pydict()["data"] == [b"3", b"1"]
    assert store.read("parts").to_pydict()["data"] == [b"1", b"2", b"3"]
    assert store.delete("parts", [("x", 1), ("x", 9)]) == 1
    assert store.read("parts").to_pydict()["data"] == [b"2", b"3"]


@pytest.mark.parametrize(("kind", "unit", "factor"), [(T.TIMESTAMP_6, "us", 1), (T.TIMESTAMP_9, "ns", 1000)])
def test_keys_finer_than_a_millisecond(store: Store, kind: ColumnType, unit: str, factor: int) -> None:
    needs_server(store, (5, 0), f"{kind}")
    first, second, third = (1_704_067_200_123_456 * factor + step for step in range(3))
    for key in (("at",), ("s", "at")):
        columns = {"at": Column("at", kind, nullable=False), "s": Column("s", T.STRING, nullable=False)}
        info = collection("fine", *(columns.pop(name) for name in key), *columns.values(), key=key)
        store.put_container(info)
        at = pa.array([first, second, third], pa.int64()).cast(pa.timestamp(unit, "UTC"))
        store.put("fine", pa.table({"at": at, "s": ["a", "b", "c"]}))
        whole = {name: value if "s" in key else value[1] for name, value in (("c", ("c", third)), ("a", ("a", first)))}
        assert store.get("fine", [whole["c"], whole["a"]]).to_pydict()["s"] == ["c", "a"]
        assert store.delete("fine", [whole["c"]]) == 1
        assert store.sql("SELECT s FROM fine ORDER BY s").to_pydict() == {"s": ["a", "b"]}
        store.drop_container("fine")


@pytest.mark.parametrize(
    ("name", "key", "message"),
    [
        ("parts", "x", r"Key 'x' of container 'parts' must have 2 value\(s\): a, b"),
        ("parts", ("x", "1"), "Key .* of container 'parts' is wrong"),
        ("parts", ("x", 2**31), "column 'b' takes -2147483648 to 2147483647"),
        ("parts", (1, 1), "column 'a' takes text without NUL"),
        ("pump_7", True, "column 'ts' is a TIMESTAMP"),
        ("pump_7", datetime(2024, 1, 1, microsecond=1, tzinfo=UTC), "finer than a millisecond"),
        ("everything", "a\0", "takes text without NUL"),
        ("everything", "\ud800", "is wrong"),
    ],
)
def test_wrong_keys(store: Store, name: str, key: object, message: str) -> None:
    with pytest.raises(ValueRefusedError, match=message):
        store.get(name, [key])
    with pytest.raises(ValueRefusedError, match=message):
        store.delete(name, [key])


def test_a_collection_without_a_key_keeps_every_row_in_order(store: Store) -> None:
    store.put("keyless", pa.table({"s": ["b", "a", "b"], "n": [1, 2, 1]}))
    assert store.read("keyless").to_pydict() == {"s": ["b", "a", "b"], "n": [1, 2, 1]}
    with pytest.raises(SchemaError, match=r"\[145024\].*'keyless' has no row key"):
        store.get("keyless", ["a"])


def test_put_container_again(store: Store) -> None:
    assert store.put_container(BARS) == BARS
    more = ContainerInfo("PUMP_7", BARS.type, (*BARS.columns, Column("w", T.STRING)), ("ts",), ("n",))
    with pytest.raises(ContainerExistsError, match=r"\[60016\] Container 'pump_7' exists: .*modifiable=True"):
        store.put_container(more)
    assert store.put_container(more, modifiable=True).columns == more.columns
    assert store.read("pump_7").to_pydict()["w"] == [None] * 3
    found = store.container("pump_7")
    assert found is not None
    assert found.indexes == ("n",)


def changed(**changes: object) -> ContainerInfo:
    fields = {"name": "pump_7", "type": BARS.type, "columns": BARS.columns, "row_key": BARS.row_key, **changes}
    return ContainerInfo(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("info", "code"),
    [
        (changed(type=ContainerType.COLLECTION), 60026),
        (changed(type=ContainerType.COLLECTION, row_key=()), 60026),
        (changed(columns=(BARS.columns[0], Column("v", T.LONG), BARS.columns[2])), 60149),
        (changed(columns=(BARS.columns[0], Column("v", T.DOUBLE, nullable=False), BARS.columns[2])), 60149),
        (changed(columns=(BARS.columns[0], BARS.columns[2], BARS.columns[1])), 145023),
        (changed(columns=BARS.columns[:2]), 60016),
        (changed(columns=(BARS.columns[0], Column("w", T.DOUBLE), BARS.columns[2])), 60016),
    ],
)
def test_put_container_with_another_schema(store: Store, info: ContainerInfo, code: int) -> None:
    with pytest.raises(ContainerExistsError, match="'pump_7' exists") as caught:
        store.put_container(info, modifiable=True)
    assert caught.value.code == code


KEY = Column("k", T.LONG, nullable=False)


def collection(name: str, *columns: Column, key: tuple[str, ...] = ()) -> ContainerInfo:
    return ContainerInfo(name, ContainerType.COLLECTION, columns, key)


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (collection("a b", KEY), r"\[145007\] Container name 'a b' has the character ' '"),
        (collection("é", KEY), r"\[145007\]"),
        (collection("a@b@c", KEY), r"\[145007\]"),
        (collection("a@", KEY), "name is empty"),
        (collection("", KEY), "name is empty"),
        (collection("a" * 16_385, KEY), r"\[1008\].*16385 characters"),
        (collection("x", Column("@timestamp", T.LONG)), r"\[1008\] Column name '@timestamp' has the character '@'"),
        (collection("x", Column("c" * 257, T.LONG)), r"\[1008\].*257 characters; at most 256"),
        (collection("x"), r"\[60015\].*has 0 columns"),
        (collection("x", *(Column(f"c{i}", T.BYTE) for i in range(1025))), r"\[60015\].*1025 columns"),
        (collection("x", KEY, Column("K", T.LONG)), r"\[60015\].*column 'K' twice"),
        (collection("x", Column("k", T.SHORT, nullable=False), key=("k",)), r"\[145009\].*'k' .*is a SHORT"),
        (collection("x", Column("k", T.LONG), key=("k",)), r"\[145023\].*must not be nullable"),
        (collection("x", Column("v", T.LONG), KEY, key=("k",)), r"\[145025\].*must be its first columns"),
        (collection("x", KEY, key=("q",)), "no column 'q'"),
        (ContainerInfo("x", ContainerType.TIME_SERIES, (KEY,), ("k",)), r"\[145009\].*needs one TIMESTAMP row key"),
        (ContainerInfo("x", ContainerType.TIME_SERIES, (KEY,)), r"\[145023\].*needs a row key"),
        (
            ContainerInfo("x", ContainerType.COLLECTION, (Column("b", T.BLOB),), (), ("b",)),
            "'b' cannot have a TREE index",
        ),
    ],
)
def test_schemas_that_griddb_refuses(store: Store, info: ContainerInfo, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        store.put_container(info)


def test_names_that_griddb_takes(store: Store) -> None:
    for name in ("7-up", "a.b", "a/b", "a=b", "_x", "SELECT", "sqlite_x", "gridwatch_containers"):
        store.put_container(collection(name, Column("values", T.LONG), Column("rowid", T.LONG), Column("a-b", T.BOOL)))
        store.put(name, pa.table({"values": [3, 1, 2], "a-b": [True, None, False]}))
        assert store.read(name).to_pydict()["values"] == [3, 1, 2]


def test_one_of_many_wins_a_row(store: Store) -> None:
    """What leases and deliveries stand on: an INSERT of a key has one winner; so has UPDATE ... WHERE if said so."""
    seats = ContainerInfo(
        "seats",
        ContainerType.COLLECTION,
        (Column("name", T.STRING, nullable=False), Column("holder", T.STRING), Column("round", T.LONG)),
        ("name",),
    )
    store.put_container(seats)
    together = threading.Barrier(4)

    def attempt(holder: str) -> list[tuple[bool, int]]:
        found = []
        for turn in range(8):
            together.wait(120)
            try:
                inserted = store.execute(
                    "INSERT INTO seats (name, holder, round) VALUES (?, ?, 0)", [f"seat {turn}", holder]
                )
            except StoreError:
                inserted = 0
            together.wait(120)
            taken = store.execute(
                "UPDATE seats SET holder = ?, round = ? WHERE name = ? AND round < ?",
                [holder, turn + 1, "seat 0", turn + 1],
            )
            found.append((inserted == 1, taken))
        return found

    with ThreadPoolExecutor(4) as pool:
        rounds = zip(*pool.map(attempt, "abcd"), strict=True)
        for turn, outcome in enumerate(rounds):
            assert [inserted for inserted, _ in outcome].count(True) == 1, turn
            if store.atomic_updates:
                assert sorted(taken for _, taken in outcome) == [0, 0, 0, 1], turn
    assert store.get("seats", ["seat 0"]).column("round")[0].as_py() == 8
