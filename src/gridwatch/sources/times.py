"""Local times of a source to UTC, across the changes of its clock."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from gridwatch.containers import TIMESTAMP_MS_MAX

__all__ = ["local_to_utc", "parse_times"]

_LOCAL = r"^\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?$"
_WITH_OFFSET = r"^\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})$"

_OUTSIDE = "the time is before 1970 or after 9999, which GridDB does not store"

Reasons = npt.NDArray[np.object_]


def parse_times(texts: pa.Array, zone: str) -> tuple[npt.NDArray[np.int64], Reasons]:
    """Return UTC epoch ms, int64 (n,), and per row the reason why it has none, object (n,), None where it has one.

    A time is `YYYY-MM-DD[ HH:MM[:SS[.fff]]]` in `zone`, or the same with `Z` or an offset. Parts below a millisecond
    are cut off. Rows must be in the order of the source, which is what tells the two passes of a repeated hour apart.
    """
    # The patterns are needed: pandas would take "now" and "today", and read the clock for it.
    local = np.asarray(pc.match_substring_regex(texts, _LOCAL))
    absolute = np.asarray(pc.match_substring_regex(texts, _WITH_OFFSET))
    values = np.full(len(texts), -1, dtype=np.int64)
    reasons: Reasons = np.full(len(texts), None, dtype=object)
    strings = texts.to_numpy(zero_copy_only=False)
    reasons[~(local | absolute)] = "the time is not YYYY-MM-DD HH:MM:SS"
    if local.any():
        naive = pd.to_datetime(pd.Series(strings[local]), format="ISO8601", errors="coerce")
        values[local], reasons[local] = local_to_utc(pd.DatetimeIndex(naive), zone)
    if absolute.any():
        moments = pd.to_datetime(pd.Series(strings[absolute]), format="ISO8601", errors="coerce", utc=True)
        values[absolute] = _epoch_ms(pd.DatetimeIndex(moments))
        reasons[np.flatnonzero(absolute)[np.asarray(moments.isna())]] = "no such date or time"
    outside = (reasons == None) & ((values < 0) | (values > TIMESTAMP_MS_MAX))  # noqa: E711 - elementwise on objects
    reasons[outside] = _OUTSIDE
    return values, reasons


def local_to_utc(naive: pd.DatetimeIndex, zone: str) -> tuple[npt.NDArray[np.int64], Reasons]:
    """Return UTC epoch ms, int64 (n,), and reasons, object (n,), for local times in the order of their source.

    A time that its zone's clock skipped is refused, except at midnight, where a day simply begins later. A time that
    the clock showed twice is told apart by its neighbours: where times go on rising and then fall back once, the rows
    before are the first pass and those after the second. Where nothing falls back, the row is refused.
    """
    # A day's margin: beyond it, the zone's own arithmetic leaves the range of dates.
    far = np.asarray((naive < pd.Timestamp("1969-12-30")) | (naive > pd.Timestamp("9999-12-30")))
    bad = np.asarray(naive.isna())
    naive = pd.DatetimeIndex(naive.where(~far))
    # To the clock's first pass and to its second: they differ exactly where a time was shown twice.
    first = naive.tz_localize(zone, ambiguous=np.ones(len(naive), dtype=bool), nonexistent="NaT")
    second = naive.tz_localize(zone, ambiguous=np.zeros(len(naive), dtype=bool), nonexistent="NaT")
    reasons: Reasons = np.full(len(naive), None, dtype=object)
    skipped = np.asarray(first.isna()) & ~bad & ~far
    values, later = _epoch_ms(first), _epoch_ms(second)
    day = skipped & np.asarray(naive == naive.normalize())
    if day.any():
        values[day] = _epoch_ms(naive[day].tz_localize(zone, nonexistent="shift_forward"))
    reasons[bad] = "no such date or time"
    reasons[far] = _OUTSIDE
    reasons[skipped & ~day] = f"the clock skipped this time in {zone}"
    twice = (values != later) & ~skipped
    if twice.any():
        _resolve(naive, twice, values, later, reasons, zone)
    return values, reasons


def _resolve(
    naive: pd.DatetimeIndex, twice: npt.NDArray[np.bool_], values: Any, later: Any, reasons: Any, zone: str
) -> None:
    """Give rows of a repeated hour their pass, in place."""
    clock = _epoch_ms(naive)
    steps = np.diff(clock[~np.asarray(naive.isna())])
    newest_first = int((steps < 0).sum()) > int((steps > 0).sum())
    where = np.flatnonzero(twice)
    for run in np.split(where, np.flatnonzero(np.diff(where) > 1) + 1):
        rows = run[::-1] if newest_first else run
        back = np.flatnonzero(np.diff(clock[rows]) <= 0) + 1
        if len(back) == 1:
            values[rows[back[0] :]] = later[rows[back[0] :]]
        else:
            reasons[rows] = f"the clock showed this time twice in {zone}, and the rows around it do not tell which"


def _epoch_ms(moments: pd.DatetimeIndex) -> npt.NDArray[np.int64]:
    """Return epoch ms, int64 (n,), -1 for NaT."""
    values = np.array(moments.as_unit("ms").asi8, dtype=np.int64)
    values[np.asarray(moments.isna())] = -1
    return values
