"""What is held back and what becomes of it: digests above the limit, quiet hours, snoozes, and who wants to hear."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from gridwatch.alerts.address_book import AddressBook
from gridwatch.alerts.budget import GATHER_MS
from gridwatch.alerts.delivery import Delivery
from gridwatch.alerts.links import LINK_SECRET, open_token
from gridwatch.alerts.mail_check import check_mail
from gridwatch.alerts.outcome import claim_ms
from gridwatch.alerts.receipts import Receipts, delivery_key
from gridwatch.alerts.sendgrid import Mailer
from gridwatch.alerts.snoozes import remove_snooze, snooze
from gridwatch.containers import Store
from gridwatch.containers.catalog import DELIVERIES
from gridwatch.secrets import secret
from gridwatch.settings import Settings

HOUR_MS = 3_600_000


@pytest.fixture
def make(store: Store, clock: Any, mail_server: Any, make_settings: Any) -> Callable[..., Delivery]:
    """Make a Delivery, as a handler that starts does; keywords are settings of alerts."""
    store.put_container(DELIVERIES)

    def new(**alerts: Any) -> Delivery:
        settings = make_settings(alerts={"recipients": ["ops@example.com"], "mails_per_hour": 2} | alerts)
        mailer = Mailer("key", mail_server.url, timeout_s=60, attempts=1, clock=clock)
        return Delivery(store, settings, mailer=mailer, address_book=AddressBook(settings), clock=clock)

    return new


@pytest.fixture
def told(mail_server: Any) -> Callable[[], list[list[str]]]:
    """The ids of the anomalies that each mail so far told of; every mail has to be one that SendGrid takes."""

    def read() -> list[list[str]]:
        assert [problem for mail in mail_server.mails for problem in check_mail(mail)] == []
        return [
            re.findall(r"\b[0-9a-f]{32}\b", mail["content"][0]["value"].rpartition("\n\n")[0])
            for mail in mail_server.mails
        ]

    return read


@pytest.fixture
def state(store: Store) -> Callable[[], dict[str, tuple[str, str | None]]]:
    """State and hold of every delivery by anomaly."""

    def read() -> dict[str, tuple[str, str | None]]:
        rows = store.sql("SELECT anomaly_id, status, held FROM deliveries").to_pylist()
        return {row["anomaly_id"]: (row["status"], row["held"]) for row in rows}

    return read


def test_what_is_above_the_limit_is_one_digest_worst_first(
    make: Any, put_anomaly: Any, scores: Any, clock: Any, told: Any, state: Any, mail_server: Any, make_settings: Any
) -> None:
    delivery = make(public_url="https://watch.example")
    first = [put_anomaly(day) for day in (0, 1)]
    low, medium, critical = (
        put_anomaly(day, severity=word) for day, word in ((2, "low"), (3, "medium"), (4, "critical"))
    )
    assert [delivery.deliver("ANOMALY_AAPL", key).status for key in first] == ["sent", "sent"]
    held = [delivery.deliver("ANOMALY_AAPL", key) for key in (low, medium, critical)]
    assert {(one.status, one.held, one.next_ms) for one in held} == {("pending", "digest", clock.now_ms + GATHER_MS)}
    assert {one.attempts for one in held} == {0}

    clock.now_ms += GATHER_MS
    assert delivery.deliver("ANOMALY_AAPL", medium).digest == 3
    assert [delivery.deliver("ANOMALY_AAPL", key).status for key in (low, critical)] == ["already_sent"] * 2
    assert [set(ids) for ids in told()[:2]] == [{key} for key in first]
    assert list(dict.fromkeys(told()[2])) == [critical, medium, low]
    digest = mail_server.mails[2]
    assert digest["subject"] == "[gridwatch] 3 anomalies of AAPL: 1 critical, 1 medium, 1 low"
    assert digest["custom_args"]["anomalies"] == "3"
    assert digest["attachments"][0]["disposition"] == "inline"
    assert f"https://watch.example/anomalies/ANOMALY_AAPL/{low}" in digest["content"][1]["value"]
    assert "limit of single mails" in digest["content"][0]["value"]
    _check_label_links(make_settings(), digest, [critical, medium, low], clock.now_ms)
    assert set(state().values()) == {("sent", None), ("sent", "digest")}


def _check_label_links(settings: Settings, digest: dict[str, Any], keys: list[str], now_ms: int) -> None:
    """Each anomaly has its own links, signed and expiring, in both parts."""
    text, page = (part["value"] for part in digest["content"])
    key, days = secret(settings.home, LINK_SECRET), settings.alerts.label_links_days
    found = re.findall(r"https://watch.example/label/([\w-]+)\?say=(\w+)", page)
    rights = [open_token(key, token) for token, _ in found]
    assert [right and right.anomaly_id for right in rights] == [one for one in keys for _ in range(3)]
    assert [word for _, word in found] == ["true", "false", "expected"] * len(keys)
    assert {right and right.until_ms for right in rights} == {now_ms + round(days * 24 * HOUR_MS)}
    plain = re.findall(r"Was it right\? https://watch.example/label/([\w-]+)\n", text)
    assert plain == [token for token, word in found if word == "true"]


def test_a_digest_waits_for_the_last_one_and_what_is_critical_a_minute(
    make: Any, put_anomaly: Any, clock: Any, told: Any
) -> None:
    delivery = make(mails_per_hour=1, digest_s=600)
    keys = [put_anomaly(day, severity="high") for day in range(3)]
    for key in keys:
        delivery.deliver("ANOMALY_AAPL", key)
    clock.now_ms += GATHER_MS
    assert delivery.deliver("ANOMALY_AAPL", keys[1]).digest == 2
    sent_ms = clock.now_ms
    # Another handler knows it from the store.
    other = make(mails_per_hour=1, digest_s=600)
    later = put_anomaly(5, severity="high")
    assert other.deliver("ANOMALY_AAPL", later).next_ms == sent_ms + 600_000
    clock.now_ms += 1_000
    critical = put_anomaly(6, severity="critical")
    assert other.deliver("ANOMALY_AAPL", critical).next_ms == sent_ms + 60_000
    clock.now_ms = sent_ms + 60_000
    assert other.deliver("ANOMALY_AAPL", critical).digest == 2
    assert [len(set(ids)) for ids in told()] == [1, 2, 2]
    # What comes alone is a mail as any other.
    alone = put_anomaly(7, severity="high")
    clock.now_ms = other.deliver("ANOMALY_AAPL", alone).next_ms
    assert other.deliver("ANOMALY_AAPL", alone).digest == 0
    assert set(told()[3]) == {alone}


def test_the_limit_is_each_recipients_and_an_hours(
    make: Any, put_anomaly: Any, clock: Any, write_dataset: Any, told: Any
) -> None:
    write_dataset("ibm", symbol="IBM", recipients=["Ops@example.com", "ibm@example.com"])
    write_dataset("msft", symbol="MSFT", recipients=["msft@example.com"])
    delivery = make(mails_per_hour=1)
    assert delivery.deliver("ANOMALY_AAPL", put_anomaly()).status == "sent"
    # One of the two has had enough, so both wait for the digest.
    held = put_anomaly(symbol="IBM")
    assert delivery.deliver("ANOMALY_IBM", held).held == "digest"
    assert delivery.deliver("ANOMALY_MSFT", put_anomaly(symbol="MSFT")).status == "sent"
    clock.now_ms += HOUR_MS
    assert make(mails_per_hour=1).deliver("ANOMALY_AAPL", put_anomaly(1)).status == "sent"
    assert make(mails_per_hour=0).deliver("ANOMALY_AAPL", put_anomaly(2)).status == "sent"
    assert len(told()) == 4


def test_a_digest_has_an_end(
    make: Any, put_anomaly: Any, clock: Any, told: Any, state: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gridwatch.alerts.digests.DIGEST_MAX", 6)
    delivery = make(mails_per_hour=1)
    keys = [put_anomaly(day, severity="low") for day in range(10)]
    for key in keys:
        delivery.deliver("ANOMALY_AAPL", key)
    clock.now_ms += GATHER_MS
    assert delivery.deliver("ANOMALY_AAPL", keys[-1]).digest == 6
    waiting = [key for key, (status, _) in state().items() if status == "pending"]
    assert len(waiting) == 3
    clock.now_ms += 300_000
    assert delivery.deliver("ANOMALY_AAPL", waiting[0]).digest == 3
    everything = [key for ids in told() for key in set(ids)]
    assert sorted(everything) == sorted(keys)


def test_quiet_hours_hold_back_and_critical_passes(make: Any, put_anomaly: Any, clock: Any, told: Any) -> None:
    # The clock says 2025-10-09 08:53:20 UTC, 10:53 in Berlin.
    quiet = {"quiet_hours": ["09:00-11:00"], "quiet_zone": "Europe/Berlin", "mails_per_hour": 9}
    delivery = make(**quiet)
    high, low = put_anomaly(0, severity="high"), put_anomaly(1, severity="low")
    held = delivery.deliver("ANOMALY_AAPL", high)
    assert (held.status, held.held) == ("pending", "quiet")
    assert held.next_ms == clock.now_ms + 400_000
    critical = put_anomaly(2, severity="critical")
    assert delivery.deliver("ANOMALY_AAPL", critical).status == "sent"
    assert make(**quiet, quiet_critical=True).deliver("ANOMALY_AAPL", put_anomaly(3)).held == "quiet"
    delivery.deliver("ANOMALY_AAPL", low)
    clock.now_ms += 400_000
    assert delivery.deliver("ANOMALY_AAPL", low).digest == 3
    assert len(set(told()[1])) == 3


def test_a_snooze_holds_back_one_series_and_ends(
    make: Any, put_anomaly: Any, clock: Any, told: Any, store: Store, mail_server: Any
) -> None:
    delivery = make(mails_per_hour=9)
    until_ms = clock.now_ms + 2 * HOUR_MS
    snooze(store, "AAPL", until_ms=until_ms, now_ms=clock(), author="ann", up_to="high")
    keys = [put_anomaly(day, severity="high") for day in range(3)]
    for key in keys[:2]:
        assert (delivery.deliver("ANOMALY_AAPL", key).held, delivery.deliver("ANOMALY_AAPL", key).next_ms) == (
            "snoozed",
            until_ms,
        )
    # Worse than what is snoozed, and another series.
    assert delivery.deliver("ANOMALY_AAPL", put_anomaly(5, severity="critical")).status == "sent"
    assert delivery.deliver("ANOMALY_IBM", put_anomaly(symbol="IBM", severity="low")).status == "sent"
    clock.now_ms += HOUR_MS
    # A longer one holds what the first one held.
    snooze(store, "aapl", until_ms=until_ms + 1, now_ms=clock(), author="ann", up_to="high")
    assert delivery.deliver("ANOMALY_AAPL", keys[0]).next_ms == until_ms + 1
    assert delivery.deliver("ANOMALY_AAPL", keys[2]).held == "snoozed"
    remove_snooze(store, "AAPL", now_ms=clock())
    assert delivery.deliver("ANOMALY_AAPL", keys[1]).digest == 3
    assert [len(set(ids)) for ids in told()] == [1, 1, 3]
    assert "while their series were snoozed" in mail_server.mails[2]["content"][0]["value"]


def test_each_severity_goes_to_who_wants_it(
    make: Any, put_anomaly: Any, write_dataset: Any, told: Any, state: Any, mail_server: Any, clock: Any
) -> None:
    write_dataset(recipients=["high: team@example.com", "critical : boss@example.com", "HIGH:Team@example.com"])
    delivery = make(mails_per_hour=9)
    outcomes = {
        word: delivery.deliver("ANOMALY_AAPL", put_anomaly(day, severity=word)).status
        for day, word in enumerate(("critical", "high", "medium", None))
    }
    assert outcomes == {"critical": "sent", "high": "sent", "medium": "skipped", None: "sent"}
    people = [[one["email"] for one in mail["personalizations"][0]["to"]] for mail in mail_server.mails]
    assert people == [
        ["team@example.com", "boss@example.com"],
        ["team@example.com"],
        ["team@example.com", "boss@example.com"],
    ]
    # What is skipped is done with, whoever wants to hear of it later.
    skipped = next(key for key, (status, _) in state().items() if status == "skipped")
    write_dataset(recipients=["team@example.com"])
    clock.now_ms += HOUR_MS
    assert delivery.deliver("ANOMALY_AAPL", skipped).status == "skipped"


def test_a_digest_that_fails_is_tried_again_and_one_refused_is_dead(
    make: Any, put_anomaly: Any, clock: Any, told: Any, state: Any, mail_server: Any, reply: Any, store: Store
) -> None:
    delivery = make(mails_per_hour=1)
    keys = [put_anomaly(day) for day in range(3)]
    for key in keys:
        delivery.deliver("ANOMALY_AAPL", key)
    clock.now_ms += GATHER_MS
    mail_server.script = [reply(500, {}, "down")]
    failed = delivery.deliver("ANOMALY_AAPL", keys[1])
    assert (failed.status, failed.attempts, failed.next_ms) == ("pending", 1, clock.now_ms + 10_000)
    assert "answered 500: down" in failed.error
    # The breaker is open, and then all of it goes out together.
    assert delivery.deliver("ANOMALY_AAPL", put_anomaly(9)).status in {"away", "pending"}
    clock.now_ms += 10_000
    assert delivery.deliver("ANOMALY_AAPL", keys[2]).digest == 3
    assert store.sql("SELECT id FROM deliveries WHERE possible_duplicate = TRUE").num_rows == 0

    clock.now_ms += HOUR_MS // 2
    more = [put_anomaly(day) for day in range(20, 22)]
    for key in more:
        delivery.deliver("ANOMALY_AAPL", key)
    clock.now_ms += GATHER_MS
    mail_server.script = [reply(400, {}, '{"errors": [{"message": "too odd"}]}')]
    assert delivery.deliver("ANOMALY_AAPL", more[0]).status == "dead"
    assert [state()[key][0] for key in more] == ["dead", "dead"]

    clock.now_ms += HOUR_MS
    assert delivery.deliver("ANOMALY_AAPL", put_anomaly(40)).status == "sent"
    unsure = [put_anomaly(day) for day in range(30, 32)]
    for key in unsure:
        delivery.deliver("ANOMALY_AAPL", key)
    clock.now_ms += GATHER_MS
    mail_server.script = [reply(0)]
    assert delivery.deliver("ANOMALY_AAPL", unsure[0]).status == "pending"
    assert store.sql("SELECT id FROM deliveries WHERE possible_duplicate = TRUE").num_rows == 2
    clock.now_ms += 10_000
    assert delivery.deliver("ANOMALY_AAPL", unsure[0]).digest == 2
    assert mail_server.mails[-1]["custom_args"]["possible_duplicate"] == "true"


def test_a_digest_whose_handler_died_is_sent_again_and_says_so(
    make: Any, put_anomaly: Any, clock: Any, told: Any, store: Store, mail_server: Any, make_settings: Any
) -> None:
    delivery = make(mails_per_hour=1)
    keys = [put_anomaly(day) for day in range(4)]
    for key in keys:
        delivery.deliver("ANOMALY_AAPL", key)
    receipts = Receipts(store)
    # It had claimed two of them when it died.
    for key in keys[1:3]:
        row = receipts.read(delivery_key(key))
        assert row is not None
        assert receipts.claim(row, now_ms=clock(), digest="d") is not None
    clock.now_ms += GATHER_MS
    assert make(mails_per_hour=1).deliver("ANOMALY_AAPL", keys[3]).digest == 0
    assert make(mails_per_hour=1).deliver("ANOMALY_AAPL", keys[1]).status == "in_progress"
    clock.now_ms += claim_ms(make_settings()) + 1
    again = make(mails_per_hour=1).deliver("ANOMALY_AAPL", keys[1])
    assert (again.status, again.digest) == ("sent", 2)
    assert mail_server.mails[-1]["custom_args"]["possible_duplicate"] == "true"
    assert "You may have some of this already" in mail_server.mails[-1]["content"][0]["value"]
    assert sorted(key for ids in told() for key in set(ids)) == sorted(keys)
