"""Trees of statements are kept from one call to the next, so nothing may change one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType, open_store
from gridwatch.containers.dialect.parse import parse_statement
from gridwatch.errors import SqlRefusedError

SERIES = ContainerInfo(
    "series",
    ContainerType.TIME_SERIES,
    (
        Column("ts", ColumnType.TIMESTAMP, nullable=False),
        Column("host", ColumnType.STRING),
        Column("value", ColumnType.DOUBLE),
    ),
    ("ts",),
)
EPOCH = datetime.fromtimestamp(0, UTC)


@pytest.mark.parametrize(
    ("statement", "one", "other"),
    [
        (
            "SELECT host, COUNT(*), TOTAL(value) FROM series WHERE ts >= ? GROUP BY host ORDER BY 2 DESC, 1",
            [EPOCH],
            [EPOCH + timedelta(seconds=2)],
        ),
        (
            "SELECT ts, AVG(value) FROM series WHERE ts BETWEEN TIMESTAMP('1970-01-01T00:00:00Z') AND "
            "TIMESTAMP('1970-01-01T00:00:04Z') GROUP BY RANGE (ts) EVERY (1, SECOND) FILL (LINEAR)",
            [],
            [],
        ),
        (
            "SELECT a.host, b.value FROM series a JOIN series b ON a.ts = b.ts AND NOT (a.value > ? OR b.host IS NULL)",
            [1.5],
            [7],
        ),
        (
            "SELECT CASE WHEN value > ? THEN value * ? ELSE -value END FROM series WHERE host IN ('a', ?) AND value IN "
            "(SELECT MAX(value) FROM series GROUP BY host HAVING COUNT(*) > 1)",
            [0.0, 2.0, "b"],
            [3, -1, "c"],
        ),
        ("SELECT value FROM series WHERE host LIKE ? UNION ALL SELECT 9.0 FROM series LIMIT 3", ["a%"], ["%c"]),
    ],
)
def test_a_statement_gives_the_same_again_and_leaves_its_tree_as_it_was(
    tmp_path: Path, statement: str, one: list[Any], other: list[Any]
) -> None:
    with open_store(f"sqlite:///{tmp_path}/s.db") as store:
        store.put_container(SERIES)
        times = pa.array([0, 1000, 2000, 3000], pa.timestamp("ms", "UTC"))
        store.put("series", pa.table({"ts": times, "host": ["a", "b", "a", "c"], "value": [1.0, 2.0, None, 4.0]}))
        tree = parse_statement(statement, one)
        before = repr(tree)
        answers = [store.sql(statement, parameters).to_pylist() for parameters in (one, other, one)]
        assert answers[0] == answers[2] != []
        assert one == other or answers[0] != answers[1]
        assert parse_statement(statement, other) is tree
        assert repr(tree) == before


def test_a_kept_statement_is_still_checked_for_its_parameters_and_a_long_one_is_not_kept() -> None:
    assert parse_statement("SELECT ? FROM series", [1]) is parse_statement("SELECT ? FROM series", ["x"])
    with pytest.raises(SqlRefusedError, match=r"1 '\?' with 0 parameters"):
        parse_statement("SELECT ? FROM series", [])
    for _ in range(2):
        with pytest.raises(SqlRefusedError, match="it cannot be read"):
            parse_statement("SELECT FROM FROM", [])
    long = "SELECT host FROM series" + " " * 5_000 + "-- more"
    assert parse_statement(long, []) is not parse_statement(long, [])
