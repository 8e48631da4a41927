"""`security_events`: who logged in, and what they did."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from gridwatch.sources.kibana_rows import HOUR_MS, PutAnomaly, Rows, Span, at_daytime, chosen, texts

__all__ = ["make_events"]

_NAME = "security_events"
_USERS = tuple(f"{name}.{family}" for name in ("ana", "ben", "chi", "dov", "eve") for family in ("ito", "lund", "mori"))
_ADDRESSES = tuple(f"10.0.{net}.{host}" for net in range(4) for host in range(10, 30))
_OUTSIDE = "203.0.113.66"


@dataclass(frozen=True, slots=True)
class _Action:
    name: str
    category: str
    per_hour: float
    peak_hour: float
    failing: float


_ACTIONS = (
    _Action("logged-in", "authentication", 14.0, 8.5, 0.0),
    _Action("logged-off", "authentication", 12.0, 17.0, 0.0),
    _Action("login-failed", "authentication", 4.0, 9.0, 1.0),
    _Action("file-opened", "file", 25.0, 13.0, 0.02),
    _Action("file-deleted", "file", 5.0, 15.0, 0.05),
    _Action("password-changed", "iam", 2.0, 10.0, 0.1),
)


def make_events(span: Span) -> Rows:
    """Return events, some 62 an hour.

    Odd are: 300 failed logins of one user from outside within an hour; 150 files deleted by one user within an hour; an
    hour of a morning in which nobody can log in.
    """
    forced = span.workday(7, 3.0)
    deleted = span.workday(5, 16.0)
    locked = span.workday(3, 8.0)
    random = span.random(50)
    parts = [_usual(span, place, action) for place, action in enumerate(_ACTIONS)]
    tried = forced + np.sort(random.integers(0, HOUR_MS, 300))
    parts.append(_made(span.random(51), tried, _ACTIONS[2]).assign(**{"user.name": "eve.mori", "source.ip": _OUTSIDE}))
    gone = deleted + np.sort(random.integers(0, HOUR_MS, 150))
    parts.append(_made(span.random(52), gone, _ACTIONS[4]).assign(**{"user.name": "dov.lund"}))
    frame = pd.concat(parts, ignore_index=True).sort_values("at_timestamp", kind="stable", ignore_index=True)
    absent = frame["at_timestamp"].between(locked, locked + HOUR_MS - 1) & (frame["event.action"] == "logged-in")
    frame = frame[~absent].reset_index(drop=True)
    frame.insert(0, "id", np.arange(len(frame), dtype=np.int64))
    columns = {
        name: pa.array(frame[name].to_numpy(), pa.int64() if frame[name].dtype.kind == "i" else pa.string())
        for name in frame
    }
    for name in ("at_timestamp", "event.ingested"):
        columns[name] = columns[name].cast(pa.timestamp("ms", "UTC"))
    return Rows(pa.table(columns), tuple(_told(forced, deleted, locked)))


def _usual(span: Span, place: int, action: _Action) -> pd.DataFrame:
    random = span.random(place)
    times = span.times(random, action.per_hour, at_daytime(action.peak_hour, night=0.15, weekend=0.4))
    return _made(random, times, action)


def _made(
    random: np.random.Generator, times: np.ndarray[tuple[int], np.dtype[np.int64]], action: _Action
) -> pd.DataFrame:
    count = len(times)
    return pd.DataFrame(
        {
            "at_timestamp": times,
            "event.action": np.full(count, action.name, object),
            "event.category": np.full(count, action.category, object),
            "event.outcome": chosen(random, {"failure": action.failing, "success": 1.0 - action.failing}, count),
            "user.name": texts(random, _USERS, count),
            "source.ip": texts(random, _ADDRESSES, count),
            # A few seconds on the way.
            "event.ingested": times + random.integers(500, 20_000, count),
        }
    )


def _told(forced: int, deleted: int, locked: int) -> list[PutAnomaly]:
    return [
        PutAnomaly(
            _NAME, "guessing", forced, forced + HOUR_MS, {"event.action": "login-failed", "user.name": "eve.mori"},
            "300 failed logins of one user within an hour of the night",
        ),
        PutAnomaly(
            _NAME, "deleting", deleted, deleted + HOUR_MS, {"event.action": "file-deleted", "user.name": "dov.lund"},
            "150 files deleted by one user within an hour",
        ),
        PutAnomaly(
            _NAME, "locked", locked, locked + HOUR_MS, {"event.action": "logged-in"},
            "nobody logs in for an hour of a morning",
        ),
    ]  # fmt: skip
