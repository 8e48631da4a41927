"""How much one request may carry or bring, in the units GridDB's Web API counts in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from gridwatch.server.griddb_webapi.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "BODY_BYTES_MAX",
    "LIMIT_MAX",
    "MULTI_LIMIT",
    "QUERIES_MAX",
    "REQUEST_BYTES_MAX",
    "RESPONSE_BYTES_MAX",
    "check_response",
    "native_bytes",
    "sql_bytes",
]

_MIB = 1024 * 1024

REQUEST_BYTES_MAX = 20 * _MIB
"""Most bytes of values that one put may carry."""

RESPONSE_BYTES_MAX = 20 * _MIB
"""Most bytes of values that one statement or row query may bring."""

BODY_BYTES_MAX = 40 * _MIB
"""Most bytes of a request's body: numbers written as text take more room than they count."""

QUERIES_MAX = 10
"""Most statements in one request."""

LIMIT_MAX = 1_000_000
"""Most rows of one row query or TQL statement; a larger limit is cut to it."""

MULTI_LIMIT = 10_000
"""Rows of each container in a query of several, unless the caller says otherwise."""

# What GridDB's Web API counts for one value that is not null; a BYTE counts its bits.
_NATIVE = {
    pa.bool_(): 1, pa.int8(): 8, pa.int16(): 2, pa.int32(): 4, pa.int64(): 8, pa.float32(): 4, pa.float64(): 8,
}  # fmt: skip
_LISTS = (pa.lib.ListType, pa.lib.LargeListType)
# The length of a time as text, by its unit.
_TIME_TEXT = {"ms": 24, "us": 27, "ns": 30, "s": 24}


def native_bytes(column: pa.ChunkedArray) -> int:
    """Return the bytes that a column counts in row queries, puts and TQL."""
    kind = column.type
    filled = int(len(column) - column.null_count)
    if pa.types.is_timestamp(kind):
        return filled * (9 if kind.unit == "ns" else 8)
    if isinstance(kind, _LISTS):
        return _array_bytes(column)
    return filled * _NATIVE[kind] if kind in _NATIVE else _text_bytes(column)


def sql_bytes(column: pa.ChunkedArray) -> int:
    """Return the bytes that a column counts in SQL: a BYTE is one byte there, and a time its text."""
    kind = column.type
    filled = int(len(column) - column.null_count)
    if kind == pa.int8():
        return filled
    if isinstance(kind, _LISTS) or kind == pa.large_string():
        # SQL shows neither arrays nor GEOMETRY.
        return 0
    if pa.types.is_timestamp(kind):
        return filled * _TIME_TEXT[kind.unit]
    return native_bytes(column)


def _array_bytes(column: pa.ChunkedArray) -> int:
    if not pa.types.is_string(column.type.value_type):
        return native_bytes(pa.chunked_array([column.combine_chunks().flatten()]))
    # GridDB counts an array of texts as if each were as long as the first.
    return sum(len(texts) * len(texts[0].encode()) for texts in column.to_pylist() if texts)


def _text_bytes(column: pa.ChunkedArray) -> int:
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        lengths = pc.binary_length(column)
        # In base64, three bytes are four characters.
        return 4 * int(pc.sum(pc.divide(pc.add(lengths, 2), 3)).as_py() or 0)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return int(pc.sum(pc.binary_length(column)).as_py() or 0)
    return 0


def check_response(sizes: Iterable[int]) -> int:
    """Return the sum of the sizes.

    Raises:
        ApiError: It is more than one answer may bring.
    """
    total = sum(sizes)
    if total > RESPONSE_BYTES_MAX:
        raise ApiError(400, "Too many result")
    return total
