"""Kept statements: compiled once where that is all the same, and never kept where a value made the difference."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gridwatch.containers.dialect import changes, select
from gridwatch.containers.schema import Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.containers.sqlite import SqliteStore
from gridwatch.errors import ContainerNotFoundError, SqlRefusedError

T = ColumnType


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[SqliteStore]:
    changes._KEPT._entries.clear()
    select._KEPT._entries.clear()
    with SqliteStore(tmp_path / "kept.db") as store:
        store.put_container(info())
        yield store


def info(*more: Column) -> ContainerInfo:
    columns = (Column("id", T.STRING, nullable=False), Column("small", T.BYTE), Column("big", T.LONG))
    return ContainerInfo(
        "kept",
        ContainerType.COLLECTION,
        (*columns, Column("part", T.FLOAT), Column("ts", T.TIMESTAMP), *more),
        ("id",),
    )


def count() -> tuple[int, int]:
    return len(changes._KEPT._entries), len(select._KEPT._entries)


def at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


INSERT = "INSERT INTO kept (id, small, big, ts) VALUES (?, ?, ?, ?)"


def test_the_same_statement_is_compiled_once_and_takes_new_values(kept: SqliteStore) -> None:
    for number in range(5):
        kept.execute(INSERT, [f"k{number}", number, number * 10, at(number)])
        kept.execute("UPDATE kept SET big = ? WHERE id = ? AND small = ?", [number * 100, f"k{number}", number])
        rows = kept.sql("SELECT id, big FROM kept WHERE ts >= ? AND id <> 'k9' ORDER BY id", [at(number)]).to_pylist()
        assert rows == [{"id": f"k{number}", "big": number * 100}]
    assert count() == (2 + 1, 1)  # 0 to 2 and 300 are of different types


def test_a_value_of_another_type_or_out_of_range_is_judged_anew(kept: SqliteStore) -> None:
    kept.execute(INSERT, ["a", 1, 1, at(1)])
    with pytest.raises(SqlRefusedError, match="300 for BYTE column 'small'"):
        kept.execute(INSERT, ["b", 300, 1, at(1)])
    with pytest.raises(SqlRefusedError, match="a STRING for BYTE column"):
        kept.execute(INSERT, ["b", "1", 1, at(1)])
    with pytest.raises(SqlRefusedError, match="NULL for column 'id'"):
        kept.execute(INSERT, [None, 1, 1, at(1)])
    with pytest.raises(SqlRefusedError, match="text with a NUL"):
        kept.execute(INSERT, ["\0", 1, 1, at(1)])
    with pytest.raises(SqlRefusedError, match="more than 31744 bytes"):
        kept.execute(INSERT, ["x" * 31_745, 1, 1, at(1)])
    with pytest.raises(SqlRefusedError, match=r"parameter 4, .* outside 1970 to 9999"):
        kept.execute(INSERT, ["b", 1, 1, datetime(1969, 1, 1, tzinfo=UTC)])
    with pytest.raises(SqlRefusedError, match="4 '\\?' with 3 parameters"):
        kept.execute(INSERT, ["b", 1, 1])
    kept.execute(INSERT, ["b", None, 2**62, None])
    assert kept.sql("SELECT id, small, big FROM kept WHERE ts IS NULL").to_pylist() == [
        {"id": "b", "small": None, "big": 2**62}
    ]


# What is compiled into the SQL depends on the value; two values of one shape, and what each gives for the row a, 7, 70.
DEPENDING: list[tuple[str, list[Any], list[Any]]] = [
    ("SELECT big + ? AS x FROM kept", [1], [2]),
    ("SELECT big / ? AS x FROM kept", [7], [2]),
    ("SELECT ? AS x FROM kept", [1], [2]),
    ("SELECT id || ? AS x FROM kept", ["b"], ["c"]),
    ("SELECT STRFTIME(?, ts) AS x FROM kept", ["%Y"], ["%m"]),
    ("SELECT big AS x FROM kept WHERE ?", [True], [False]),
    ("SELECT big AS x FROM kept WHERE big < ? + 60", [20], [5]),
    ("SELECT big AS x FROM kept WHERE part = ?", [2], [3]),
    ("SELECT CASE WHEN small = ? THEN 1 ELSE 2 END AS x FROM kept", [7], [8]),
    ("SELECT big AS x FROM kept WHERE id IN (?, 'z')", ["a"], ["b"]),
    ("SELECT big AS x FROM kept WHERE id LIKE ? ESCAPE ?", ["a", "!"], ["%", "a"]),
    ("SELECT COUNT(*) AS x FROM (SELECT id FROM kept WHERE small BETWEEN ? AND ?) q", [1, 9], [1, 2]),
    ("SELECT SUBSTR(id || 'bc', ?) AS x FROM kept", [1], [2]),
    ("SELECT ROUND(part * 1.25, ?) AS x FROM kept", [1], [2]),
]


@pytest.mark.parametrize(("statement", "first", "second"), DEPENDING)
def test_what_depends_on_a_value_follows_it(
    kept: SqliteStore, statement: str, first: list[Any], second: list[Any]
) -> None:
    kept.execute("INSERT INTO kept VALUES ('a', 7, 70, 2.0, TIMESTAMP('2024-03-01T00:00:00Z'))")

    def told(parameters: list[Any]) -> object:
        try:
            return kept.sql(statement, parameters).to_pydict()
        except SqlRefusedError as error:
            return str(error)

    fresh = []
    for parameters in (first, second):
        select._KEPT._entries.clear()
        fresh.append(told(parameters))
    select._KEPT._entries.clear()
    assert [told(first), told(second), told(first)] == [*fresh, fresh[0]]


def test_a_container_that_changed_is_looked_at_again(kept: SqliteStore) -> None:
    statement = "SELECT * FROM kept WHERE id = ?"
    assert kept.sql(statement, ["a"]).num_columns == 5
    kept.put_container(info(Column("more", T.LONG)), modifiable=True)
    assert kept.sql(statement, ["a"]).num_columns == 6
    kept.drop_container("kept")
    with pytest.raises(ContainerNotFoundError, match="'kept', which does not exist"):
        kept.sql(statement, ["a"])


def test_a_view_is_looked_at_again(kept: SqliteStore) -> None:
    kept.execute("CREATE VIEW seen AS SELECT id FROM kept")
    assert kept.sql("SELECT * FROM seen WHERE id = ?", ["a"]).column_names == ["id"]
    kept.execute("DROP VIEW seen")
    kept.execute("CREATE VIEW seen AS SELECT big, id FROM kept")
    assert kept.sql("SELECT * FROM seen WHERE id = ?", ["a"]).column_names == ["big", "id"]


def test_no_more_than_so_many_are_kept(kept: SqliteStore) -> None:
    for number in range(260):
        kept.sql(f"SELECT id FROM kept WHERE id = ? LIMIT {number + 1}", ["a"])  # noqa: S608 - a number of our own
    assert count() == (0, 256)
