"""Whole containers and ranges of time over the Web API, page by page.

Pages follow the row key: each begins after the last key of the one before, so nothing is assumed of an order that
stays the same between two requests. Their size follows the bytes of the rows that came so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from gridwatch.containers._ddl import in_sql
from gridwatch.containers._literals import literal, name_sql, time_sql
from gridwatch.containers._rules import check_count
from gridwatch.containers.schema import TIMESTAMP_MS_MAX, Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.containers.webapi_http import TooLargeError, WebApiHttp, sql_endpoint
from gridwatch.containers.webapi_rows import column_types, fitted, table_of
from gridwatch.errors import RangeTooLargeError, SqlRefusedError

__all__ = ["read_pages"]

_PAGE_BYTES = 8 * 1024 * 1024
"""Aim for the values of one page, as the API counts them; it sends 20 MB at most."""

_PAGE_ROWS = 100_000
_BLOB_GUESS, _TEXT_GUESS, _FIXED_BYTES = 1024 * 1024, 64, 12


def read_pages(
    http: WebApiHttp,
    info: ContainerInfo,
    columns: Sequence[Column],
    start_ms: int | None,
    end_ms: int | None,
    rows_max: int,
) -> pa.Table:
    """Return the rows of a range of time, or of a whole collection, in the order of the key, or of insertion.

    Raises:
        RangeTooLargeError: There are more than `rows_max`, or one row is larger than the API sends.
    """
    schema = ContainerInfo(info.name, info.type, tuple(columns)).arrow
    pages = _Pages(http, info, columns)
    bounds = []
    time = name_sql(info.columns[0].name)
    if start_ms is not None:
        bounds.append(f"{time} >= {_instant(start_ms)}")
    if end_ms is not None:
        bounds.append(f"{time} <= {_instant(end_ms)}")
    by_sql = info.row_key and in_sql(info)
    tables = pages.by_key(bounds, rows_max + 1) if by_sql else pages.by_place(bounds, rows_max + 1)
    rows = pa.concat_tables([schema.empty_table(), *(fitted(table, schema) for table in tables)])
    check_count(info, rows, rows_max)
    return rows


def _instant(ms: int) -> str:
    # Outside GridDB's time there are no rows; its SQL would refuse the literal.
    return time_sql(min(max(ms, 0), TIMESTAMP_MS_MAX))


class _Pages:
    """Pages of one read."""

    def __init__(self, http: WebApiHttp, info: ContainerInfo, columns: Sequence[Column]) -> None:
        self._http = http
        self._info = info
        self._columns = columns
        self._size = max(1, min(_PAGE_ROWS, _PAGE_BYTES // sum(_guess(column) for column in columns)))

    def by_key(self, bounds: Sequence[str], rows_max: int) -> list[pa.Table]:
        """Return pages in the order of the row key, together `rows_max` rows at most."""
        key = [self._info.column(name) for name in self._info.row_key]
        names = {column.name for column in self._columns}
        # The key is read as well, to go on from, and left out again.
        asked = [*self._columns, *(column for column in key if column.name not in names)]
        places = [[column.name for column in asked].index(column.name) for column in key]
        select = f"SELECT {_names(asked)} FROM {name_sql(self._info.name)}"
        found: list[pa.Table] = []
        after = ""
        while rows_max > 0:
            where = " AND ".join([*bounds, after] if after else bounds)
            limit = min(self._size, rows_max)
            statement = f"{select}{' WHERE ' if where else ''}{where} ORDER BY {_names(key)} LIMIT {limit}"
            answer = self._answer(sql_endpoint(statement), {"stmt": statement})
            if answer is None:
                continue
            rows = answer["results"]
            found.append(table_of(column_types(answer["columns"]), rows).select(range(len(self._columns))))
            if len(rows) < limit:
                break
            rows_max -= len(rows)
            after = _beyond(key, [rows[-1][place] for place in places])
        return found

    def by_place(self, bounds: Sequence[str], rows_max: int) -> list[pa.Table]:
        """Return pages of what SQL cannot page or not read: no row key, or arrays and geometry.

        TQL keeps the order between requests as long as nobody changes the container: a collection without a key has
        that of insertion, in which SQL promises none.
        """
        if self._info.partitioning is not None:
            raise SqlRefusedError(
                f"Container {self._info.name!r} has partitions, and no row key or columns that SQL cannot read: the "
                "Web API cannot read it page by page in a sure order; use griddb://.",
                container=self._info.name,
            )
        where = f" WHERE {' AND '.join(bounds)}" if bounds else ""
        order = ", ".join(name_sql(name) for name in self._info.row_key)
        if order and self._info.type is not ContainerType.TIME_SERIES:
            where += f" ORDER BY {order}"
        found: list[pa.Table] = []
        offset = 0
        while rows_max > 0:
            limit = min(self._size, rows_max)
            question = {
                "name": self._info.name,
                "stmt": f"SELECT * FROM {name_sql(self._info.name)}{where} LIMIT {limit} OFFSET {offset}",
                "columns": [column.name for column in self._columns],
            }
            answer = self._answer("tql", question)
            if answer is None:
                continue
            rows = answer["results"]
            found.append(table_of(column_types(answer["columns"]), rows))
            if len(rows) < limit:
                break
            offset += len(rows)
            rows_max -= len(rows)
        return found

    def _answer(self, endpoint: str, question: dict[str, Any]) -> dict[str, Any] | None:
        """Return the answer of one page; None when it was too large, and the next is to be smaller."""
        try:
            answer: dict[str, Any] = self._http.call("POST", endpoint, [question])[0]
        except TooLargeError as error:
            if self._size == 1:
                raise RangeTooLargeError(
                    f"A row of container {self._info.name!r} is larger than the Web API sends (20 MB).",
                    container=self._info.name,
                ) from error
            self._size = max(1, self._size // 4)
            return None
        rows = len(answer["results"])
        if rows:
            mean = max(1, answer["responseSizeByte"] / rows)
            self._size = max(1, min(_PAGE_ROWS, int(_PAGE_BYTES / mean)))
        return answer


def _names(columns: Sequence[Column]) -> str:
    return ", ".join(name_sql(column.name) for column in columns)


def _guess(column: Column) -> int:
    if column.type is ColumnType.BLOB:
        return _BLOB_GUESS
    return _TEXT_GUESS if column.type in {ColumnType.STRING, ColumnType.GEOMETRY} else _FIXED_BYTES


def _beyond(key: Sequence[Column], values: Sequence[Any]) -> str:
    """Return the condition of the rows after these key values, column by column."""
    texts = []
    for column, value in zip(key, values, strict=True):
        if column.type.precision:
            texts.append(_time_text(column, value))
        else:
            texts.append(literal(value))
    ways = []
    for place, column in enumerate(key):
        equal = [f"{name_sql(one.name)} = {text}" for one, text in zip(key[:place], texts, strict=False)]
        ways.append(" AND ".join([*equal, f"{name_sql(column.name)} > {texts[place]}"]))
    return ways[0] if len(ways) == 1 else f"({' OR '.join(f'({way})' for way in ways)})"


def _time_text(column: Column, value: str) -> str:
    """Return a time of an answer as a literal of its own precision."""
    if column.type is ColumnType.TIMESTAMP_9:
        import pandas as pd

        return literal(pd.Timestamp(value))
    return literal(datetime.fromisoformat(value))
