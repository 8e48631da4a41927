"""Rows found and deleted by their keys over the Web API."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from gridwatch.containers._ddl import in_sql
from gridwatch.containers._key_sql import Key, condition, in_order
from gridwatch.containers._keys import key_rows, moment_of
from gridwatch.containers._literals import name_sql
from gridwatch.containers.schema import Column, ColumnType, ContainerInfo
from gridwatch.containers.webapi_http import TooLargeError, WebApiHttp, sql_endpoint
from gridwatch.containers.webapi_rows import column_types, fitted, table_of
from gridwatch.containers.webapi_schema import raise_failed
from gridwatch.errors import RangeTooLargeError, SqlRefusedError

__all__ = ["KeyedRows"]

_GET_KEYS = 5000
"""Keys in one request: the API returns 10,000 rows of a container at most unless told otherwise."""

_SQL_KEYS = 500
_STATEMENT_CHARACTERS = 100_000


class KeyedRows:
    """The rows of one container, by key."""

    def __init__(self, http: WebApiHttp, info: ContainerInfo) -> None:
        self._http = http
        self._info = info

    def get(self, keys: Sequence[Any]) -> pa.Table:
        """Return the rows with these keys, in their order; unknown keys are left out."""
        wanted = key_rows(self._info, keys)
        # The API's own get takes one key column, and times of milliseconds only.
        plain = len(self._info.row_key) == 1 and self._info.columns[0].type in {
            ColumnType.STRING, ColumnType.INTEGER, ColumnType.LONG, ColumnType.TIMESTAMP,
        }  # fmt: skip
        if not plain and not in_sql(self._info):
            raise SqlRefusedError(
                f"Container {self._info.name!r} has arrays or geometry, and a key that the Web API cannot look up; use "
                "griddb://.",
                container=self._info.name,
            )
        size = _GET_KEYS if plain else _SQL_KEYS
        parts = []
        for start in range(0, len(wanted), size):
            parts += self._get(wanted[start : start + size], plain=plain)
        rows = pa.concat_tables([self._info.arrow.empty_table(), *parts])
        return in_order(self._info, rows, wanted)

    def _get(self, keys: list[Key], *, plain: bool) -> list[pa.Table]:
        try:
            return [self._by_api(keys) if plain else self._by_sql(keys)]
        except TooLargeError as error:
            if len(keys) == 1:
                raise RangeTooLargeError(
                    f"The row with key {keys[0]!r} of container {self._info.name!r} is larger than the Web API sends.",
                    container=self._info.name,
                ) from error
        half = len(keys) // 2
        return self._get(keys[:half], plain=plain) + self._get(keys[half:], plain=plain)

    def _by_api(self, keys: list[Key]) -> pa.Table:
        values = [_api_value(self._info.columns[0], key[0]) for key in keys]
        question = {"name": self._info.name, "keyValues": values, "limit": len(keys)}
        answers = self._http.call("POST", "containers/rows", [question])
        return fitted(table_of(column_types(answers[0]["columns"]), answers[0]["results"]), self._info.arrow)

    def _by_sql(self, keys: list[Key]) -> pa.Table:
        columns = ", ".join(name_sql(column.name) for column in self._info.columns)
        where = condition(self._info, keys)
        statement = f"SELECT {columns} FROM {name_sql(self._info.name)} WHERE {where}"
        (answer,) = self._http.call("POST", sql_endpoint(statement), [{"stmt": statement}])
        return fitted(table_of(column_types(answer["columns"]), answer["results"]), self._info.arrow)

    def delete(self, keys: Sequence[Any]) -> int:
        """Delete the rows with these keys; return how many there were."""
        wanted = key_rows(self._info, keys)
        deleted = 0
        for batch in self._statements(wanted):
            statement = f"DELETE FROM {name_sql(self._info.name)} WHERE {batch}"
            endpoint = sql_endpoint(statement, changing=True)
            answers = self._http.call("POST", endpoint, [{"stmt": statement}], repeatable=False)
            raise_failed(answers)
            deleted += int(answers[0]["updatedRows"] or 0)
        return deleted

    def _statements(self, keys: list[Key]) -> Iterator[str]:
        """Yield conditions that together match the keys, none too long."""
        start = 0
        size = 5000 if len(self._info.row_key) == 1 else _SQL_KEYS
        while start < len(keys):
            where = condition(self._info, keys[start : start + size])
            if len(where) > _STATEMENT_CHARACTERS and size > 1:
                size //= 2
                continue
            yield where
            start += size


def _api_value(column: Column, value: Any) -> Any:
    if column.type is ColumnType.TIMESTAMP:
        return f"{moment_of(value):%Y-%m-%dT%H:%M:%S}.{value % 1000:03d}Z"
    return value
