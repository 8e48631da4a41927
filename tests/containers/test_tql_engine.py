"""What the embedded store's TQL has to get right by itself: widths, order, errors and refusals."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType, Store, open_store
from gridwatch.containers.tql import parse
from gridwatch.errors import RangeTooLargeError, SchemaError, SqlFailedError, SqlRefusedError

T = ColumnType
BITS = ContainerInfo(
    "bits",
    ContainerType.COLLECTION,
    (
        Column("id", T.LONG, nullable=False),
        Column("b", T.BYTE),
        Column("n", T.INTEGER),
        Column("m", T.INTEGER),
        Column("l", T.LONG),
        Column("f", T.FLOAT),
        Column("d", T.DOUBLE),
        Column("s", T.STRING),
        Column("u", T.TIMESTAMP_6),
    ),
    ("id",),
    ("n",),
)
INT, LONG = 2**31, 2**63
ROWS: list[tuple[Any, ...]] = [
    (30, 127, INT - 1, INT - 1, LONG - 1, 0.1, 0.0, "a*b", 1_500),
    (10, -128, -INT, -INT, -LONG, 2.5, -4.0, "a_b", 2_000),
    (20, 1, 5, 0, 2**53 + 1, None, 8.0, None, None),
]


def table(info: ContainerInfo, rows: list[tuple[Any, ...]]) -> pa.Table:
    arrays = []
    for column, cells in zip(info.columns, zip(*rows, strict=True), strict=True):
        timed = pa.types.is_timestamp(column.type.arrow)
        made = pa.array(cells, pa.int64() if timed else column.type.arrow)
        arrays.append(made.cast(column.type.arrow))
    return pa.table(arrays, names=[column.name for column in info.columns])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path_factory.mktemp('tql') / 's.db'}") as store:
        store.put_container(BITS)
        for row in ROWS:
            store.put("bits", table(BITS, [row]))
        yield store


def ids(store: Store, rest: str) -> list[int]:
    found: list[int] = store.tql("bits", f"select * {rest}").column("id").to_pylist()
    return found


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        # Two INTEGERs stay one and wrap; a constant is a LONG and makes the result one.
        ("m + m = -2", [30]),
        ("m + m = 0", [10, 20]),
        ("m * m = 1", [30]),
        ("m + 1 = 2147483648", [30]),
        # LONG wraps as well.
        ("l + 1 < 0", [30, 10]),
        ("l + 1 = -9223372036854775808", [30]),
        ("l - 1 = 9223372036854775807", [10]),
        ("l * 2 = -2", [30]),
        ("l * 3037000500 = -3037000500", [30]),
        ("l * l = 1", [30]),
        ("b * b = 16384", [10]),
        # C's division and remainder.
        ("(m - 1) / 1000000 = -2147", [10]),
        ("m % 10 = -8", [10]),
        # A constant beside a FLOAT column becomes a FLOAT, inside an expression it does not.
        ("f = 0.1", [30]),
        ("(f = 0.1) = (1 = 1)", []),
        ("f + 0.0 = 0.1", []),
        # LONG beside a DOUBLE constant is rounded first.
        ("l = 9007199254740992.0", [20]),
        ("d / 0 is null", []),
        ("5 / d > 100", [30]),
        ("round(d - 0.5) = -5 or ceiling(d / 3) = 3", [10, 20]),
        ("s like 'a*%'", [30]),
        ("s like 'a!__' escape '!'", [10]),
        ("string(d) = 'd'", [30, 10, 20]),
        ("u = TIMESTAMP_US('1970-01-01T00:00:00.001500Z') or u > TIMESTAMP('1970-01-01T00:00:00.001Z')", [30, 10]),
        ("d <= nan and not d = nan", [30, 10, 20]),
        ("-9223372036854775808 = l", [10]),
    ],
)
def test_conditions_compute_as_c_does(store: Store, condition: str, found: list[int]) -> None:
    if condition == "d / 0 is null":
        # Zero by zero is NaN there, which the store cannot tell from null.
        with pytest.raises(SqlRefusedError, match="TQL refused: zero divided by zero"):
            ids(store, f"where {condition}")
        return
    assert ids(store, f"where {condition}") == found


def test_rows_lie_as_they_were_put_and_come_along_an_index(store: Store) -> None:
    assert ids(store, "") == [30, 10, 20]
    assert ids(store, "where id > 5") == [10, 20, 30]
    assert ids(store, "where d > -9 and n > -3000000") == [20, 30]
    assert ids(store, "where d > 1 or id > 15") == [20, 30]
    assert ids(store, "where id > d + 1 and d > -9") == [10, 20, 30]
    assert ids(store, "where id <> d + 1") == [30, 10, 20]
    assert ids(store, "order by n desc") == [30, 20, 10]
    store.put("bits", table(BITS, [ROWS[0]]))
    assert ids(store, "") == [30, 10, 20]


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("where 10 / m > 0", r"\[150016\] Divide by 0"),
        # Every row is tested before the cut.
        ("where 10 / m < 9 limit 1", r"\[150016\]"),
        ("where d = 8 and 10 / m > 0", r"\[150016\]"),
        ("where n = 5 and floor(s) = 1 or d = 8 and substring('a', m) = ''", r"\[152012\] Argument 2"),
        ("where char_length(d) = 1", r"\[152010\] Argument 1 is not a string"),
        ("where concat(s) = 'a'", r"\[152011\] Invalid argument count"),
        ("where (d + 1) = s", r"\[150018\] Binary operation is not defined for the types DOUBLE and STRING"),
        ("where floor(d)", r"\[152001\] Cannot cast value to boolean"),
        ("where TO_TIMESTAMP_MS(m) > TO_TIMESTAMP_MS(0)", r"\[152012\] Argument 1 is out of timestamp range"),
    ],
)
def test_errors_show_where_a_row_reaches_them(store: Store, rest: str, message: str) -> None:
    with pytest.raises(SqlFailedError, match=message):
        store.tql("bits", f"select * {rest}")


@pytest.mark.parametrize(
    "rest",
    [
        "where d > 99 and 10 / m > 0",
        "where m <> 0 and 10 / m > 99",
        "where d = 99 and floor('a') = 1",
        "where b > 5 and s like s",
    ],
)
def test_errors_do_not_show_where_no_row_reaches_them(store: Store, rest: str) -> None:
    store.tql("bits", f"select * {rest}")


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("select * where", r"\[151002\] TQL refused: the statement ends too early"),
        ("select * where n in (1)", r"\[151001\] TQL refused: 'in' at character 18"),
        ("select n", r"\[151002\] .*columns cannot be chosen|\[151001\]"),
        ("select * where n = 1 ?", r"\[151002\] TQL refused: '\?'"),
        ("explain select *", "TQL refused: EXPLAIN"),
        ("select * from other", r"\[150010\] TQL refused: FROM other; Collection is 'bits'"),
        ('select * from "BITS"', r"\[150010\]"),
        ('select * where "N" = 1', r"\[150012\] TQL refused: column 'N', which does not exist"),
        ("select * where n > 's'", r"\[150018\] .*INTEGER and STRING"),
        ("select * where s < 'a'", r"\[150018\] .*STRING and STRING"),
        ("select * where 1 / 0 = 1", r"\[150016\] TQL refused: division by zero"),
        ("select * where f + f > 1", "TQL refused: arithmetic of FLOAT and FLOAT"),
        ("select * where l > f", "TQL refused: a whole number beyond 16777216 compared with a FLOAT"),
        (
            "select * where (d * 1e300) * 1e300 - (d * 1e300) * 1e300 = 1",
            "TQL refused: arithmetic that leaves the range",
        ),
        ("select * where timestampadd(year, to_timestamp_ms(0), l) > to_timestamp_ms(0)", "TQL refused: TIMESTAMPADD"),
        ("select * where id > 1.5", "search of the index on column 'id' for a number that its type cannot hold"),
        ("select * where n = 3000000000", "search of the index on column 'n'"),
        (
            "select * where TIMESTAMP(s) > TIMESTAMP('2024-01-01T00:00:00Z')",
            "TIMESTAMP of a text that is not a constant",
        ),
        ("select * where timestampadd(fortnight, u, 1) > u", r"\[150012\] TQL refused: the unit 'fortnight'"),
        ("select sum(s)", r"\[150020\] TQL refused: SUM of 's'"),
        ("select time_prev(*, NOW())", r"\[152003\] TQL refused: TIME_PREV of a collection"),
        ("select time_avg(d)", r"\[152004\] TQL refused: TIME_AVG of a collection"),
        ("select floor(1)", r"\[152502\]"),
        ("select * order by 1", r"\[151004\]"),
        ("select max(n) order by n", r"\[151005\]"),
        ("select " + "(" * 500, r"TQL refused"),
        ("select * where " + "not " * 500 + "n = 1", "nested deeper than 100"),
        ("select * where " + " and ".join(f"(n = {k} or m = {k})" for k in range(12)), "more than 1000 alternatives"),
        ("select * order by s, u desc, id limit 1 offset -1", r"\[151001\]"),
        ("select * where " + "1 + " * 3000 + "1 = d", "nested too deep"),
        ("select * where n = 1" + " " * 200_000, "a statement of 200020 characters"),
    ],
)
def test_refusals_name_what_is_refused(store: Store, statement: str, message: str) -> None:
    with pytest.raises((SqlRefusedError, SqlFailedError), match=message):
        store.tql("bits", statement)


def test_many_alternatives(store: Store) -> None:
    assert ids(store, "where " + " or ".join(["n = 5"] * 2000)) == [20]
    assert ids(store, "where " + " or ".join(f"m = {k}" for k in range(999))) == [20]
    assert ids(store, "where not (" + " and ".join(f"m <> {k} and (m > -1 or l = 7)" for k in range(9)) + ")") == [
        20,
        10,
    ]


def test_more_rows_than_allowed_are_an_error(store: Store) -> None:
    assert store.tql("bits", "select *", rows_max=3).num_rows == 3
    with pytest.raises(RangeTooLargeError, match="'bits' has more than 2 rows"):
        store.tql("bits", "select *", rows_max=2)


SERIES = ContainerInfo(
    "widths",
    ContainerType.TIME_SERIES,
    (
        Column("ts", T.TIMESTAMP, nullable=False),
        *(Column(name, kind) for name, kind in [("b", T.BYTE), ("h", T.SHORT), ("n", T.INTEGER), ("l", T.LONG)]),
        *(Column(name, kind) for name, kind in [("f", T.FLOAT), ("d", T.DOUBLE)]),
    ),
    ("ts",),
    ("n",),
)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path_factory.mktemp('series') / 's.db'}") as store:
        store.put_container(SERIES)
        store.put_container(ContainerInfo("bare", ContainerType.COLLECTION, (Column("a", T.LONG),)))
        rows = [
            (60_000, 100, 30_000, INT - 1, LONG - 1, 0.1, 1.0),
            (120_000, 100, 30_000, INT - 1, LONG - 1, 0.2, 1.1),
            (240_000, -100, 5, None, 3, 3e38, 1e300),
        ]
        store.put("widths", table(SERIES, rows))
        yield store


@pytest.mark.parametrize(
    ("selection", "answer"),
    [
        # Where only time chooses the rows, sums wrap at the width of the column, else at 32 or 64 bits.
        ("sum(b)", -156),
        ("sum(b) where d > 0", 100),
        ("sum(h) where ts < TIMESTAMP('1970-01-01T00:03:00Z')", 60_000),
        ("sum(n)", -2),
        ("sum(l)", 1),
        ("avg(n)", -1.0),
        ("avg(n) where d > 0", INT - 1.0),
        ("count(n)", 3),
        ("count(n) where d > 0", 2),
        ("sum(f)", 3.0000000054977558e38),
        ("time_avg(d)", 3.333333333333333e299),
        ("variance_pop(b)", 80000 / 9),
    ],
)
def test_aggregates_keep_their_width(series: Store, selection: str, answer: float) -> None:
    assert series.tql("widths", f"select {selection}").column(0).to_pylist() == [pytest.approx(answer, rel=1e-12)]


@pytest.mark.parametrize(
    ("aggregation", "column", "answer"),
    [("TOTAL", "b", -156), ("VARIANCE", "d", float("nan")), ("STANDARD_DEVIATION", "b", None), ("VARIANCE", "n", None)],
)
def test_native_aggregates_keep_their_width(series: Store, aggregation: str, column: str, answer: float | None) -> None:
    found = series.aggregate("widths", aggregation, column)
    if answer is not None:
        assert found == pytest.approx(answer, nan_ok=True)
    else:
        assert isinstance(found, float)


def test_sampling_goes_on_after_the_last_row_but_not_for_the_end_alone(series: Store) -> None:
    def times(*given: Any) -> list[int]:
        found: list[int] = series.sample("widths", *given).column("ts").cast(pa.int64()).to_pylist()
        return found

    assert times(0, 360_000, 2, "MINUTE") == [120_000, 240_000]
    assert times(0, 480_000, 2, "MINUTE") == [120_000, 240_000, 360_000, 480_000]
    assert times(0, 480_000, 2, "MINUTE", ["d"]) == [120_000, 240_000]
    assert times(90_000, 130_000, 30, "SECOND", ["l"]) == [90_000, 120_000]
    assert times(5, 4, 1, "DAY") == []


def test_interpolation_of_a_double_has_the_digits_of_a_float(series: Store) -> None:
    exact = series.tql(
        "widths", "select time_sampling(d, TO_TIMESTAMP_MS(90000), TO_TIMESTAMP_MS(90000), 1, DAY) where b > 0"
    )
    assert exact.column("d").to_pylist() == [1.05]
    assert series.interpolate("widths", 90_000, "d").column("d").to_pylist() == [
        pytest.approx(1.0499999523162842, rel=1e-15)
    ]


def test_interpolation_beside_where_is_refused_where_gridds_own_is_nonsense(series: Store) -> None:
    statement = "select time_interpolated(d, TO_TIMESTAMP_MS({})) where b > 0"
    assert series.tql("widths", statement.format(60_000)).num_rows == 1
    with pytest.raises(SqlRefusedError, match="TIME_INTERPOLATED beside WHERE or ORDER BY, between two rows"):
        series.tql("widths", statement.format(90_000))


def test_a_limit_stops_after_the_alternative_that_is_enough(series: Store) -> None:
    def times(rest: str) -> list[int]:
        found: list[int] = series.tql("widths", f"select * where {rest}").column("ts").cast(pa.int64()).to_pylist()
        return found

    assert times("d > 1.05 or d = 1 limit 2") == [120_000, 240_000]
    assert times("d > 1.05 or d = 1 limit 3") == [60_000, 120_000, 240_000]
    assert times("h = 5 or d = 1 limit 2") == [60_000, 240_000]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.aggregate("widths", "MEDIAN", "d"), "no Aggregation 'MEDIAN'; there are MINIMUM"),
        (lambda s: s.aggregate("widths", "TOTAL"), "TOTAL of container 'widths' needs a column"),
        (lambda s: s.aggregate("widths", "TOTAL", "ts"), r"\[60100\] TOTAL of column 'ts'"),
        (lambda s: s.aggregate("widths", "TOTAL", "zz"), "has no column 'zz'"),
        (lambda s: s.aggregate("bare", "COUNT"), "'bare' is a collection"),
        (lambda s: s.aggregate("widths", "COUNT", None, -1), r"\[70007\] The time -1 ms"),
        (lambda s: s.nearest("widths", 0, "AFTER"), "no TimeOperator 'AFTER'"),
        (lambda s: s.interpolate("widths", 0, "ts"), r"\[60075\] Column 'ts'"),
        (lambda s: s.sample("widths", 0, 9, 1, "YEAR"), "Sampling by YEAR is not possible"),
        (lambda s: s.sample("widths", 0, 9, 0, "DAY"), "interval of 0 DAY is not positive"),
        (lambda s: s.sample("widths", 0, 9, 1, "DAY", ["d"], "EMPTY"), r"\[60076\] EMPTY sampling"),
        (lambda s: s.sample("widths", 0, 9, 1, "DAY", ["d"], "CUBIC"), "no InterpolationMode 'CUBIC'"),
    ],
)
def test_wrong_arguments_are_named(series: Store, call: Any, message: str) -> None:
    with pytest.raises((SchemaError, SqlRefusedError), match=message):
        call(series)


WORDS = st.sampled_from(
    [
        *("select", "*", "from", "bits", "where", "order", "by", "limit", "offset", "and", "or", "not", "xor", "like"),
        *(
            "escape",
            "is",
            "null",
            "n",
            "d",
            "s",
            "id",
            "u",
            "(",
            ")",
            ",",
            ";",
            "-",
            "+",
            "/",
            "%",
            "=",
            "<>",
            "<",
            ">",
        ),
        *("'a'", "''", '"n"', "1", "0", "010", "1.5", "1e9", ".5", "nan", "inf", "floor(", "concat(", "TIMESTAMP("),
        *("timestampadd(", "HOUR", "count(", "sum(", "max_rows(", "asc", "desc", "x'00'", "!", "@", "#", "é", "--"),
        *("/*", '"', "'"),
    ]
)


@given(st.one_of(st.text(max_size=60), st.lists(WORDS, max_size=25).map(" ".join)))
def test_no_text_brings_another_error_than_ours(statement: str) -> None:
    with contextlib.suppress(SqlRefusedError):
        parse(statement)


@given(st.lists(WORDS, max_size=12).map(lambda words: f"select * where {' '.join(words)}"))
def test_no_condition_brings_another_error_than_ours(store: Store, statement: str) -> None:
    with contextlib.suppress(SqlRefusedError, SqlFailedError):
        store.tql("bits", statement)


def test_the_path_of_the_store_is_in_no_error_of_tql(store: Store, tmp_path: Path) -> None:
    with pytest.raises(SqlFailedError) as caught:
        store.tql("bits", "select * where 10 / m > 0")
    assert str(tmp_path.parent) not in str(caught.value)
