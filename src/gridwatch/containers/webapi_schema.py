"""Schemas of containers over the Web API: read from GridDB's meta tables, made with SQL.

The API's own `info` tells neither which columns may be null nor the columns of a key, and fails where a key has
several; its own way of making containers cannot make those either. So both go through SQL, except for columns of
arrays and geometry, which SQL has not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from gridwatch.containers._codes import code_of
from gridwatch.containers._ddl import add_column_sql, create_index_sql, create_table_sql, in_sql, partitioning_of
from gridwatch.containers._literals import literal, name_sql
from gridwatch.containers.schema import Column, ColumnType, ContainerInfo, ContainerType, Index
from gridwatch.containers.webapi_http import WebApiHttp, refusal
from gridwatch.containers.webapi_rows import column_types
from gridwatch.errors import ContainerNotFoundError, SchemaError, SqlRefusedError, StoreError

__all__ = ["Schemas"]

_NO_META_TABLE = 240007
_NAMES_PAGE = 10_000
_KINDS = {"TIMESERIES": ContainerType.TIME_SERIES, "TIME_SERIES": ContainerType.TIME_SERIES}

Answer = tuple[list[Mapping[str, Any]], list[list[Any]]]
"""Columns and rows of one statement."""


class Schemas:
    """The schemas of one database."""

    def __init__(self, http: WebApiHttp, database: str) -> None:
        self._http = http
        self._database = database

    def names(self) -> list[str]:
        """Return all container names, sorted."""
        found: list[str] = []
        while True:
            page = self._http.call("GET", f"containers?limit={_NAMES_PAGE}&offset={len(found)}")
            found += page["names"]
            if not page["names"] or len(found) >= page["total"]:
                return sorted(found)

    def find(self, name: str) -> ContainerInfo | None:
        """Return the container of this name (compared without case) without its indexes, or None."""
        found = self._exact(name)
        if found is None:
            stored = self.stored_name(name)
            found = self._exact(stored) if stored not in {None, name} else None
        return found

    def stored_name(self, name: str) -> str | None:
        """Return a container's name as it is stored (quoted names keep their case in SQL), or None."""
        (answer,) = self._ask(f'SELECT TABLE_NAME FROM "#tables" WHERE UPPER(TABLE_NAME) = {literal(name.upper())}')
        return str(answer[1][0][0]) if answer[1] else None

    def _exact(self, name: str | None) -> ContainerInfo | None:
        if not name:
            return None
        where = f"WHERE DATABASE_NAME = {literal(self._database)} AND TABLE_NAME = {literal(name)}"
        try:
            first, columns, keys, tables = self._ask(
                f"SELECT * FROM {name_sql(name)} LIMIT 0",
                f'SELECT COLUMN_NAME, TYPE_NAME, NULLABLE FROM "#columns" {where} ORDER BY ORDINAL_POSITION',
                f'SELECT COLUMN_NAME FROM "#primary_keys" {where} ORDER BY KEY_SEQ',
                f'SELECT * FROM "#tables" {where}',
            )
        except ContainerNotFoundError:
            return None
        if not tables[1]:
            # A view answers to the first statement, but is no container.
            return None
        row = {str(column["name"]): value for column, value in zip(tables[0], tables[1][0], strict=True)}
        # The meta table does not tell TIMESTAMP(6) from TIMESTAMP; the answer's own columns do.
        precise = {label: kind for label, kind in column_types(first[0]) if kind is not None and kind.precision}
        return ContainerInfo(
            name,
            _KINDS.get(str(row["TABLE_OPTIONAL_TYPE"]), ContainerType.COLLECTION),
            tuple(Column(label, precise.get(label) or _type(name, word), null) for label, word, null in columns[1]),
            tuple(column for (column,) in keys[1]),
            partitioning=partitioning_of(row),
        )

    def with_indexes(self, info: ContainerInfo) -> ContainerInfo:
        """Return the container with its indexes."""
        where = f"DATABASE_NAME = {literal(self._database)} AND TABLE_NAME = {literal(info.name)}"
        statement = f'SELECT INDEX_NAME, ORDINAL_POSITION, COLUMN_NAME FROM "#index_info" WHERE {where}'
        try:
            ((_, rows),) = self._ask(f"{statement} AND INDEX_TYPE = 'TREE'")
        except SqlRefusedError as error:
            if error.code != _NO_META_TABLE:
                raise
            rows = []
        found: list[Index] = []
        for name, group in groupby(rows, key=lambda row: row[0]):
            columns: list[str] = []
            for _, ordinal, column in group:
                # Indexes without a name follow one another; each counts its columns from 1.
                if ordinal == 1 and columns:
                    found.append(Index(tuple(columns), name or ""))
                    columns = []
                columns.append(column)
            found.append(Index(tuple(columns), name or ""))
        found = [index for index in found if index.name or index.columns != info.row_key]
        return ContainerInfo(
            info.name,
            info.type,
            info.columns,
            info.row_key,
            tuple(dict.fromkeys(index.columns[0] for index in found if len(index.columns) == 1)),
            tuple(index for index in found if index.name or len(index.columns) > 1),
            info.partitioning,
        )

    def create(self, info: ContainerInfo) -> None:
        """Make a container and its indexes.

        Raises:
            ContainerExistsError: There is one, or a view, of this name.
        """
        if in_sql(info):
            self.define(create_table_sql(info))
        else:
            self._create_natively(info)
        self.add_indexes(info, info)

    def _create_natively(self, info: ContainerInfo) -> None:
        key = {name.lower() for name in info.row_key}
        for column in info.columns:
            if not column.nullable and column.name.lower() not in key:
                raise SchemaError(
                    f"Container {info.name!r} has arrays or geometry, so the Web API cannot make its column "
                    f"{column.name!r} NOT NULL; make it nullable, or make the container through griddb://.",
                    container=info.name,
                )
        if len(info.row_key) > 1 or info.partitioning is not None:
            raise SchemaError(
                f"Container {info.name!r} has arrays or geometry, so the Web API can give it neither a key of several "
                "columns nor partitions; make it through griddb://.",
                container=info.name,
            )
        columns = [_native_column(column) for column in info.columns]
        body = {"container_name": info.name, "container_type": info.type.value, "rowkey": bool(info.row_key)}
        self._http.call("POST", "containers", body | {"columns": columns}, repeatable=False)

    def add_indexes(self, info: ContainerInfo, wanted: ContainerInfo) -> None:
        """Make the indexes of `wanted` on the container `info`."""
        named = {index.columns for index in wanted.named_indexes}
        plain = (Index((info.column(name).name,)) for name in wanted.indexes if (name,) not in named)
        for index in (*plain, *wanted.named_indexes):
            self.define(create_index_sql(info.name, index))

    def add_columns(self, info: ContainerInfo, columns: Sequence[Column]) -> None:
        """Add columns at the end."""
        for column in columns:
            self.define(add_column_sql(info.name, column))

    def drop(self, name: str) -> None:
        """Drop the container of exactly this name, if there is one."""
        self.define(f"DROP TABLE IF EXISTS {name_sql(name)}")

    def define(self, statement: str) -> None:
        """Run one statement that defines something.

        Raises:
            StoreError: GridDB refuses it; `code` is its number.
        """
        raise_failed(self._http.call("POST", "sql/ddl", [{"stmt": statement}], repeatable=False))

    def _ask(self, *statements: str) -> list[Answer]:
        answers = self._http.call("POST", "sql/dml/query", [{"stmt": statement} for statement in statements])
        return [(answer["columns"], answer["results"]) for answer in answers]


def raise_failed(answers: Sequence[Mapping[str, Any]]) -> None:
    """Raise the refusal that an answer of HTTP 200 carries, if it carries one."""
    for answer in answers:
        if answer.get("status") != 1:
            message = str(answer.get("message") or "the statement failed")
            raise refusal(message, code_of(message), of_sql=True)


def _type(container: str, word: str) -> ColumnType:
    try:
        return ColumnType(word)
    except ValueError as error:
        raise StoreError(f"Container {container!r} has a column of the unknown type {word}.") from error


def _native_column(column: Column) -> dict[str, Any]:
    precisions = {6: "MICROSECOND", 9: "NANOSECOND"}
    found: dict[str, Any] = {"name": column.name, "type": column.type.value.partition("(")[0]}
    if column.type.precision in precisions:
        found["timePrecision"] = precisions[column.type.precision]
    return found
