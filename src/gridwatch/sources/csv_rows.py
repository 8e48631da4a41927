"""CSV text to rows: whole columns at a time, and a reason for every line that is no row.

One line is one row: `timestamp,open,high,low,close,volume` or whatever columns the dataset names, in any order and
with others between them, which are ignored.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from gridwatch.containers import ColumnType
from gridwatch.errors import SourceError
from gridwatch.sources.base import RejectedRow
from gridwatch.sources.dataset_model import Dataset
from gridwatch.sources.times import parse_times

__all__ = ["TEXT_MAX", "parse_csv"]

TEXT_MAX = 1000
"""Most characters of a rejected line that are kept."""

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_WHOLE = r"^-?[0-9]{1,18}$"
_INT_BITS = {ColumnType.BYTE: 8, ColumnType.SHORT: 16, ColumnType.INTEGER: 32, ColumnType.LONG: 64}

Reasons = npt.NDArray[np.object_]


@dataclass(slots=True)
class _Lines:
    """Lines split into fields: per column its texts (n,), line numbers int64 (n,), and lines that do not split."""

    fields: dict[str, pa.Array]
    numbers: npt.NDArray[np.int64]
    broken: list[RejectedRow]


def parse_csv(
    data: bytes, dataset: Dataset, *, name: str, zone: str | None = None
) -> tuple[pd.DataFrame, list[RejectedRow]]:
    """Return the rows of a CSV, oldest first, and the lines that are no rows; every data line is in one of the two.

    Args:
        data: The CSV, UTF-8, with a header line.
        dataset: Names the time column, its zone, and the value columns with their types.
        name: What the data is called in messages, such as a file name.
        zone: Zone of the local times; by default the dataset's.

    Returns:
        `ts` (datetime64[ms, UTC], strictly increasing) and the dataset's columns; rejected lines in their order.

    Raises:
        SourceError: The whole is no such CSV: empty, not UTF-8, JSON or HTML instead, or a column is missing.
    """
    lines = _text(data, name).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    top = next((number for number, line in enumerate(lines) if line.strip()), None)
    if top is None:
        raise SourceError(f"{name} is empty; expected CSV with the header {_wanted(dataset)}.", name=name)
    places = _header(lines[top], dataset, name)
    split = _split(lines, top, places)
    return _to_frame(split, dataset, lines, zone or dataset.timezone)


def _to_frame(split: _Lines, dataset: Dataset, lines: list[str], zone: str) -> tuple[pd.DataFrame, list[RejectedRow]]:
    """Return typed rows, oldest first, and the lines that are none; of rows at one time the last one stays."""
    numbers = split.numbers
    times, reasons = parse_times(split.fields[dataset.time_column], zone)
    columns: dict[str, Any] = {}
    for column in dataset.columns:
        columns[column.name], wrong = _typed(split.fields[column.name], column.type, zone)
        for place in np.flatnonzero((wrong != None) & (reasons == None)):  # noqa: E711 - elementwise on objects
            reasons[place] = f"{column.name}: {wrong[place]}"
    _refuse_repeats(times, reasons, numbers)
    good = reasons == None  # noqa: E711 - elementwise on objects
    ts = pd.DatetimeIndex(times[good].astype("datetime64[ms]"), name="ts").tz_localize("UTC")
    frame = pd.DataFrame({"ts": ts} | {name: values[good] for name, values in columns.items()})
    frame = frame.sort_values("ts", kind="stable", ignore_index=True)
    rejected = [
        RejectedRow(int(numbers[place]), lines[numbers[place] - 1][:TEXT_MAX], str(reasons[place]))
        for place in np.flatnonzero(~good)
    ]
    return frame, sorted([*split.broken, *rejected], key=lambda row: row.line)


def _text(data: bytes, name: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{name} is not UTF-8: byte {data[error.start]:#04x} at offset {error.start}; save it as UTF-8.", name=name
        ) from error
    start = text.lstrip()[:200]
    if start[:1] in {"{", "[", "<"}:
        kind = "HTML or XML" if start[0] == "<" else "JSON"
        raise SourceError(f"{name} holds {kind} where CSV is expected: {start.splitlines()[0][:120]!r}.", name=name)
    return text


def _wanted(dataset: Dataset) -> str:
    return repr(",".join([dataset.time_column, *(column.name for column in dataset.columns)]))


def _header(line: str, dataset: Dataset, name: str) -> dict[str, tuple[int, int]]:
    """Return for each needed column its place and the number of fields in all."""
    found = [field.strip() for field in _fields(line)]
    lower = [field.lower() for field in found]
    needed = [dataset.time_column, *(column.name for column in dataset.columns)]
    missing = [column for column in needed if column.lower() not in lower]
    if missing:
        hint = "; fields must be separated by commas" if len(found) == 1 and set(line) & set(";\t|") else ""
        raise SourceError(
            f"{name} has no column {', '.join(map(repr, missing))}: its header is {line[:200]!r}, expected "
            f"{_wanted(dataset)}{hint}.",
            name=name,
            missing=missing,
        )
    twice = sorted({column for column in needed if lower.count(column.lower()) > 1})
    if twice:
        raise SourceError(
            f"{name} has the column {', '.join(map(repr, twice))} more than once in its header.", name=name
        )
    return {column: (lower.index(column.lower()), len(found)) for column in needed}


def _fields(line: str) -> list[str]:
    """Return the fields of one line; a quote that is not closed reaches to its end."""
    try:
        return next(csv.reader([line]), [])
    except csv.Error:  # such as a field beyond csv's limit
        return line.split(",")


def _split(lines: list[str], top: int, places: dict[str, tuple[int, int]]) -> _Lines:
    width = next(iter(places.values()))[1]
    texts = pa.array(lines[top + 1 :], pa.large_string())
    numbers = np.arange(top + 2, len(lines) + 1, dtype=np.int64)
    data = np.asarray(pc.greater(pc.utf8_length(pc.utf8_trim_whitespace(texts)), 0), dtype=bool)
    # A whole column of fields comes from one split; only lines with quotes are taken one by one.
    quoted = np.asarray(pc.match_substring(texts, '"'), dtype=bool) & data
    right = np.asarray(pc.equal(pc.count_substring(texts, ","), width - 1), dtype=bool)
    plain = data & ~quoted & right
    broken = [_miscounted(lines, int(number), width) for number in numbers[data & ~quoted & ~right]]
    by_hand: list[tuple[int, list[str]]] = []
    for number in numbers[quoted]:
        parts = _fields(lines[number - 1])
        if len(parts) == width:
            by_hand.append((int(number), parts))
        else:
            broken.append(_miscounted(lines, int(number), width, len(parts)))
    flat = pc.list_flatten(pc.split_pattern(texts.filter(pa.array(plain)), ","))
    order = np.concatenate([numbers[plain], np.array([number for number, _ in by_hand], dtype=np.int64)])
    sort = np.argsort(order, kind="stable")
    fields = {}
    for column, (place, _) in places.items():
        straight = flat.take(pa.array(np.arange(place, len(flat), width)))
        values = pa.concat_arrays([straight, pa.array([parts[place] for _, parts in by_hand], pa.large_string())])
        fields[column] = pc.utf8_trim_whitespace(values.take(pa.array(sort)))
    return _Lines(fields, order[sort], broken)


def _miscounted(lines: list[str], number: int, width: int, count: int | None = None) -> RejectedRow:
    line = lines[number - 1]
    found = line.count(",") + 1 if count is None else count
    return RejectedRow(number, line[:TEXT_MAX], f"{found} fields, and the header has {width}")


def _typed(texts: pa.Array, kind: ColumnType, zone: str) -> tuple[Any, Reasons]:
    """Return one column's values, (n,), and per row the reason why it has none."""
    reasons: Reasons = np.full(len(texts), None, dtype=object)
    if kind is ColumnType.TIMESTAMP:
        times, reasons = parse_times(texts, zone)
        return pd.DatetimeIndex(times.astype("datetime64[ms]")).tz_localize("UTC"), reasons
    strings = texts.to_numpy(zero_copy_only=False)
    reasons[strings == ""] = "no value"
    if kind is ColumnType.STRING:
        return strings, reasons
    if kind is ColumnType.BOOL:
        truth = np.isin(np.char.lower(strings.astype(str)), ["true", "1"])
        falsity = np.isin(np.char.lower(strings.astype(str)), ["false", "0"])
        return truth, np.where((reasons == None) & ~truth & ~falsity, "neither true nor false", reasons)  # noqa: E711
    numeric = np.asarray(pc.match_substring_regex(texts, _NUMBER), dtype=bool)
    reasons[~numeric & (strings != "")] = "not a number"
    zeroed = pc.if_else(pa.array(numeric), texts, "0")
    if kind in _INT_BITS:
        return _whole(zeroed, _INT_BITS[kind], reasons)
    values = np.asarray(pc.cast(zeroed, pa.float64()), dtype=np.float64)
    limit = float(np.finfo(np.float32 if kind is ColumnType.FLOAT else np.float64).max)
    reasons[numeric & ~(np.abs(values) <= limit)] = f"out of range for {kind}"
    with np.errstate(over="ignore"):
        return values.astype(np.float32 if kind is ColumnType.FLOAT else np.float64), reasons


