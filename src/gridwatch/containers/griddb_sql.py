"""SQL and DDL on a GridDB cluster, through its JDBC driver and JayDeBeApi; results come back as whole columns."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pyarrow as pa

from gridwatch.containers._rules import check_answer
from gridwatch.containers.dialect.parse import check_text, refused, time_parameter
from gridwatch.containers.griddb_address import Cluster
from gridwatch.containers.griddb_columns import NO_KIND, kind_of, tables_out
from gridwatch.containers.griddb_errors import is_connection_error, translated
from gridwatch.containers.griddb_pool import Pool
from gridwatch.containers.jvm import java_class
from gridwatch.containers.schema import ColumnType
from gridwatch.errors import StoreError

__all__ = ["Sql"]

_DRIVER = "com.toshiba.mwcloud.gs.sql.Driver"
_COMMENTS = re.compile(r"\A(?:\s|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*", re.DOTALL)
_WORD = re.compile(r"\(*\s*([A-Za-z]+)")
_READING = frozenset({"SELECT", "EXPLAIN", "VALUES"})
_CHANGING = frozenset({"INSERT", "REPLACE", "UPDATE", "DELETE"})
_DEFINING = frozenset({"CREATE", "DROP", "ALTER", "GRANT", "REVOKE", "SET"})
_LONG = (-(2**63), 2**63 - 1)
_ALIVE_S = 5
_TIMESTAMPS = {3: ColumnType.TIMESTAMP, 6: ColumnType.TIMESTAMP_6, 9: ColumnType.TIMESTAMP_9}
_INT_MAX = 2**31 - 1


class Sql:
    """Runs SQL on one database.

    Args:
        cluster: Where the cluster is.
        login: Properties that both of GridDB's clients take: user, password, name of the application.
        timeout_s: Longest wait for a connection, in seconds.
    """

    def __init__(self, cluster: Cluster, login: Mapping[str, str], timeout_s: float) -> None:
        self._cluster = cluster
        self._login = login
        self._timeout_s = timeout_s
        self._pool = Pool(self._open, _alive)

    def _open(self) -> Any:
        import jaydebeapi

        properties = {**self._cluster.sql_properties(), **self._login}
        properties["loginTimeout"] = str(max(1, round(self._timeout_s)))
        # Any call makes the thread known to the JVM; JayDeBeApi would do that in a way that JPype has deprecated.
        java_class("java.lang.Thread").currentThread()
        with translated(self._cluster.sql_place):
            return jaydebeapi.connect(_DRIVER, self._cluster.sql_url(), properties)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def version(self) -> tuple[int, int]:
        """Return the server's version, such as (5, 9)."""
        with self._pool.take() as connection, translated(self._cluster.sql_place, "SQL"):
            found = connection.jconn.getMetaData()
            return int(found.getDatabaseMajorVersion()), int(found.getDatabaseMinorVersion())

    def query(self, statement: str, parameters: Sequence[Any], rows_max: int) -> pa.Table:
        """Run one SELECT; see `Store.sql`."""
        verb = _verb(statement)
        if verb not in _READING:
            raise refused(f"{verb} in sql()", code=240000, hint="execute() takes it")
        try:
            return self._query(statement, parameters, rows_max)
        except StoreError as error:
            # A connection that was broken meanwhile is told by the first statement on it. Reading twice is harmless.
            if not is_connection_error(error):
                raise
        return self._query(statement, parameters, rows_max)

    def _query(self, statement: str, parameters: Sequence[Any], rows_max: int) -> pa.Table:
        with self._prepared(statement, parameters) as prepared:
            prepared.setMaxRows(min(rows_max + 1, _INT_MAX))
            found = prepared.executeQuery()
            schema, kinds = _columns(found.getMetaData())
            table = tables_out(schema, kinds, range(len(kinds)), lambda out, most: out.take(found, most), rows_max)
        check_answer(table.num_rows, rows_max)
        return table

    def execute(self, statement: str, parameters: Sequence[Any]) -> int:
        """Run one statement that changes something; see `Store.execute`. It is never run twice."""
        verb = _verb(statement)
        if verb in _DEFINING and parameters:
            raise refused(f"parameters of {verb}", code=None)
        if verb not in _CHANGING | _DEFINING:
            raise refused(f"{verb} in execute()", code=240000, hint="sql() takes SELECT")
        with self._prepared(statement, parameters) as prepared:
            count = int(prepared.executeUpdate())
        return count if verb in _CHANGING else 0

    @contextmanager
    def _prepared(self, statement: str, parameters: Sequence[Any]) -> Iterator[Any]:
        """Prepare a statement and bind its parameters."""
        with self._pool.take() as connection, translated(self._cluster.sql_place, "SQL"):
            prepared = connection.jconn.prepareStatement(statement)
            try:
                marks = int(prepared.getParameterMetaData().getParameterCount())
                if marks != len(parameters):
                    raise refused(f"{marks} '?' with {len(parameters)} parameters", code=None)
                for number, value in enumerate(parameters, 1):
                    _bind(prepared, number, value)
                yield prepared
            finally:
                prepared.close()


def _alive(connection: Any) -> bool:
    return bool(connection.jconn.isValid(_ALIVE_S))


def _verb(statement: str) -> str:
    """Return the first word of a statement in capitals, comments and parentheses passed over."""
    start = _COMMENTS.match(statement)
    found = _WORD.match(statement, start.end() if start else 0)
    return found.group(1).upper() if found else "nothing"


def _bind(prepared: Any, number: int, value: Any) -> None:
    import jpype

    if value is None:
        prepared.setNull(number, java_class("java.sql.Types").NULL)
    elif isinstance(value, bool):
        prepared.setBoolean(number, value)
    elif isinstance(value, datetime):
        prepared.setTimestamp(number, java_class("java.sql.Timestamp")(jpype.JLong(time_parameter(number, value))))
    elif isinstance(value, int):
        if not _LONG[0] <= value <= _LONG[1]:
            raise refused(f"parameter {number}, {value}, which is outside the range of LONG", code=305004)
        prepared.setLong(number, value)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise refused("a number that is not finite", code=None, hint="the store takes neither NaN nor infinity")
        prepared.setDouble(number, value)
    elif isinstance(value, str):
        check_text(value)
        prepared.setString(number, value)
    elif isinstance(value, bytes | bytearray):
        blob = java_class("com.toshiba.mwcloud.gs.common.BlobImpl")()
        blob.setDataDirect(jpype.JArray(jpype.JByte)(bytes(value)))
        prepared.setBlob(number, blob)
    else:
        raise refused(f"parameter {number} of type {type(value).__name__}", code=None)


def _columns(meta: Any) -> tuple[pa.Schema, list[int]]:
    """Return the Arrow schema of a result and the Java side's kinds."""
    fields, kinds = [], []
    for place in range(1, int(meta.getColumnCount()) + 1):
        name = str(meta.getColumnTypeName(place))
        kind = None if name == "UNKNOWN" else ColumnType(name)
        if kind is ColumnType.TIMESTAMP:
            kind = _TIMESTAMPS.get(int(meta.getPrecision(place)), ColumnType.TIMESTAMP)
        number = kind_of(kind) if kind is not None else None
        # Arrays and geometries come as nulls over SQL; so do values of an unknown type, such as NULL itself.
        known = kind is not None and number is not None
        fields.append(pa.field(str(meta.getColumnLabel(place)), kind.arrow if kind and known else pa.null()))
        kinds.append(number if number is not None else NO_KIND)
    return pa.schema(fields), kinds
