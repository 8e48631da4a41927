"""The compiled part of `silence`: how improbable a run of zeros is by the hours that it has come through.

Of a series, `table` has buckets and zeros among them, first those after a value and then those after a zero, by the
hour of the day; the same by the hour of the week, whatever was before; and the mean value by the hour of the day.
`run` has the places below.
"""

# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from typing import Any

import numpy as np

from gridwatch.detectors.online.compiling import compiled, part

__all__ = ["CREDIT", "RUN", "TABLE", "advance"]

# Places in a table: after a value, after a zero, by the hour of the week, the means.
_DAY, _WEEK, _MEAN = 0, 96, 432
TABLE = 456
# -ln p of the run at hand, its buckets, how many of them were told, whether they are to be learnt; the credit.
_NATS, _LENGTH, _TOLD, _HELD, CREDIT = 0, 1, 2, 3, 4
RUN = 5

_HOUR_MS = 3_600_000
_DAYS, _WEEKS = 56.0, 8.0  # how long what is known of an hour is remembered
_HALF = 0.5
_FEW = 3.0  # zeros at an hour from which what came after them counts more than the odds ratio: those of a day
_LN10 = 2.302585092994046


@part
def _count(table: Any, place: int, zero: bool, most: float) -> None:
    """Count a bucket; what is beyond the most of them fades."""
    if table[place] < most:
        table[place] += 1.0
    else:
        table[place + 1] -= table[place + 1] / most
    if zero:
        table[place + 1] += 1.0


@part
def _learn(table: Any, hour: int, after: int, value: float, per_hour: float, day: bool) -> None:
    """Learn a bucket, with or without what it tells of the hours of the day."""
    zero = value == 0.0
    _count(table, _WEEK + 2 * (hour % 168), zero, _WEEKS * per_hour)
    if day:
        of_day = hour % 24
        _count(table, _DAY + 48 * after + 2 * of_day, zero, _DAYS * per_hour)
        many = table[_DAY + 2 * of_day] + table[_DAY + 48 + 2 * of_day]
        table[_MEAN + of_day] += (value - table[_MEAN + of_day]) / many


@part
def _odds_ratio(table: Any) -> float:
    """Return how many times the odds of a zero are after a zero, hour by hour taken together; 1 at least."""
    both, apart = _HALF, _HALF
    for hour in range(24):
        values, zeros = table[2 * hour], table[2 * hour + 1]
        values_after, zeros_after = table[48 + 2 * hour], table[48 + 2 * hour + 1]
        many = values + values_after
        if many > 0.0:
            both += zeros_after * (values - zeros) / many
            apart += zeros * (values_after - zeros_after) / many
    return max(both / apart, 1.0)


@part
def _chance(table: Any, hour: int, after: int) -> float:
    """Return the probability of a zero, above 1 where the hour of the week has not been seen."""
    of_day, of_week = hour % 24, hour % 168
    seen, zeros = 0.0, 0.0
    for number in range(24):
        seen += table[2 * number] + table[48 + 2 * number]
        zeros += table[2 * number + 1] + table[48 + 2 * number + 1]
    known, known_zeros, paused, paused_zeros, week, week_zeros = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for shift in range(-1, 2):
        place = 2 * ((of_day + shift) % 24)
        known += table[place]
        known_zeros += table[place + 1]
        paused += table[48 + place]
        paused_zeros += table[48 + place + 1]
        place = _WEEK + 2 * ((of_week + shift) % 168)
        week += table[place]
        week_zeros += table[place + 1]
    if week == 0.0:
        return 2.0
    share = (zeros + _HALF) / (seen + 1.0)
    chance = min((known_zeros + _HALF * share) / (known + _HALF), 0.999)
    chance = max(chance, 1.0 / (seen + 2.0))
    if after == 1:
        odds = _odds_ratio(table) * chance / (1.0 - chance)
        chance = (paused_zeros + _FEW * odds / (1.0 + odds)) / (paused + _FEW)
    return max(chance, (week_zeros + _HALF * chance) / (week + _HALF))


@part
def _end(table: Any, run: Any, time_ms: int, span_ms: int, per_hour: float) -> None:
    """Learn the buckets of a run before a time."""
    length = int(run[_LENGTH])
    for back in range(length, 0, -1):
        hour = (time_ms - back * span_ms) // _HOUR_MS
        _learn(table, hour, 0 if back == length else 1, 0.0, per_hour, run[_HELD] == 0.0)


@compiled
def advance(
    tables: Any,
    runs: Any,
    times_ms: Any,
    values: Any,
    span_ms: int,
    least: float,
    told: Any,
    surprise: Any,
    typical: Any,
) -> None:
    """Judge and learn buckets of some series, one after another.

    Args:
        tables: float32 (s, TABLE), changed in place.
        runs: float64 (s, RUN), changed in place.
        times_ms: int64 (b,), starts of the buckets.
        values: float64 (s, b), NaN before the first bucket of a series.
        span_ms: The length of a bucket.
        least: Values from 0 up to it are zeros, as 0 always is.
        told: float64 (4,): nats from which a run is told, buckets for which one is, credit that one takes, most credit.
        surprise: float64 (s, b) to fill: -log10 p of runs of zeros; the rest is left alone.
        typical: float64 (s, b) to fill: the mean at this hour of the day; the rest is left alone.
    """
    per_hour = float(max(_HOUR_MS // span_ms, 1))
    for series in range(len(values)):
        table, run = tables[series], runs[series]
        for at in range(values.shape[1]):
            value, time_ms = values[series, at], times_ms[at]
            if np.isnan(value):
                continue
            hour = time_ms // _HOUR_MS
            run[CREDIT] = min(run[CREDIT] + 1.0, told[3])
            after = 1 if run[_LENGTH] > 0.0 else 0
            if value != 0.0 and not 0.0 < value < least:
                if run[_LENGTH] <= told[1]:
                    _end(table, run, time_ms, span_ms, per_hour)
                _learn(table, hour, after, value, per_hour, True)
                run[_NATS], run[_LENGTH], run[_TOLD], run[_HELD] = 0.0, 0.0, 0.0, 0.0
                continue
            chance = _chance(table, hour, after)
            if chance <= 1.0:
                run[_NATS] -= np.log(chance)
            if run[_NATS] >= told[0]:
                if run[_TOLD] == 0.0 and run[CREDIT] >= told[2]:
                    run[_HELD] = 1.0
                    run[CREDIT] -= told[2]
                run[_TOLD] += 1.0
            if run[_TOLD] <= told[1]:
                surprise[series, at] = run[_NATS] / _LN10
                typical[series, at] = table[_MEAN + hour % 24]
            run[_LENGTH] += 1.0
            if run[_LENGTH] == told[1] + 1.0:
                # It has been waited for long enough: from here on it is how things are.
                _end(table, run, time_ms + span_ms, span_ms, per_hour)
            elif run[_LENGTH] > told[1]:
                _learn(table, hour, 1, 0.0, per_hour, True)
