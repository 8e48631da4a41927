"""Where rows are missing: inside trading hours of an exchange, or round the clock."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridwatch.errors import QualityError

__all__ = ["Gap", "Gaps", "find_gaps"]

_DAY_MS = 86_400_000
Times = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Gap:
    """Rows missing in a row: the times of the first and last of them, UTC epoch ms, and how many."""

    from_ms: int
    to_ms: int
    missing: int


@dataclass(frozen=True, slots=True)
class Gaps:
    """How many rows there should be, how many are missing, the gaps (longest first), and sessions without any row."""

    expected: int
    missing: int
    gaps: list[Gap]
    empty_sessions: list[str]


def find_gaps(times_ms: Times, interval_ms: int, *, calendar: str | None, timezone: str) -> Gaps:
    """Return what is missing between the first and the last row.

    Args:
        times_ms: Row times, UTC epoch ms, int64 (n,), in any order.
        interval_ms: Time between two rows.
        calendar: Exchange calendar; only its sessions count, without lunch breaks. None: round the clock.
        timezone: Zone whose dates name the sessions of daily rows.

    Raises:
        QualityError: There is no such calendar, or it does not reach these times.

    >>> import numpy as np
    >>> find_gaps(np.array([0, 1000, 4000]), 1000, calendar=None, timezone="UTC").gaps
    [Gap(from_ms=2000, to_ms=3000, missing=2)]
    """
    times = np.unique(times_ms)
    if len(times) == 0:
        return Gaps(0, 0, [], [])
    if not calendar or interval_ms > _DAY_MS:
        return _round_the_clock(times, interval_ms)
    schedule = _schedule(calendar, int(times[0]), int(times[-1]), timezone)
    if interval_ms == _DAY_MS:
        return _daily(times, schedule, timezone)
    return _intraday(times, interval_ms, schedule)


def _round_the_clock(times: Times, interval_ms: int) -> Gaps:
    steps = np.diff(times)
    # Sensors are not punctual: half an interval late is not yet a missing row.
    missing = np.where(steps > 1.5 * interval_ms, np.rint(steps / interval_ms).astype(np.int64) - 1, 0)
    places = np.flatnonzero(missing)
    gaps = [
        Gap(int(times[place]) + interval_ms, int(times[place]) + int(missing[place]) * interval_ms, int(missing[place]))
        for place in places
    ]
    return Gaps(len(times) + int(missing.sum()), int(missing.sum()), _longest_first(gaps), [])


def _schedule(calendar: str, first_ms: int, last_ms: int, timezone: str) -> pd.DataFrame:
    """Return the sessions from the first to the last time: index dates, `open`, `close` and breaks in UTC."""
    import exchange_calendars
    from exchange_calendars.errors import CalendarError

    days = pd.DatetimeIndex(pd.to_datetime([first_ms, last_ms], unit="ms", utc=True)).tz_convert(timezone)
    start, end = days[0].tz_localize(None).normalize(), days[1].tz_localize(None).normalize()
    try:
        # Bounds are given, for the defaults depend on today; a week more, for a calendar needs a session.
        known = exchange_calendars.get_calendar(
            calendar, start=start - pd.Timedelta(days=7), end=end + pd.Timedelta(days=7)
        )
    except (CalendarError, ValueError) as error:
        raise QualityError(
            f"No sessions of calendar {calendar!r} from {start:%Y-%m-%d} to {end:%Y-%m-%d}: {error}", calendar=calendar
        ) from error
    schedule: pd.DataFrame = known.schedule
    return schedule[(schedule.index >= start) & (schedule.index <= end)]


def _daily(times: Times, schedule: pd.DataFrame, timezone: str) -> Gaps:
    local = pd.to_datetime(times, unit="ms", utc=True).tz_convert(ZoneInfo(timezone)).tz_localize(None).normalize()
    there = np.asarray(schedule.index.isin(local))
    dates = pd.DatetimeIndex(schedule.index).tz_localize(timezone, nonexistent="shift_forward", ambiguous=True)
    starts = np.asarray(dates.as_unit("ms").asi8, dtype=np.int64)
    return Gaps(
        len(schedule), int((~there).sum()), _runs(~there, starts), [f"{day:%Y-%m-%d}" for day in schedule.index[~there]]
    )


def _intraday(times: Times, interval_ms: int, schedule: pd.DataFrame) -> Gaps:
    opens, closes = _ms(schedule["open"]), _ms(schedule["close"])
    slots = -(-(closes - opens) // interval_ms)
    session = np.repeat(np.arange(len(slots)), slots)
    first_slot = np.concatenate([[0], np.cumsum(slots)[:-1]]) if len(slots) else np.zeros(0, np.int64)
    starts = opens[session] + (np.arange(len(session)) - first_slot[session]) * interval_ms
    # Slots before the first row or after the last are not known to be missing.
    wanted = (starts + interval_ms > times[0]) & (starts <= times[-1])
    pauses = schedule["break_start"].notna().to_numpy()
    if pauses.any():
        begin, end = _ms(schedule["break_start"])[session], _ms(schedule["break_end"])[session]
        wanted &= ~(pauses[session] & (starts >= begin) & (starts < end))
    there = np.zeros(len(starts), dtype=bool)
    place = np.searchsorted(opens, times, side="right") - 1
    inside = (place >= 0) & (times < closes[np.maximum(place, 0)]) if len(opens) else np.zeros(len(times), bool)
    held = place[inside]
    there[first_slot[held] + (times[inside] - opens[held]) // interval_ms] = True
    missing = wanted & ~there
    of_session = np.bincount(session, weights=wanted, minlength=len(slots))
    missed = np.bincount(session, weights=missing, minlength=len(slots))
    # The session that the range begins or ends in may be cut, and says nothing about a whole one.
    empty = (of_session == missed) & (of_session == np.bincount(session, minlength=len(slots))) & (of_session > 0)
    return Gaps(
        int(wanted.sum()),
        int(missing.sum()),
        _runs(missing, starts, session),
        [f"{day:%Y-%m-%d}" for day in schedule.index[empty]],
    )


def _runs(missing: npt.NDArray[np.bool_], starts: Times, session: Times | None = None) -> list[Gap]:
    """Return runs of missing slots; with `session`, a run ends with its session."""
    places = np.flatnonzero(missing)
    if len(places) == 0:
        return []
    cut = np.diff(places) > 1
    if session is not None:
        cut |= np.diff(session[places]) > 0
    groups = np.split(places, np.flatnonzero(cut) + 1)
    return _longest_first([Gap(int(starts[group[0]]), int(starts[group[-1]]), len(group)) for group in groups])


def _longest_first(gaps: list[Gap]) -> list[Gap]:
    return sorted(gaps, key=lambda gap: (-gap.missing, gap.from_ms))


def _ms(moments: pd.Series[pd.Timestamp]) -> Times:
    return np.asarray(pd.DatetimeIndex(moments).as_unit("ms").asi8, dtype=np.int64)
