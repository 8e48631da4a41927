"""TQL and time-series operations, as every store answers them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType, Store
from gridwatch.errors import ContainerNotFoundError, SqlRefusedError, StoreError
from tests.containers.test_contract import BACKENDS

T = ColumnType
DAY_MS = 1_717_200_000_000  # 2024-06-01T00:00:00Z
TANK = ContainerInfo(
    "tql_tank",
    ContainerType.TIME_SERIES,
    (
        Column("ts", T.TIMESTAMP, nullable=False),
        Column("level", T.DOUBLE),
        Column("count", T.INTEGER),
        Column("total", T.LONG),
        Column("small", T.BYTE),
        Column("rough", T.FLOAT),
        Column("state", T.STRING),
        Column("alarm", T.BOOL),
    ),
    ("ts",),
)
# Minute, and the other columns.
ROWS: list[tuple[Any, ...]] = [
    (0, 10.0, 4, 400, 100, 0.5, "open", True),
    (10, 20.0, 8, 800, 100, 1.5, "Open", False),
    (20, None, 2, None, 100, None, "half_open", None),
    (40, 40.0, None, 9_000_000_000_000_000_000, -1, 2.5, None, True),
    (60, 25.5, 6, 9_000_000_000_000_000_000, 7, 3.5, "50% [full]*", False),
]
PARTS = ContainerInfo(
    "tql_parts",
    ContainerType.COLLECTION,
    (
        Column("id", T.STRING, nullable=False),
        Column("weight", T.DOUBLE),
        Column("made", T.TIMESTAMP),
        Column("photo", T.BLOB),
    ),
    ("id",),
)


@pytest.fixture(scope="module", params=list(BACKENDS.values()), ids=list(BACKENDS))
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with request.param(tmp_path_factory.mktemp("tql")) as store:
        for info in (TANK, PARTS):
            store.drop_container(info.name)
            store.put_container(info)
        cells = list(zip(*ROWS, strict=True))
        arrays = [pa.array([DAY_MS + minute * 60_000 for minute in cells[0]]).cast(T.TIMESTAMP.arrow)]
        arrays += [pa.array(cell, column.type.arrow) for cell, column in zip(cells[1:], TANK.columns[1:], strict=True)]
        store.put("tql_tank", pa.table(arrays, names=[column.name for column in TANK.columns]))
        for number, (name, weight) in enumerate([("m", 5.0), ("c", None), ("x", 2.0), ("a", 5.0)]):
            made = pa.array([DAY_MS + number if weight else None], pa.int64()).cast(T.TIMESTAMP.arrow)
            row = {"id": [name], "weight": pa.array([weight], pa.float64()), "made": made}
            store.put("tql_parts", pa.table({**row, "photo": pa.array([b"\x00"], pa.binary())}))
        yield store
        for info in (TANK, PARTS):
            store.drop_container(info.name)


def minutes(table: pa.Table) -> list[int]:
    return [(ms - DAY_MS) // 60_000 for ms in table.column(0).cast(pa.int64()).to_pylist()]


def number(table: pa.Table) -> list[float]:
    assert table.schema.names == ["aggregationResult"]
    return [float(value) for value in table.column(0).to_pylist()]


@pytest.mark.parametrize(
    ("rest", "found"),
    [
        ("", [0, 10, 20, 40, 60]),
        (" from TQL_TANK where COUNT > 3", [0, 10, 60]),
        (" where not count > 3", [20]),
        (" where count > 3 and level < 25", [0, 10]),
        (" where count = 2 or alarm", [0, 20, 40]),
        (" where alarm xor count = 8", [0, 10]),
        (" where level is null or state is null", [20, 40]),
        (" where level is not null", [0, 10, 40, 60]),
        (" where count * 2 + 1 > 9 and count % 4 = 0", [10]),
        (" where -count < -7", [10]),
        (" where total * 4 < 0", [40, 60]),
        (" where count / 3 = 2", [10, 60]),
        (" where state = 'open'", [0]),
        (" where state like '%open'", [0, 20]),
        (" where state not like '_pen'", [20, 60]),
        (" where state like '%!_open' escape '!'", [20]),
        (" where state like '50!% [full]*' escape '!'", [60]),
        (" where lower(state) = 'open' and char_length(concat(state, '!')) = 5", [0, 10]),
        (" where substring(upper(state), 2, 2) = 'PE'", [0, 10]),
        (" where floor(rough) = 2 or ceiling(level) = 26 or round(level) = 10", [0, 40, 60]),
        (" where rough = 2.5", [40]),
        (
            " where ts > TIMESTAMP('2024-06-01T00:10:00.000Z') and ts <= TIMESTAMP('2024-06-01T10:00:00+0900')",
            [20, 40, 60],
        ),
        (" where ts = TO_TIMESTAMP_MS(1717200600000)", [10]),
        (" where TIMESTAMPADD(HOUR, ts, 1) > TIMESTAMP('2024-06-01T01:30:00Z')", [40, 60]),
        (" where TIMESTAMPDIFF(MINUTE, ts, TIMESTAMP('2024-06-01T00:00:00Z')) < 15", [0, 10]),
        (" where TO_EPOCH_MS(ts) = 1717200000000 and NOW() > ts", [0]),
        (" where FROM_TIMESTAMP(ts) like '%:40:00.000Z'", [40]),
        (" order by level", [0, 10, 60, 40, 20]),
        (" order by level desc limit 2 offset 1", [40, 60]),
        (" order by alarm, count desc", [10, 60, 40, 0, 20]),
        (" limit 2 offset 3", [40, 60]),
        (" limit 0", []),
        (" where null", []),
        (" where 010 = 8 limit 1", [0]),
    ],
)
def test_rows_of_a_series_come_in_the_order_of_time(store: Store, rest: str, found: list[int]) -> None:
    assert minutes(store.tql("tql_tank", f"select *{rest}")) == found


def test_rows_come_with_the_columns_of_the_container(store: Store) -> None:
    table = store.tql("tql_tank", "select * where count = 2")
    assert table.schema.types == TANK.arrow.types
    assert table.to_pylist()[0] | {"ts": 0} == {
        **{"ts": 0, "level": None, "count": 2, "total": None, "small": 100, "rough": None},
        **{"state": "half_open", "alarm": None},
    }


@pytest.mark.parametrize(
    ("selection", "answer"),
    [
        ("count(*)", [5]),
        ("count(level)", [5]),
        ("count(level) where count > 0", [3]),
        ("sum(count)", [20]),
        ("sum(small)", [50]),
        ("sum(small) where count > 0", [307]),
        ("avg(level)", [23.875]),
        ("avg(count) where alarm", [4]),
        ("min(level)", [10]),
        ("max(rough)", [3.5]),
        ("variance(count)", [20 / 3]),
        ("stddev(level) where level = 40", [0]),
        ("time_avg(level)", [28.416666666666668]),
        ("sum(level) where count > 99", []),
        ("max(level) limit 1 offset 1", []),
    ],
)
def test_aggregations_add_up_as_the_engine_does(store: Store, selection: str, answer: list[float]) -> None:
    assert number(store.tql("tql_tank", f"select {selection}")) == pytest.approx(answer, rel=1e-12)


def test_the_aggregate_of_times_is_a_time(store: Store) -> None:
    table = store.tql("tql_parts", "select max(made)")
    assert table.column(0).to_pylist() == [datetime(2024, 6, 1, 0, 0, 0, 3000, tzinfo=UTC)]


AT = "TIMESTAMP('2024-06-01T00:{:02d}:00.000Z')"


@pytest.mark.parametrize(
    ("selection", "found"),
    [
        (f"time_next(*, {AT.format(10)})", [10]),
        (f"time_next_only(*, {AT.format(10)})", [20]),
        (f"time_prev(*, {AT.format(15)})", [10]),
        (f"time_prev_only(*, {AT.format(0)})", []),
        (f"time_next(*, {AT.format(5)}) where alarm", [40]),
        (f"time_interpolated(level, {AT.format(5)})", [5]),
        (f"time_sampling(*, {AT.format(0)}, {AT.format(59)}, 25, MINUTE)", [0, 25, 50]),
        (f"time_sampling(level, {AT.format(0)}, {AT.format(30)}, 900, SECOND) where count > 3", [0, 15, 30]),
        ("max_rows(small)", [0, 10, 20]),
        ("min_rows(small) order by ts desc", [40]),
        ("max_rows(small) order by ts desc limit 1 offset 1", [10]),
    ],
)
def test_selections_find_rows_of_a_series(store: Store, selection: str, found: list[int]) -> None:
    assert minutes(store.tql("tql_tank", f"select {selection}")) == found


def test_numbers_between_rows_are_interpolated(store: Store) -> None:
    between = store.tql("tql_tank", f"select time_interpolated(count, {AT.format(7)})").to_pylist()[0]
    # 4 + 0.7 * 4, cut; the other columns are those of the row before.
    assert (between["count"], between["level"], between["state"]) == (6, 10.0, "open")
    missing = store.tql("tql_tank", f"select time_interpolated(level, {AT.format(15)})").to_pylist()[0]
    assert (missing["level"], missing["count"]) == (None, 8)


def test_a_collection_is_read_as_it_was_put_and_along_its_key(store: Store) -> None:
    def keys(rest: str) -> list[str]:
        found: list[str] = store.tql("tql_parts", f"select * {rest}").column("id").to_pylist()
        return found

    assert keys("") == ["m", "c", "x", "a"]
    assert keys("where weight = 5") == ["m", "a"]
    assert keys("order by weight") == ["x", "m", "a", "c"]
    assert keys("order by id desc limit 2") == ["x", "m"]
    assert keys("where photo is not null and made is null") == ["c"]
    # A search of the key follows its index.
    assert keys("where id <> 'z' and weight > 1") == ["m", "x", "a"]


REFUSED = [
    "select level",
    "select count(*), sum(count)",
    "select * where count in (1, 2)",
    "select * where level between 1 and 2",
    "select * where state > 'a'",
    "select * where state || 'x' = 'ax'",
    "select * where alarm = true",
    "select * where count",
    "select * where ts > 1717200000000",
    "select * where ts > TIMESTAMP('2024-06-01')",
    "select * where abs(count) = 1",
    "select * where nothing = 1",
    "select * where count & 1 = 1",
    "select * where 10 / (count - 4) > 1",
    "select * where 1 / 0 = 1",
    "select * where floor(state) = 1",
    "select * where substring(state, 0) = ''",
    "select * from tql_parts",
    "select * order by count + 1",
    "select max(count) order by count",
    "select sum(state)",
    "select max(*)",
    "select time_next(level, NOW())",
    "select time_next(*, 'now')",
    f"select time_sampling(level, {AT.format(0)}, {AT.format(9)}, 0, MINUTE)",
    f"select time_sampling(state, {AT.format(0)}, {AT.format(9)}, 1, MINUTE)",
    f"select time_sampling(level, {AT.format(0)}, {AT.format(9)}, 1, WEEK)",
    f"select time_interpolated(*, {AT.format(5)})",
    "delete from tql_tank",
    "select * where",
    "select * limit -1",
    "",
]


@pytest.mark.parametrize("statement", REFUSED)
def test_what_tql_does_not_have_is_refused(store: Store, statement: str) -> None:
    with pytest.raises(StoreError):
        store.tql("tql_tank", statement)


def test_series_functions_of_a_collection_are_refused(store: Store) -> None:
    for statement in ("select time_avg(weight)", "select time_prev(*, NOW())"):
        with pytest.raises(StoreError):
            store.tql("tql_parts", statement)


def test_a_container_that_is_not_there_is_named(store: Store) -> None:
    with pytest.raises(ContainerNotFoundError, match="tql_none"):
        store.tql("tql_none", "select *")


@pytest.mark.parametrize(
    ("aggregation", "column", "answer"),
    [
        ("COUNT", "level", 5),
        ("COUNT", None, 5),
        ("TOTAL", "count", 20),
        ("average", "level", 23.875),
        ("MINIMUM", "rough", 0.5),
        ("MAXIMUM", "count", 8),
        ("WEIGHTED_AVERAGE", "level", 28.416666666666668),
        ("TOTAL", "small", 50),
    ],
)
def test_the_java_clients_aggregates(store: Store, aggregation: str, column: str | None, answer: float) -> None:
    assert store.aggregate("tql_tank", aggregation, column) == pytest.approx(answer)


def test_aggregates_cover_a_range_with_both_ends(store: Store) -> None:
    assert store.aggregate("tql_tank", "TOTAL", "count", DAY_MS, DAY_MS + 1_200_000) == 14
    assert store.aggregate("tql_tank", "TOTAL", "count", DAY_MS + 1, DAY_MS + 2) is None
    assert store.aggregate("tql_tank", "COUNT", "count", DAY_MS + 1, DAY_MS + 2) == 0


@pytest.mark.parametrize(
    ("operator", "minute", "found"),
    [("NEXT", 10, [10]), ("NEXT_ONLY", 10, [20]), ("previous", 19, [10]), ("PREVIOUS_ONLY", 0, []), ("NEXT", 99, [])],
)
def test_the_nearest_row(store: Store, operator: str, minute: int, found: list[int]) -> None:
    assert minutes(store.nearest("tql_tank", DAY_MS + minute * 60_000, operator)) == found


def test_interpolation_and_sampling(store: Store) -> None:
    assert store.interpolate("tql_tank", DAY_MS + 300_000, "level").column("level").to_pylist() == [15.0]
    assert store.interpolate("tql_tank", DAY_MS - 1, "level").num_rows == 0
    sampled = store.sample("tql_tank", DAY_MS - 600_000, DAY_MS + 3_600_000, 20, "MINUTE", ["level"])
    assert minutes(sampled) == [10, 30, 50]
    assert sampled.column("level").to_pylist() == [20.0, None, pytest.approx(32.75)]
    with pytest.raises(StoreError):
        store.interpolate("tql_tank", DAY_MS, "state")


def test_sampling_without_interpolation_leaves_zeros(store: Store) -> None:
    if not store.url.startswith("griddb+http"):
        rows = store.sample("tql_tank", DAY_MS, DAY_MS + 1_200_000, 10, "MINUTE", mode="EMPTY").to_pylist()
        assert [row["state"] for row in rows] == ["open", "Open", "half_open"]
        rows = store.sample("tql_tank", DAY_MS + 1, DAY_MS + 2, 1, "MILLISECOND", mode="EMPTY").to_pylist()
        assert [list(row.values())[1:] for row in rows] == [[0.0, 0, 0, 0, 0.0, "", False]] * 2
        return
    with pytest.raises(SqlRefusedError, match="EMPTY"):
        store.sample("tql_tank", DAY_MS, DAY_MS + 1, 1, "MILLISECOND", mode="EMPTY")
