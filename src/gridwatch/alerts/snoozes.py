"""Snoozes: a series that nobody wants mails of for a while. What comes meanwhile is one digest at the end."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import structlog

from gridwatch.alerts.anomaly import PREFIX, SEVERITIES, severity_rank
from gridwatch.containers import TIMESTAMP_MS_MAX
from gridwatch.containers.catalog import DELIVERIES, SNOOZES
from gridwatch.errors import ConfigError

if TYPE_CHECKING:
    from gridwatch.containers import Store

__all__ = ["SNOOZE_MAX_MS", "Snooze", "duration_ms", "list_snoozes", "remove_snooze", "snooze", "snoozed_until"]

log = structlog.get_logger(__name__)

SNOOZE_MAX_MS = 366 * 86_400_000
"""Longest snooze: a year. What nobody wants to hear of at all should not be watched."""

_TEXT_MAX = 500
_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}


@dataclass(frozen=True, slots=True)
class Snooze:
    """One snooze; times are UTC epoch ms, `series` is the `<S>` of container names in lower case.

    Anomalies up to severity `up_to` are held back, worse ones are mailed.
    """

    series: str
    until_ms: int
    up_to: str
    note: str
    author: str
    said_ms: int


def duration_ms(text: str) -> int:
    """Return a length of time such as `90m`, `2h` or `1d12h` in ms.

    Raises:
        ConfigError: It is none, or not between one second and a year.

    >>> duration_ms("90m"), duration_ms("1d12h")
    (5400000, 129600000)
    """
    parts = re.findall(r"(\d{1,9})([smhdw])", text.strip().lower())
    found = sum(int(amount) * _UNITS_MS[unit] for amount, unit in parts)
    if "".join(f"{amount}{unit}" for amount, unit in parts) != text.strip().lower() or not 0 < found <= SNOOZE_MAX_MS:
        raise ConfigError(f"{text!r} is no length of time up to a year; write one such as 90m, 2h or 1d12h.")
    return found


def snooze(
    store: Store,
    series: str,
    *,
    until_ms: int,
    now_ms: int,
    author: str,
    up_to: str = "critical",
    note: str = "",
) -> Snooze:
    """Hold back the mails of a series for a while; a later word on the same series replaces it.

    Args:
        store: Gets a row in `snoozes`.
        series: The `<S>` of container names.
        until_ms: Its end.
        now_ms: The present.
        author: Who says it.
        up_to: Worst severity that is held back.
        note: Why.

    Raises:
        ConfigError: The end is over or too far, there is no such severity, or a text is too long.
        StoreError: The store failed.
    """
    if up_to not in SEVERITIES:
        raise ConfigError(f"There is no severity {up_to!r}; there are {', '.join(SEVERITIES)}.")
    if not now_ms < until_ms <= min(now_ms + SNOOZE_MAX_MS, TIMESTAMP_MS_MAX):
        raise ConfigError("A snooze ends between now and a year from now.")
    if len(note) > _TEXT_MAX or len(author) > _TEXT_MAX or "\0" in note + author:
        raise ConfigError(f"Note and name take up to {_TEXT_MAX} characters and no NUL; shorten them.")
    said = Snooze(series.lower(), until_ms, up_to, note, author, now_ms)
    store.put_container(SNOOZES)
    store.put(SNOOZES.name, pa.Table.from_pylist([asdict(said)], schema=SNOOZES.arrow))
    # What waits already waits for the new end.
    _look_again(store, said.series, now_ms)
    log.info("snoozed", series=said.series, until_ms=until_ms, up_to=up_to)
    return said


def remove_snooze(store: Store, series: str, *, now_ms: int) -> Snooze:
    """End a snooze now; what waited for its end is sent.

    Raises:
        ConfigError: The series is not snoozed.
        StoreError: The store failed.
    """
    found = {one.series: one for one in list_snoozes(store, now_ms=now_ms)}
    if series.lower() not in found:
        known = f"there are snoozes of {', '.join(found)}" if found else "no series is"
        raise ConfigError(f"Series {series!r} is not snoozed; {known}.")
    store.delete(SNOOZES.name, [series.lower()])
    _look_again(store, series, now_ms)
    log.info("snooze_removed", series=series.lower())
    return found[series.lower()]


def list_snoozes(store: Store, *, now_ms: int) -> list[Snooze]:
    """Return the snoozes that last still, the first to end first."""
    if store.container(SNOOZES.name) is None:
        return []
    rows = store.sql(f"SELECT * FROM {SNOOZES.name} WHERE until_ms > ?", [now_ms]).to_pylist()  # noqa: S608
    found = [Snooze(**{name: row[name] for name in Snooze.__dataclass_fields__}) for row in rows]
    return sorted(found, key=lambda one: (one.until_ms, one.series))


def snoozed_until(store: Store, container: str, severity: str | None, *, now_ms: int) -> int | None:
    """Return the end of the snooze that holds back such an anomaly, UTC epoch ms; None without one."""
    if store.container(SNOOZES.name) is None:
        return None
    rows = store.get(SNOOZES.name, [container[len(PREFIX) :].lower()]).to_pylist()
    if not rows or (rows[0]["until_ms"] or 0) <= now_ms:
        return None
    held = severity_rank(severity) >= severity_rank(rows[0]["up_to"])
    return int(rows[0]["until_ms"]) if held else None


def _look_again(store: Store, series: str, now_ms: int) -> None:
    if store.container(DELIVERIES.name) is not None:
        store.put_container(DELIVERIES, modifiable=True)
        store.execute(
            f"UPDATE {DELIVERIES.name} SET next_ms = ? WHERE status = 'pending' AND held = 'snoozed' "  # noqa: S608
            "AND LOWER(container) = ?",
            [now_ms, f"{PREFIX}{series}".lower()],
        )
