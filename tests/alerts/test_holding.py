"""Quiet hours against a clock on the wall, the breaker, recipients, and stores from before there was all that."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gridwatch.alerts.address_book import AddressBook
from gridwatch.alerts.breaker import Breaker
from gridwatch.alerts.deliveries import list_deliveries, revive
from gridwatch.alerts.delivery import Delivery
from gridwatch.alerts.quiet import quiet_until
from gridwatch.alerts.relay import Relay
from gridwatch.alerts.sendgrid import Mailer
from gridwatch.alerts.snoozes import snooze
from gridwatch.containers import Store
from gridwatch.containers.catalog import DELIVERIES
from gridwatch.errors import ConfigError
from gridwatch.recipients import wants

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HALF_HOUR_MS = 1_800_000
MONDAY_MS = int(datetime(2025, 10, 6, tzinfo=UTC).timestamp() * 1000)

clocks = st.integers(0, 47).map(lambda half: f"{half // 2:02}:{half % 2 * 30:02}")
ends = st.one_of(clocks, st.just("24:00"))
one_day = st.sampled_from(DAYS)
days = st.one_of(st.just(""), one_day.map("{} ".format), st.tuples(one_day, one_day).map("{0[0]}-{0[1]} ".format))
hours = st.tuples(days, clocks, ends).map(lambda parts: f"{parts[0]}{parts[1]}-{parts[2]}")


def is_quiet(text: str, moment: datetime) -> bool:
    """By looking at the wall: these hours hold now, begun today or yesterday."""
    *of, span = text.split()
    first, last = (int(clock[:2]) * 60 + int(clock[3:]) for clock in span.split("-"))
    minute = moment.hour * 60 + moment.minute

    def begun_on(day: int) -> bool:
        if not of:
            return True
        begin, _, end = of[0].partition("-")
        return (day - DAYS.index(begin)) % 7 <= (DAYS.index(end or begin) - DAYS.index(begin)) % 7

    if last > first:
        return begun_on(moment.weekday()) and first <= minute < last
    yesterday = (moment.weekday() - 1) % 7
    return (begun_on(moment.weekday()) and minute >= first) or (begun_on(yesterday) and minute < last)


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.lists(hours, min_size=1, max_size=3), st.integers(0, 335))
def test_quiet_hours_are_those_of_the_wall(found: list[str], half_hours: int) -> None:
    now_ms = MONDAY_MS + half_hours * HALF_HOUR_MS
    until_ms = quiet_until(found, "UTC", now_ms)
    moment = datetime.fromtimestamp(now_ms / 1000, UTC)
    ends = moment
    while any(is_quiet(text, ends) for text in found) and ends < moment + timedelta(days=8):
        ends += timedelta(minutes=30)
    if ends == moment:
        assert until_ms is None
    elif ends < moment + timedelta(days=8):
        assert until_ms == round(ends.timestamp() * 1000)
    else:
        # Never over: looked at again in a week or so.
        assert until_ms is not None
        assert until_ms > now_ms + 7 * 86_400_000


def test_quiet_hours_follow_the_clock_change() -> None:
    """On 2025-10-26 Berlin's clocks went from 03:00 back to 02:00, on 2025-03-30 from 02:00 to 03:00."""
    night = ["22:00-07:00"]

    def until(year: int, month: int, day: int, hour: int) -> str:
        at_ms = int(datetime(year, month, day, hour, tzinfo=UTC).timestamp() * 1000)
        until_ms = quiet_until(night, "Europe/Berlin", at_ms)
        assert until_ms is not None
        return datetime.fromtimestamp(until_ms / 1000, UTC).isoformat()

    assert until(2025, 10, 25, 21) == "2025-10-26T06:00:00+00:00"
    assert until(2025, 3, 29, 22) == "2025-03-30T05:00:00+00:00"


@pytest.mark.parametrize(
    "wrong", ["22-7", "25:00-07:00", "24:00-07:00", "someday 22:00-07:00", "mon- 22:00-07:00", "22:00-07:60"]
)
def test_hours_that_are_none_stop_at_the_start(make_settings: Any, wrong: str) -> None:
    with pytest.raises(ValidationError, match=r"are no hours; write them as 22:00-07:00, sat-sun 00:00-24:00"):
        make_settings(alerts={"quiet_hours": [wrong]})
    with pytest.raises(ValidationError, match="unknown time zone 'Mars/Olympus'"):
        make_settings(alerts={"quiet_zone": "Mars/Olympus"})


