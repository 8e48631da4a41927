"""Arrow tables as the Web API's JSON: each column becomes text as a whole, and the rows are joined from the columns."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from flask import Response

from gridwatch.containers import ColumnType

if TYPE_CHECKING:
    from gridwatch.containers import Column

__all__ = [
    "JSON_TYPE",
    "columns_of",
    "dumped",
    "empty",
    "json_answer",
    "rows_text",
    "shown_by_sql",
    "spliced",
    "table_columns",
]

JSON_TYPE = "application/json;charset=UTF-8"

_PRECISIONS = {3: "MILLISECOND", 6: "MICROSECOND", 9: "NANOSECOND"}
_KINDS = {kind.arrow: kind for kind in ColumnType}
# Below this a FLOAT has fewer than two digits.
_TINY = 1e-43
# JSON escapes what is below a space; most text has none of it.
_SPECIAL = r'["\\\x00-\x1f]'


def columns_of(columns: Iterable[Column]) -> list[dict[str, Any]]:
    """Return the `columns` of an answer: name, type, and the precision of a time."""
    return [{"name": column.name, **_kind(column.type)} for column in columns]


def table_columns(schema: pa.Schema) -> list[dict[str, Any]]:
    """Return the `columns` of an SQL answer; SQL shows neither GEOMETRY nor arrays, and calls them UNKNOWN."""
    return [{"name": field.name, **_sql_kind(field.type)} for field in schema]


def _sql_kind(kind: pa.DataType) -> dict[str, Any]:
    found = _KINDS.get(kind)
    if found is None or found.element or found is ColumnType.GEOMETRY:
        return {"type": "UNKNOWN"}
    return _kind(found)


def _kind(kind: ColumnType) -> dict[str, Any]:
    if kind.precision:
        return {"type": "TIMESTAMP", "timePrecision": _PRECISIONS[kind.precision]}
    return {"type": kind.value}


def shown_by_sql(table: pa.Table) -> pa.Table:
    """Return a table with nulls in the columns that SQL does not show."""
    for place, kind in enumerate(table.schema.types):
        if _sql_kind(kind)["type"] == "UNKNOWN":
            table = table.set_column(place, table.field(place).name, pa.nulls(table.num_rows))
    return table


def rows_text(table: pa.Table) -> str:
    """Return the rows as a JSON array of arrays."""
    if not table.num_rows:
        return "[]"
    parts = [_fragments(column.combine_chunks()) for column in table.columns]
    parts = [part.cast(pa.string()) for part in parts]
    lines = pc.binary_join_element_wise(*parts, ",", null_handling="replace", null_replacement="null")
    return f"[[{'],['.join(lines.to_pylist())}]]"


def _fragments(values: pa.Array) -> pa.Array:
    kind = values.type
    if pa.types.is_boolean(kind):
        return pc.if_else(values, "true", "false")
    if pa.types.is_integer(kind):
        return values.cast(pa.string())
    if pa.types.is_floating(kind):
        return _numbers(values)
    if pa.types.is_timestamp(kind):
        return _times(values)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _texts(values)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        cells = [None if cell is None else f'"{base64.b64encode(cell).decode()}"' for cell in values.to_pylist()]
        return pa.array(cells, pa.string())
    if pa.types.is_list(kind):
        return _arrays(values)
    return pa.nulls(len(values), pa.string())


def _numbers(values: pa.Array) -> pa.Array:
    texts = values.cast(pa.string())
    # 1 is written 1.0, as a floating-point number.
    texts = pc.if_else(
        pc.match_substring_regex(texts, r"^-?[0-9]+$"), pc.binary_join_element_wise(texts, ".0", ""), texts
    )
    if values.type == pa.float32():
        texts = _as_java(values, texts)
    finite = pc.is_finite(values)
    if pc.all(finite).as_py() is not False:
        return texts
    names = pc.if_else(pc.is_nan(values), '"NaN"', pc.if_else(pc.greater(values, 0), '"Infinity"', '"-Infinity"'))
    return pc.if_else(finite, texts, names)


def _as_java(values: pa.Array, texts: pa.Array) -> pa.Array:
    """Write those FLOATs as Java does for which it takes more digits than are needed to tell them."""
    size = pc.abs(values.cast(pa.float64()))
    odd = pc.or_(
        pc.and_(pc.less(size, _TINY), pc.not_equal(size, 0)), pc.and_(pc.greater(size, 2.0**24), pc.less(size, 2.0**62))
    )
    if not pc.any(odd).as_py():
        return texts
    return pc.if_else(odd, pa.array([None if one is None else _java_float(one) for one in values.to_pylist()]), texts)


def _java_float(value: float) -> str:
    """Return a FLOAT that is tiny, or a large whole number, as Java writes it.

    >>> _java_float(1.401298464324817e-45), _java_float(2147483648.0), _java_float(0.5)
    ('1.4e-45', '2147483650.0', '0.5')
    """
    if abs(value) < _TINY:
        return f"{value:.1e}"
    if not 2**24 < abs(value) < 2**62:
        return repr(value)
    number = abs(int(value))
    # Digits that the 24 bits do not hold are rounded away.
    lost = 10 ** int(max(number.bit_length() - 26, 0) * math.log10(2))
    rounded = (number + lost // 2) // lost * lost
    return f"{'-' if value < 0 else ''}{rounded}.0"


def _times(values: pa.Array) -> pa.Array:
    texts = values.cast(pa.timestamp(values.type.unit)).cast(pa.string())
    return pc.binary_join_element_wise('"', pc.replace_substring(texts, " ", "T"), 'Z"', "")


def _texts(values: pa.Array) -> pa.Array:
    if pc.any(pc.match_substring_regex(values, _SPECIAL)).as_py():
        cells = [None if cell is None else json.dumps(cell, ensure_ascii=False) for cell in values.to_pylist()]
        return pa.array(cells, pa.string())
    return pc.binary_join_element_wise('"', values.cast(pa.string()), '"', "")


def _arrays(values: pa.Array) -> pa.Array:
    """Return arrays as JSON: their elements all at once, then cut at the arrays' ends."""
    inner = _fragments(values.flatten()).to_pylist()
    cells: list[str | None] = []
    start = 0
    for length in pc.list_value_length(values).to_pylist():
        if length is None:
            cells.append(None)
            continue
        cells.append(f"[{','.join('null' if one is None else one for one in inner[start : start + length])}]")
        start += length
    return pa.array(cells, pa.string())


def dumped(value: Any) -> str:
    """Return a value as compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def spliced(fields: Mapping[str, Any]) -> str:
    """Return an object as JSON whose `rows` or `results` are JSON text already."""
    parts = (
        f'"{name}":{value if name in {"rows", "results"} and isinstance(value, str) else dumped(value)}'
        for name, value in fields.items()
    )
    return f"{{{','.join(parts)}}}"


def json_answer(text: str, status: int = 200) -> Response:
    """Return JSON text as an answer."""
    return Response(text.encode("utf-8", "replace"), status=status, content_type=JSON_TYPE)


def empty(status: int) -> Response:
    """Return an answer without a body, and without a content type."""
    answer = Response(status=status)
    del answer.headers["Content-Type"]
    return answer
