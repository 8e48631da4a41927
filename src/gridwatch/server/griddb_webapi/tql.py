"""TQL statements: each names its container, and may ask for some of the columns."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from gridwatch.server.griddb_webapi import bodies
from gridwatch.server.griddb_webapi.answers import columns_of, rows_text, table_columns
from gridwatch.server.griddb_webapi.containers import counted, found
from gridwatch.server.griddb_webapi.errors import ApiError, named
from gridwatch.server.griddb_webapi.limits import LIMIT_MAX, QUERIES_MAX, check_response, native_bytes
from gridwatch.server.metrics import count_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridwatch.containers import Store

__all__ = ["STATEMENTS", "check", "run"]

STATEMENTS = bodies.each(
    bodies.fields(
        {
            "name": bodies.text,
            "stmt": bodies.text,
            "columns": bodies.each(bodies.text),
            "hasPartialExecution": bodies.flag,
        },
        {},
    )
)

_LIMIT = re.compile(r"LIMIT\s+([0-9]+)\s*(?:\sOFFSET\s+([0-9]+))?\s*$", re.IGNORECASE | re.ASCII)
_ROWS = re.compile(r"\s*select\s*\*", re.IGNORECASE | re.ASCII)
_AGGREGATION = re.compile(
    r"\s*select\s+(?:MAX|MIN|COUNT|SUM|AVG|VARIANCE|STDDEV|TIME_AVG)\([^()]+\)", re.IGNORECASE | re.ASCII
)
_ORDER = re.compile(r"[\s)']ORDER\s+BY[^']*$", re.IGNORECASE | re.ASCII)


def check(asked: Sequence[dict[str, Any] | None]) -> None:
    """Refuse what GridDB refuses before it looks at a container.

    Raises:
        ApiError: No statement, too many, or one without name or text.
    """
    if not asked:
        raise ApiError(400, "List of TQL is empty")
    if len(asked) > QUERIES_MAX:
        raise ApiError(400, "Exceed maximum of TQLs that can be executed")
    for one in asked:
        if one is None or not (one["name"] or "").strip():
            raise ApiError(400, "Container invalid")
        if not (one["stmt"] or "").strip():
            raise ApiError(400, "Statement invalid")
        if "\0" in one["stmt"]:
            raise ApiError(400, "Invalid character(s) found")
        if one["stmt"][:7].upper() == "EXPLAIN":
            raise ApiError(400, "'EXPLAIN/ANALYZE' is not supported")


def run(store: Store, asked: dict[str, Any]) -> dict[str, Any]:
    """Run one statement; return its answer, rows as JSON text.

    Raises:
        ApiError: The container or a column is missing, or the rows are too many bytes.
        StoreError: The statement is refused.
    """
    info = found(store, asked["name"])
    names = [column.name for column in info.columns]
    for name in asked["columns"] or ():
        if name not in names:
            raise ApiError(400, f"Column '{name}' not existed")
    places = [names.index(name) for name in asked["columns"] or ()] or list(range(len(names)))
    statement = asked["stmt"].replace("\n", " ").replace("\r", " ")
    if info.partitioning is not None:
        message = f"Container {info.name!r} is partitioned: TQL over the Web API cannot read it, SQL can"
        raise ApiError(400, named(151001, message), 151001)
    limited, limit, offset = _limited(statement)
    total = _total(store, asked["name"], statement)
    table = store.tql(asked["name"], limited, rows_max=LIMIT_MAX)
    if table.num_rows and table.schema.names == ["aggregationResult"] and not _ROWS.match(statement):
        return _aggregated(table)
    if table.num_columns != len(names):
        table = info.arrow.empty_table()
    table = table.select(places)
    size = check_response(native_bytes(column) for column in table.columns)
    count_rows("out", table.num_rows)
    return {
        "columns": columns_of(info.columns[place] for place in places),
        "results": rows_text(table),
        "offset": offset,
        "limit": limit,
        "total": total,
        "responseSizeByte": size,
    }


def _limited(statement: str) -> tuple[str, int, int]:
    """Return the statement with a limit no larger than allowed, the limit and the offset."""
    match = _LIMIT.search(statement)
    if match is None or int(match[1]) >= 2**31:
        return f"{statement} limit {LIMIT_MAX}", LIMIT_MAX, 0
    limit = min(int(match[1]), LIMIT_MAX)
    offset = int(match[2] or 0)
    return statement[: match.start(1)] + str(limit) + statement[match.end(1) :], limit, offset


def _total(store: Store, name: str, statement: str) -> int:
    """Return how many rows there are without limit and offset; 1 for an aggregation, -1 where GridDB does not count."""
    match = _ROWS.match(statement)
    if match is None:
        return 1 if _AGGREGATION.match(statement) else -1
    rest = _LIMIT.sub("", statement[match.end() :]).rstrip()
    order = _ORDER.search(rest)
    rest = rest[: order.start() + 1] if order else rest
    return counted(store, name, f" {rest}")


def _aggregated(table: pa.Table) -> dict[str, Any]:
    # A number of whatever type comes back as DOUBLE, a COUNT too.
    if not pa.types.is_timestamp(table.schema.field(0).type):
        table = table.cast(pa.schema([("aggregationResult", pa.float64())]), safe=False)
    return {"columns": table_columns(table.schema), "results": rows_text(table)}