@pytest.mark.parametrize("wrong", ["nobody", "urgent: a@b.c", "critical: ", "a@b.c, d@e.f", "critical: high: a@b.c"])
def test_recipients_that_are_none_stop_at_the_start(make_settings: Any, wrong: str) -> None:
    with pytest.raises(ValueError, match=r"is no mail address; write one, or `critical: address`"):
        wants(wrong)
    with pytest.raises(ValidationError, match="is no mail address"):
        make_settings(alerts={"recipients": ["a@b.c", wrong]})


def test_a_breaker_opens_wider_and_lets_one_look() -> None:
    breaker = Breaker()
    now_ms, pauses = 0, []
    for _ in range(8):
        assert breaker.wait_ms(now_ms) == 0
        breaker.failed(now_ms)
        # Others that were under way then fail too; that is no second failure.
        breaker.failed(now_ms + 1)
        pauses.append(breaker.wait_ms(now_ms))
        now_ms += pauses[-1]
    assert pauses == [2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]
    assert [breaker.wait_ms(now_ms) for _ in range(3)] == [0, 5_000, 5_000]
    assert breaker.passed()
    assert [breaker.wait_ms(now_ms) for _ in range(3)] == [0, 0, 0]
    assert not breaker.passed()
    breaker.failed(now_ms, 120)
    # One that was under way came through; what the service asked for holds all the same.
    assert breaker.passed()
    assert breaker.wait_ms(now_ms) == 120_000
    breaker.failed(now_ms, 10**9)
    assert breaker.wait_ms(now_ms) == 3_600_000


@pytest.mark.parametrize("atomic", [True, False], ids=["embedded", "as on GridDB"])
def test_deliveries_of_an_older_store_get_their_new_columns(
    store: Store,
    settings: Any,
    put_anomaly: Any,
    clock: Any,
    mail_server: Any,
    monkeypatch: pytest.MonkeyPatch,
    atomic: bool,
) -> None:
    monkeypatch.setattr(type(store), "atomic_updates", atomic)
    older = replace(DELIVERIES, columns=DELIVERIES.columns[:-2], indexes=("status", "anomaly_id"))
    store.put_container(older)
    done, dead, new = (put_anomaly(day) for day in range(3))
    insert = (
        "INSERT INTO deliveries (id, anomaly_id, container, channel, status, attempts, last_ms) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)"
    )
    for key, status in ((done, "sent"), (dead, "dead")):
        store.execute(insert, [f"{key}:email", key, "ANOMALY_AAPL", "email", status, 1, clock.now_ms - 1])
    assert {row["status"]: row["held"] for row in list_deliveries(store)} == {"sent": None, "dead": None}
    snooze(store, "IBM", until_ms=clock.now_ms + 1_000, now_ms=clock(), author="ann")
    assert revive(store, now_ms=clock()) == 1
    Relay(store, settings, clock=clock)
    mailer = Mailer("key", mail_server.url, timeout_s=60, attempts=1, clock=clock)
    delivery = Delivery(store, settings, mailer=mailer, address_book=AddressBook(settings), clock=clock)
    assert [delivery.deliver("ANOMALY_AAPL", key).status for key in (done, dead, new)] == [
        "already_sent",
        "sent",
        "sent",
    ]
    info = store.container(DELIVERIES.name)
    assert info is not None
    assert (info.columns, set(info.indexes)) == (DELIVERIES.columns, set(DELIVERIES.indexes))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"until_ms": 0}, "A snooze ends between now and a year from now"),
        ({"until_ms": 10**14}, "A snooze ends between now and a year from now"),
        ({"up_to": "worst"}, "There is no severity 'worst'; there are critical, high, medium, low"),
        ({"note": "x" * 501}, "Note and name take up to 500 characters and no NUL"),
        ({"author": "\0"}, "Note and name take up to 500 characters and no NUL"),
    ],
)
def test_a_snooze_that_is_none_is_told(store: Store, clock: Any, words: Any, message: str) -> None:
    given_words = {"until_ms": clock.now_ms + 1_000, "author": "ann"} | words
    with pytest.raises(ConfigError, match=message):
        snooze(store, "AAPL", now_ms=clock(), **given_words)
