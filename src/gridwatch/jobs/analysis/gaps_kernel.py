"""The compiled part of `gaps`."""

# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from typing import Any

import numpy as np

from gridwatch.detectors.online.compiling import compiled, part

__all__ = ["SHARE", "fill"]

_DAY_MS = 86_400_000

SHARE = 4
"""A series that has a value in fewer than one bucket in as many is left with its gaps: it would be made of filling."""


@part
def _usual(days: Any, time_ms: int, between: float) -> float:
    """Return a value of the same time of one of the last days by turns, or what is given where none had one."""
    slots = days.shape[1]
    slot = time_ms // (_DAY_MS // slots) % slots
    many = 0
    while many < len(days) and not np.isnan(days[many, slot]):
        many += 1
    return days[time_ms // _DAY_MS % many, slot] if many > 0 else between


@compiled
def fill(days: Any, last: Any, seen: Any, times_ms: Any, values: Any, filled: Any, owed: Any, many: Any) -> None:
    """Fill gaps that end, and go on behind them.

    Args:
        days: float64 (s, d, slots), and
        last: float64 (s,), and
        seen: int64 (s, 3), what `Gaps` has; changed in place.
        times_ms: int64 (b,), starts of the buckets, one after another.
        values: float64 (s, b), NaN for none.
        filled: float64 (s, b), the same, to be filled.
        owed: float64 (s, slots) for what lies before the first of the buckets, from its earliest on.
        many: int64 (s,), 0, how many that are.
    """
    slots = days.shape[2]
    span_ms = _DAY_MS // slots
    for series in range(len(values)):
        count = seen[series]
        for place in range(values.shape[1]):
            value = values[series, place]
            if np.isnan(value):
                if count[0] > 0:
                    count[0] += 1
                    count[2] += 1
                continue
            gap = count[2] % slots if (count[1] + 1) * SHARE >= count[0] + 1 else 0
            for back in range(1, gap + 1):
                between = value + back / (gap + 1.0) * (last[series] - value)
                usual = _usual(days[series], times_ms[place] - back * span_ms, between)
                if back <= place:
                    filled[series, place - back] = usual
                else:
                    owed[series, gap - back] = usual
            if gap > place:
                many[series] = gap - place
            count[0] += 1
            count[1] += 1
            count[2] = 0
            slot = times_ms[place] // span_ms % slots
            for older in range(days.shape[1] - 1, 0, -1):
                days[series, older, slot] = days[series, older - 1, slot]
            days[series, 0, slot] = value
            last[series] = value
