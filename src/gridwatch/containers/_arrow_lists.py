"""Array columns: Arrow lists checked element by element, kept in the store as JSON text."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["as_lists", "as_text", "fault_of"]


def fault_of(array: pa.ChunkedArray) -> tuple[int | None, str]:
    """Return the row and the reason of the first array that GridDB cannot hold; the reason is empty if there is none.

    Args:
        array: Lists of an array column's own Arrow type.
    """
    for row, value in enumerate(array.to_pylist()) if _has_fault(array) else ():
        if value is not None and any(_is_fault(element) for element in value):
            return row, "an element is null, not finite, holds a NUL character or is a time before 1970"
    return None, ""


def _has_fault(array: pa.ChunkedArray) -> bool:
    elements = pc.list_flatten(array)
    if elements.null_count:
        return True
    kind = elements.type
    if pa.types.is_floating(kind):
        return pc.all(pc.is_finite(elements)).as_py() is False
    if pa.types.is_string(kind):
        return pc.any(pc.match_substring(elements, "\0")).as_py() is True
    if pa.types.is_timestamp(kind):
        return pc.any(pc.less(elements.cast(pa.int64()), 0)).as_py() is True
    return False


def _is_fault(element: Any) -> bool:
    if isinstance(element, float):
        return element != element or element in (float("inf"), float("-inf"))
    if isinstance(element, str):
        return "\0" in element
    return element is None or (hasattr(element, "timestamp") and element.timestamp() < 0)


def as_text(array: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return lists as JSON text; times are epoch ms."""
    plain = array
    if pa.types.is_timestamp(array.type.value_type):
        plain = array.cast(pa.list_(pa.int64()))
    texts = [None if value is None else json.dumps(value) for value in plain.to_pylist()]
    return pa.chunked_array([pa.array(texts, pa.string())])


def as_lists(array: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Return JSON text as lists of an array column's type."""
    values = [None if text is None else json.loads(text) for text in array.to_pylist()]
    stored = pa.list_(pa.int64()) if pa.types.is_timestamp(kind.value_type) else kind
    return pa.chunked_array([pa.array(values, stored)]).cast(kind)
