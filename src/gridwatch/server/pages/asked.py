"""What an address of a page asks for: times, a severity, numbers; a wrong one is a 400 that says so."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from flask import abort, request

from gridwatch.alerts.anomaly import SEVERITIES
from gridwatch.containers import TIMESTAMP_MS_MAX

__all__ = ["check_filters", "number_of", "range_of", "severity_of", "text_of", "time_of"]

_DAY_MS = 86_400_000


def time_of(name: str, *, last: bool = False) -> int | None:
    """Return a time of the address as UTC epoch ms: digits are just that, else ISO 8601, UTC without an offset.

    Args:
        name: Of the parameter.
        last: Whether a day alone means its last millisecond rather than its first.
    """
    text = request.args.get(name, "").strip()
    if not text:
        return None
    if re.fullmatch(r"[0-9]{1,15}", text) and not re.fullmatch(r"[0-9]{8}", text):
        return min(int(text), TIMESTAMP_MS_MAX)
    try:
        # A space is what `+` in an address becomes.
        when = datetime.fromisoformat(re.sub(r" (?=[0-9]{2}:?[0-9]{2}$)(?<=:[0-9]{2} )", "+", text))
    except ValueError:
        abort(400, f"Cannot read the time {text[:40]!r} of {name!r}; write 2024-05-01T12:30, in UTC.")
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when
    day = last and len(text) <= len("2024-05-01")
    # Before 1970 and after 9999 there are no rows.
    return min(max(round(when.timestamp() * 1000) + (_DAY_MS - 1 if day else 0), 0), TIMESTAMP_MS_MAX)


def range_of() -> tuple[int | None, int | None]:
    """Return `from` and `to` of the address; None where it does not say."""
    from_ms, to_ms = time_of("from"), time_of("to", last=True)
    if from_ms is not None and to_ms is not None and from_ms > to_ms:
        abort(400, "The range ends before it begins; swap `from` and `to`.")
    return from_ms, to_ms


def severity_of() -> str | None:
    """Return the least severity asked for; None for all."""
    word = text_of("severity")
    if word is not None and word.lower() not in SEVERITIES:
        abort(400, f"There is no severity {word[:40]!r}; there are {', '.join(SEVERITIES)}.")
    return word.lower() if word else None


def text_of(name: str) -> str | None:
    """Return a text of the address; None when it is missing or empty."""
    return request.args.get(name, "").strip()[:300] or None


def check_filters() -> None:
    """Refuse a wrong filter with the page, and not only with the data that it asks for."""
    severity_of()
    range_of()


def number_of(name: str, default: int, *, most: int) -> int:
    """Return a whole number of the address, from 1 to `most`."""
    text = request.args.get(name, "").strip() or str(default)
    if not re.fullmatch(r"[0-9]{1,9}", text) or not int(text):
        abort(400, f"{name} must be a whole number from 1 to {most:,}, got {text[:40]!r}.")
    return min(int(text), most)
