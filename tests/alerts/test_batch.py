"""Several anomalies in one call: what each mail gets is what it would get alone, whatever happens to the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pandas as pd
import pytest

from gridwatch.alerts.address_book import AddressBook
from gridwatch.alerts.anomaly import Anomaly, find_anomaly
from gridwatch.alerts.background import backgrounds, rows_around_all
from gridwatch.alerts.delivery import Delivery
from gridwatch.alerts.email import compose
from gridwatch.alerts.outcome import Outcome
from gridwatch.alerts.receipts import delivery_key
from gridwatch.alerts.sendgrid import Mailer
from gridwatch.containers import Store
from gridwatch.containers.catalog import DELIVERIES, LEASES, VALIDATIONS, score_info
from gridwatch.errors import GridwatchError, StoreError
from gridwatch.settings import Settings

AAPL = "ANOMALY_AAPL"


@pytest.fixture
def deliverer(store: Store, clock: Any, mail_server: Any) -> Callable[..., Delivery]:
    store.put_container(DELIVERIES)
    store.put_container(LEASES)

    def make(settings: Settings, of: Any = None) -> Delivery:
        mailer = Mailer("key", mail_server.url, timeout_s=60, attempts=1, clock=clock)
        return Delivery(of or store, settings, mailer=mailer, address_book=AddressBook(settings), clock=clock)

    return make


@pytest.fixture
def each(make_settings: Any) -> Settings:
    """Settings by which every anomaly has a mail of its own."""
    found: Settings = make_settings(alerts={"recipients": ["ops@example.com"], "mails_per_hour": 0})
    return found


def words(ended: list[Outcome | GridwatchError]) -> list[str]:
    return [one.status if isinstance(one, Outcome) else str(one) for one in ended]


def test_each_has_the_mail_and_the_receipt_that_it_would_have_alone(
    deliverer: Any, each: Settings, store: Store, put_anomaly: Any, scores: Any, mail_server: Any, clock: Any
) -> None:
    store.put_container(VALIDATIONS)
    store.put(VALIDATIONS.name, pd.DataFrame({"id": ["val-1"], "success": [False]}))
    keys = [put_anomaly(day, severity=("low", "high")[day % 2]) for day in range(5)]
    alone, *others = keys
    delivery = deliverer(each)
    assert delivery.deliver(AAPL, alone).status == "sent"
    assert words(delivery.deliver_all([(AAPL, key) for key in others])) == ["sent"] * 4
    rows = {row["anomaly_id"]: row for row in store.sql("SELECT * FROM deliveries").to_pylist()}
    for key in others:
        same = {"id": f"{key}:email", "anomaly_id": key}
        assert rows[key] == rows[alone] | same
    mails = {mail["custom_args"]["anomaly_id"]: mail for mail in mail_server.mails}
    assert set(mails) == set(keys)
    assert len(mail_server.mails) == 5
    for key in keys:
        anomaly = find_anomaly(store, AAPL, key)
        assert anomaly is not None
        expected = compose(
            anomaly, None, store, each, recipients=["ops@example.com"], key=delivery_key(key), now_ms=clock()
        )
        assert mails[key] == expected
        assert "failed their validation" in expected["content"][0]["value"]


def test_what_cannot_be_sent_is_answered_in_its_place(
    deliverer: Any, each: Settings, put_anomaly: Any, mail_server: Any
) -> None:
    first, second, third = (put_anomaly(day) for day in range(3))
    delivery = deliverer(each)
    delivery.deliver(AAPL, second)
    places = [(AAPL, key) for key in (first, "0" * 32, second, third, first)]
    assert words(delivery.deliver_all(places)) == ["sent", "not_found", "already_sent", "sent", "sent"]
    assert len(mail_server.mails) == 3


def test_one_refused_mail_is_no_other_ones_fault(
    deliverer: Any, each: Settings, store: Store, put_anomaly: Any, mail_server: Any, reply: Any, clock: Any
) -> None:
    mail_server.script = [reply(400, {}, "no"), reply(), reply(503, {}, "down")]
    keys = [put_anomaly(day) for day in range(6)]
    delivery = deliverer(each)
    ended = delivery.deliver_all([(AAPL, key) for key in keys])
    assert Counter(words(ended)) == {"sent": 4, "dead": 1, "pending": 1}
    rows = store.get(DELIVERIES.name, [delivery_key(key) for key in keys]).to_pylist()
    assert [row["status"] for row in rows] == words(ended)
    # One that failed goes its own way the next time, with a claim of its own.
    clock.now_ms = max(row["next_ms"] for row in rows if row["status"] == "pending")
    assert Counter(words(delivery.deliver_all([(AAPL, key) for key in keys]))) == {
        "already_sent": 4,
        "dead": 1,
        "sent": 1,
    }
    assert len(mail_server.mails) == 7


def test_four_calls_at_once_make_one_mail_each(
    deliverer: Any, each: Settings, put_anomaly: Any, mail_server: Any
) -> None:
    keys = [put_anomaly(day) for day in range(8)]
    handlers = [deliverer(each) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda one: words(one.deliver_all([(AAPL, key) for key in keys])), handlers))
    assert Counter(mail["custom_args"]["anomaly_id"] for mail in mail_server.mails) == dict.fromkeys(keys, 1)
    assert {word for one in found for word in one} <= {"sent", "already_sent", "in_progress"}


def test_what_is_above_the_limit_is_held_and_counted_once(
    deliverer: Any, make_settings: Any, store: Store, put_anomaly: Any, mail_server: Any, clock: Any
) -> None:
    settings = make_settings(alerts={"recipients": ["ops@example.com"], "mails_per_hour": 3})
    keys = [put_anomaly(day) for day in range(8)]
    delivery = deliverer(settings)
    ended = delivery.deliver_all([(AAPL, key) for key in keys])
    assert words(ended) == ["sent"] * 3 + ["pending"] * 5
    assert {one.held for one in ended[3:]} == {"digest"}
    waiting = store.sql("SELECT * FROM deliveries WHERE status = 'pending'").to_pylist()
    assert {(row["held"], row["attempts"], row["recipients"], row["next_ms"]) for row in waiting} == {
        ("digest", 0, "ops@example.com", clock.now_ms + 2_000)
    }
    clock.now_ms += 2_000
    again = delivery.deliver_all([(AAPL, key) for key in keys[3:]])
    assert {one.status for one in again} <= {"sent", "in_progress", "already_sent"}
    digest = mail_server.mails[-1]
    assert (len(mail_server.mails), digest["custom_args"]["anomalies"]) == (4, "5")


class Failing:
    """A store of which one method fails, once something is so."""

    def __init__(self, store: Store, method: str, when: Callable[[], bool]) -> None:
        self._store, self._method, self._when = store, method, when

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name != self._method:
            return found

        def failing(*args: Any, **more: Any) -> Any:
            if self._when():
                raise StoreError("the disk is gone")
            return found(*args, **more)

        return failing


def test_receipts_are_written_one_by_one_where_they_cannot_be_together(
    deliverer: Any, each: Settings, store: Store, put_anomaly: Any, mail_server: Any
) -> None:
    keys = [put_anomaly(day) for day in range(6)]
    delivery = deliverer(each, of=Failing(store, "put", lambda: True))
    assert words(delivery.deliver_all([(AAPL, key) for key in keys])) == ["sent"] * 6
    assert set(store.sql("SELECT status FROM deliveries").column("status").to_pylist()) == {"sent"}


def test_a_store_that_fails_before_anything_is_sent_is_raised_and_nothing_counts(
    deliverer: Any, make_settings: Any, store: Store, put_anomaly: Any, mail_server: Any
) -> None:
    settings = make_settings(alerts={"recipients": ["ops@example.com"], "mails_per_hour": 4})
    keys = [put_anomaly(day) for day in range(4)]
    away = [True]
    delivery = deliverer(settings, of=Failing(store, "execute", lambda: away[0]))
    with pytest.raises(StoreError, match="the disk is gone"):
        delivery.deliver_all([(AAPL, key) for key in keys])
    assert mail_server.mails == []
    away[0] = False
    assert words(delivery.deliver_all([(AAPL, key) for key in keys])) == ["sent"] * 4


def test_a_defect_in_one_is_raised_when_the_others_have_their_receipts(
    deliverer: Any, each: Settings, store: Store, put_anomaly: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [put_anomaly(day) for day in range(4)]

    def broken(anomaly: Anomaly, *args: Any, **more: Any) -> Any:
        if anomaly.id == keys[1]:
            raise RuntimeError("a defect")
        return compose(anomaly, *args, **more)

    monkeypatch.setattr("gridwatch.alerts.handover.compose", broken)
    with pytest.raises(RuntimeError, match="a defect"):
        deliverer(each).deliver_all([(AAPL, key) for key in keys])
    rows = store.get(DELIVERIES.name, [delivery_key(key) for key in keys]).to_pylist()
    assert [row["status"] for row in rows] == ["sent", "pending", "sent", "sent"]
    assert rows[1]["error"] == "A defect: RuntimeError; the log has it."


def test_with_a_webhook_each_goes_its_own_way(
    deliverer: Any, make_settings: Any, store: Store, put_anomaly: Any, mail_server: Any
) -> None:
    settings = make_settings(
        alerts={"recipients": ["ops@example.com"], "webhook_url": mail_server.url, "mails_per_hour": 0}
    )
    keys = [put_anomaly(day) for day in range(3)]
    assert words(deliverer(settings).deliver_all([(AAPL, key) for key in keys])) == ["sent"] * 3
    rows = store.sql("SELECT channel, status FROM deliveries").to_pylist()
    assert Counter((row["channel"], row["status"]) for row in rows) == {("email", "sent"): 3, ("webhook", "pending"): 3}


@pytest.mark.parametrize("ahead", [0, 1, 60])
def test_the_rows_around_several_are_those_around_each(
    store: Store, scores: pd.DataFrame, ahead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gridwatch.alerts.background._AHEAD", ahead)
    store.put_container(score_info("EMPTY"))
    times = scores["ts"].astype("int64")
    between = int(times[50]) + 1
    asked = [int(times[place]) for place in (200, 0, 3, 4, 100, 101, 101, 196, 199)]
    asked += [between, int(times[0]) - 5, int(times[200]) + 5]
    anomalies = [Anomaly(AAPL, str(at), at) for at in asked]
    anomalies += [Anomaly("ANOMALY_EMPTY", "e", asked[0]), Anomaly("ANOMALY_NONE", "n", asked[0])]
    found = rows_around_all(store, anomalies, each_side=5)
    for at, rows in zip(asked, found, strict=False):
        before, after = times[times <= at].tail(6), times[times > at].head(5)
        assert rows is not None
        assert rows.column("ts").cast("int64").to_pylist() == [*before, *after]
    assert found[-2:] == [None, None]


def test_validations_are_told_each_to_its_own(store: Store) -> None:
    def one(validation_id: str | None) -> Anomaly:
        return Anomaly(AAPL, "x", 0, validation_id=validation_id)

    asked = [one("good"), one(None), one("bad"), one("gone"), one("good")]
    assert [known.validated for known in backgrounds(store, asked)] == [None] * 5
    store.put_container(VALIDATIONS)
    store.put(VALIDATIONS.name, pd.DataFrame({"id": ["good", "bad"], "success": [True, False]}))
    assert [known.validated for known in backgrounds(store, asked)] == [True, None, False, None, True]
