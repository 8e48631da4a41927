"""Rows of several containers at once, by key or by a range of keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from gridwatch.containers import ColumnType, ContainerInfo, ContainerType
from gridwatch.server.griddb_webapi import bodies
from gridwatch.server.griddb_webapi.answers import columns_of, rows_text
from gridwatch.server.griddb_webapi.containers import counted, found
from gridwatch.server.griddb_webapi.errors import ApiError, named
from gridwatch.server.griddb_webapi.limits import LIMIT_MAX, MULTI_LIMIT, check_response, native_bytes
from gridwatch.server.griddb_webapi.rows import key_of
from gridwatch.server.metrics import count_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridwatch.containers import Store

__all__ = ["MULTI_GET", "query_many"]

T = ColumnType

MULTI_GET = bodies.each(
    bodies.fields(
        {
            "name": bodies.text,
            "startKeyValue": bodies.any_value,
            "finishKeyValue": bodies.any_value,
            "keyValues": bodies.any_array,
            "offset": bodies.integer,
            "limit": bodies.integer,
        },
        {"offset": 0, "limit": MULTI_LIMIT},
    )
)


def query_many(store: Store, asked: Sequence[dict[str, Any] | None]) -> list[dict[str, Any]]:
    """Return rows of several containers, by key or range of keys; an answer a container, in GridDB's order.

    Raises:
        ApiError: A container is missing, a key is none, or the rows are too many bytes.
    """
    wanted: dict[str, tuple[ContainerInfo, dict[str, Any]]] = {}
    for one in asked:
        if one is None or not (one["name"] or "").strip():
            raise ApiError(400, "The container is invalid")
        if one["limit"] < 0:
            raise ApiError(400, "The limit is invalid")
        if one["offset"] < 0:
            raise ApiError(400, "The offset is invalid")
        info = found(store, one["name"])
        if info.name != one["name"]:
            raise ApiError(400, f"Container {one['name']!r} is written {info.name!r}")
        wanted[info.name] = info, one
    answers = []
    for name in hash_order(list(wanted), string_hash):
        info, one = wanted[name]
        limit = min(one["limit"], LIMIT_MAX)
        page, total = _by_key(store, info, one, limit)
        check_response(native_bytes(column) for column in page.columns)
        count_rows("out", page.num_rows)
        answers.append(
            {
                "container": name,
                "columns": columns_of(info.columns),
                "results": rows_text(page),
                "offset": one["offset"],
                "limit": limit,
                "total": total,
            }
        )
    return answers


def _by_key(store: Store, info: ContainerInfo, asked: dict[str, Any], limit: int) -> tuple[pa.Table, int]:
    """Return the rows of a page, and how many there are in all."""
    if not info.row_key:
        raise ApiError(400, named(145024, f"Container {info.name!r} has no row key"), 145024)
    if len(info.row_key) > 1:
        return _page(store, info, asked, limit)
    kind = info.column(info.row_key[0]).type
    keys = [_asked_key(kind, one) for one in asked["keyValues"] or () if one is not None or kind in {T.INTEGER, T.LONG}]
    if keys:
        return _cut(store.get(info.name, hash_order(keys, key_hash)), asked, limit)
    start, finish = (
        None if kind is T.STRING or asked[side] is None else _asked_key(kind, asked[side])
        for side in ("startKeyValue", "finishKeyValue")
    )
    if start is not None and finish is not None and start > finish:
        return info.arrow.empty_table(), 0
    given = [(sign, bound) for sign, bound in ((">=", start), ("<=", finish)) if bound is not None]
    is_series = info.type is ContainerType.TIME_SERIES
    if given and kind.precision and not is_series:
        raise ApiError(400, named(60049, f"a range of the key of {info.name!r}, a time"), 60049)
    if given and is_series and (kind is not T.TIMESTAMP or info.partitioning is not None):
        return _cut(store.read(info.name, start, finish), asked, limit)
    bound_text = "TO_TIMESTAMP_MS({})" if kind.precision else "{}"
    bounds = [f'"{info.row_key[0]}" {sign} {bound_text.format(bound)}' for sign, bound in given]
    return _page(store, info, asked, limit, f" where {' and '.join(bounds)}" if bounds else "")


def _page(
    store: Store, info: ContainerInfo, asked: dict[str, Any], limit: int, where: str = ""
) -> tuple[pa.Table, int]:
    """Read one page in the order of the key; what is not asked for stays in the store."""
    if not where and info.partitioning is not None:
        # TQL cannot read it.
        return _cut(store.read(info.name), asked, limit)
    total = counted(store, info.name, where)
    if not limit or asked["offset"] >= total:
        return info.arrow.empty_table(), total
    order = ", ".join(f'"{column}"' for column in info.row_key)
    statement = f"select *{where} order by {order} limit {limit} offset {asked['offset']}"
    return store.tql(info.name, statement, rows_max=LIMIT_MAX), total


def _cut(table: pa.Table, asked: dict[str, Any], limit: int) -> tuple[pa.Table, int]:
    return table.slice(asked["offset"], limit), table.num_rows


def _asked_key(kind: ColumnType, value: Any) -> Any:
    if (kind is T.STRING or kind.precision) and not isinstance(value, str):
        raise ApiError(400, f"A key of type {kind} is text, not {value!r:.60}")
    return key_of(kind, value)


def string_hash(text: str) -> int:
    """Return Java's hash of a string.

    >>> string_hash("wa_i"), string_hash("")
    (3641396, 0)
    """
    units = text.encode("utf-16-be", "surrogatepass")
    found = 0
    for place in range(0, len(units), 2):
        found = (31 * found + (units[place] << 8) + units[place + 1]) & 0xFFFFFFFF
    return found


def key_hash(key: Any) -> int:
    """Return Java's hash of a row key: text, an integer, or a time in ms."""
    if isinstance(key, str):
        return string_hash(key)
    if isinstance(key, int):
        return (key ^ (key >> 32)) & 0xFFFFFFFF if not -(2**31) <= key < 2**31 else key & 0xFFFFFFFF
    return 0


def hash_order(keys: Sequence[Any], hash_of: Callable[[Any], int]) -> list[Any]:
    """Return keys, repeats left out, in the order of Java's hash table, which is the order GridDB answers in."""
    distinct = list(dict.fromkeys(keys))
    size = 16
    while len(distinct) > size * 3 // 4:
        size *= 2
    return sorted(distinct, key=lambda key: (hash_of(key) ^ (hash_of(key) >> 16)) & (size - 1))
