"""Numbers and times as a reader of a mail wants them."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from math import isfinite

__all__ = ["NONE", "change", "change_in_words", "moment", "number", "one_in", "span"]

NONE = "-"
"""Stands for a value that is not there."""

_DAY_MS = 86_400_000


def number(value: float | None) -> str:
    """Return a number with the digits a reader can use.

    >>> number(44.86), number(1234567.0), number(0.00123456), number(None)
    ('44.86', '1,234,567', '0.001235', '-')
    """
    if value is None or not isfinite(value):
        return NONE
    size = abs(value)
    if size >= 1e15 or 0 < size < 1e-4:
        return f"{value:.3e}"
    if size >= 1000 and value == round(value):
        return f"{value:,.0f}"
    if size >= 1:
        return f"{value:,.2f}"
    return f"{value:.4g}" if size else "0"


def change(actual: float | None, expected: float | None) -> str:
    """Return how far the value is from the expected one, in its units and in percent.

    >>> change(44.86, 88.80)
    '-43.94 (-49.5 %)'
    """
    if actual is None or expected is None:
        return NONE
    difference = actual - expected
    sign = "+" if difference > 0 else ""
    percent = f" ({sign}{difference / abs(expected) * 100:,.1f} %)" if expected else ""
    return f"{sign}{number(difference)}{percent}"


def change_in_words(actual: float | None, expected: float | None) -> str:
    """Return how far off a value is, as part of a sentence; empty when it cannot be told.

    >>> change_in_words(44.86, 88.80)
    '43.94 (49.5 %) below what was expected'
    """
    if actual is None or expected is None:
        return ""
    difference = abs(actual - expected)
    if not difference:
        return "just what was expected"
    percent = f" ({difference / abs(expected) * 100:,.1f} %)" if expected else ""
    return f"{number(difference)}{percent} {'above' if actual > expected else 'below'} what was expected"


def one_in(p_value: float | None) -> str:
    """Return a probability as words: how often such a row would come by chance.

    >>> one_in(0.00081), one_in(0.0), one_in(None)
    ('about one in 1,200 rows', 'less than one in a billion rows', '-')
    """
    if p_value is None or not isfinite(p_value):
        return NONE
    if p_value < 1e-9:
        return "less than one in a billion rows"
    rows = 1 / min(p_value, 1.0)
    magnitude = 10 ** max(0, len(str(int(rows))) - 2)
    return f"about one in {round(rows / magnitude) * magnitude:,} rows" if rows >= 1.5 else "nearly every row"


def moment(when_ms: int | None, zone: tzinfo = UTC, *, interval_ms: int | None = None) -> str:
    """Return a time in a zone: the date alone for daily rows, to the minute or second for others.

    Args:
        when_ms: UTC epoch ms.
        zone: Zone to tell it in.
        interval_ms: Time between two rows of the series; a day or more leaves the time of day out.

    >>> moment(1109566800000, interval_ms=86_400_000), moment(1109566800000)
    ('2005-02-28', '2005-02-28 05:00 UTC')
    """
    if when_ms is None:
        return NONE
    try:
        local = datetime.fromtimestamp(when_ms / 1000, zone)
    except (OverflowError, ValueError, OSError):
        return f"{when_ms} ms"
    if interval_ms is not None and interval_ms >= _DAY_MS:
        return f"{local:%Y-%m-%d}"
    return f"{local:%Y-%m-%d %H:%M:%S %Z}" if local.second else f"{local:%Y-%m-%d %H:%M %Z}"


def span(from_ms: int | None, to_ms: int | None, zone: tzinfo = UTC, *, interval_ms: int | None = None) -> str:
    """Return a range of time, both ends included."""
    if from_ms is None and to_ms is None:
        return NONE
    return f"{moment(from_ms, zone, interval_ms=interval_ms)} to {moment(to_ms, zone, interval_ms=interval_ms)}"