def _whole(texts: pa.Array, bits: int, reasons: Reasons) -> tuple[Any, Reasons]:
    """Return whole numbers; `1200.0` is one, `0.5` is not."""
    exact = np.asarray(pc.match_substring_regex(texts, _WHOLE), dtype=bool)
    values = np.array(pc.cast(pc.if_else(pa.array(exact), texts, "0"), pa.int64()), dtype=np.int64)
    if not exact.all():
        as_float = np.asarray(pc.cast(texts, pa.float64()), dtype=np.float64)
        # Beyond 2**53 a float no longer tells whole numbers apart.
        fits = ~exact & (np.abs(as_float) <= 2**53) & (np.floor(as_float) == as_float)
        values[fits] = as_float[fits].astype(np.int64)
        reasons[~exact & ~fits & (reasons == None)] = "not a whole number"  # noqa: E711 - elementwise on objects
    bound = 2 ** (bits - 1)
    # A LONG always fits; comparing with 2**63 would overflow.
    if bits < 64:
        reasons[((values < -bound) | (values >= bound)) & (reasons == None)] = f"out of range for {bits} bits"  # noqa: E711
    return values.astype(f"int{bits}"), reasons


def _refuse_repeats(times: npt.NDArray[np.int64], reasons: Reasons, numbers: npt.NDArray[np.int64]) -> None:
    """Mark all but the last of the good rows at one time, in place."""
    places = np.flatnonzero(reasons == None)  # noqa: E711 - elementwise on objects
    good = pd.Series(times[places])
    again = np.asarray(good.duplicated(keep="last"))
    if again.any():
        kept = dict(zip(good[~again].tolist(), numbers[places[~again]].tolist(), strict=True))
        for place in places[again]:
            reasons[place] = f"line {kept[int(times[place])]} has the same time and comes later"
