"""One mail an anomaly: receipts, retries, refusals, claims of the dead, and many triggers at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gridwatch.alerts.address_book import AddressBook
from gridwatch.alerts.anomaly import find_anomaly
from gridwatch.alerts.deliveries import revive
from gridwatch.alerts.delivery import Delivery
from gridwatch.alerts.outcome import LAST_PAUSE_MS, claim_ms, pause_ms
from gridwatch.alerts.receipts import Receipts, delivery_key
from gridwatch.alerts.sendgrid import Mailer
from gridwatch.containers import Store
from gridwatch.containers.catalog import DELIVERIES, LEASES
from gridwatch.containers.turn import turn
from gridwatch.errors import ContainerNotFoundError, StoreBusyError
from gridwatch.settings import Settings


@pytest.fixture
def deliverer(store: Store, clock: Any, mail_server: Any) -> Callable[..., Delivery]:
    """Make a Delivery over the settings, with one try a call."""
    store.put_container(DELIVERIES)

    def make(settings: Settings, **other: Any) -> Delivery:
        mailer = Mailer("key", mail_server.url, timeout_s=60, attempts=1, clock=clock)
        return Delivery(
            other.get("store", store), settings, mailer=mailer, address_book=AddressBook(settings), clock=clock
        )

    return make


@pytest.fixture
def delivery(deliverer: Callable[..., Delivery], settings: Settings) -> Delivery:
    return deliverer(settings)


@pytest.fixture
def row(store: Store) -> Callable[[str], dict[str, Any]]:
    def read(key: str) -> dict[str, Any]:
        found: dict[str, Any] = store.get(DELIVERIES.name, [delivery_key(key)]).to_pylist()[0]
        return found

    return read


def test_a_receipt_is_written_down(
    delivery: Delivery, put_anomaly: Any, row: Any, mail_server: Any, clock: Any
) -> None:
    key = put_anomaly()
    outcome = delivery.deliver("ANOMALY_AAPL", key)
    assert (outcome.status, outcome.message_id, outcome.attempts) == ("sent", "scripted", 1)
    assert row(key) == {
        "id": f"{key}:email",
        "anomaly_id": key,
        "container": "ANOMALY_AAPL",
        "channel": "email",
        "recipients": "ops@example.com",
        "status": "sent",
        "attempts": 1,
        "first_ms": clock.now_ms,
        "last_ms": clock.now_ms,
        "next_ms": 0,
        "message_id": "scripted",
        "error": None,
        "possible_duplicate": False,
        "held": None,
        "digest": None,
    }
    assert mail_server.mails[0]["custom_args"]["gridwatch_key"] == f"{key}:email"


def test_a_second_trigger_sends_nothing(delivery: Delivery, put_anomaly: Any, mail_server: Any) -> None:
    key = put_anomaly()
    delivery.deliver("ANOMALY_AAPL", key)
    assert delivery.deliver("ANOMALY_AAPL", key).status == "already_sent"
    put_anomaly(score=99.0)
    assert delivery.deliver("ANOMALY_AAPL", key).status == "already_sent"
    assert len(mail_server.mails) == 1


def test_an_unknown_row_is_told(delivery: Delivery, put_anomaly: Any) -> None:
    put_anomaly()
    outcome = delivery.deliver("ANOMALY_AAPL", "0" * 32)
    assert outcome.status == "not_found"
    assert outcome.error == f"'ANOMALY_AAPL' has no row {'0' * 32!r}."


def test_a_failure_that_may_pass_waits_and_is_tried_again(
    delivery: Delivery, put_anomaly: Any, row: Any, mail_server: Any, reply: Any, clock: Any
) -> None:
    key = put_anomaly()
    mail_server.script = [reply(503, {}, "down"), reply(500, {})]
    outcome = delivery.deliver("ANOMALY_AAPL", key)
    assert (outcome.status, outcome.next_ms) == ("pending", clock.now_ms + 10_000)
    assert "answered 503: down" in row(key)["error"]
    assert delivery.deliver("ANOMALY_AAPL", key).status == "pending"
    assert len(mail_server.mails) == 1

    clock.now_ms += 10_000
    assert delivery.deliver("ANOMALY_AAPL", key).next_ms == clock.now_ms + 20_000
    clock.now_ms += 20_000
    assert delivery.deliver("ANOMALY_AAPL", key).status == "sent"
    assert row(key)["error"] is None
    assert row(key)["attempts"] == 3
    assert not row(key)["possible_duplicate"]


def test_a_mail_whose_answer_is_missing_may_come_twice_and_says_so(
    delivery: Delivery, put_anomaly: Any, row: Any, mail_server: Any, reply: Any, clock: Any
) -> None:
    key = put_anomaly()
    mail_server.script = [reply(0), reply(503, {}, "down")]
    for _ in range(2):
        assert delivery.deliver("ANOMALY_AAPL", key).status == "pending"
        assert row(key)["possible_duplicate"]
        clock.now_ms += 20_000
    assert delivery.deliver("ANOMALY_AAPL", key).status == "sent"
    assert row(key)["possible_duplicate"]
    assert [mail["custom_args"].get("possible_duplicate") for mail in mail_server.mails] == [None, "true", "true"]


def test_a_long_limit_of_the_server_is_kept_within_an_hour(
    delivery: Delivery, put_anomaly: Any, mail_server: Any, reply: Any, clock: Any
) -> None:
    mail_server.script = [reply(429, {"Retry-After": "300"}), reply(429, {"Retry-After": "9" * 30})]
    key = put_anomaly()
    assert delivery.deliver("ANOMALY_AAPL", key).next_ms == clock.now_ms + 300_000
    clock.now_ms += 300_000
    assert delivery.deliver("ANOMALY_AAPL", key).next_ms == clock.now_ms + LAST_PAUSE_MS


def test_a_refusal_is_the_end(
    delivery: Delivery, put_anomaly: Any, row: Any, mail_server: Any, reply: Any, clock: Any, store: Store
) -> None:
    mail_server.script = [reply(401, {}, '{"errors": [{"message": "no such key"}]}')]
    key = put_anomaly()
    assert delivery.deliver("ANOMALY_AAPL", key).status == "dead"
    clock.now_ms += LAST_PAUSE_MS
    assert delivery.deliver("ANOMALY_AAPL", key).status == "dead"
    assert len(mail_server.mails) == 1
    assert "no such key Check GRIDWATCH_SENDGRID__API_KEY." in row(key)["error"]

    assert revive(store, now_ms=clock.now_ms) == 1
    assert delivery.deliver("ANOMALY_AAPL", key).status == "sent"


def test_tries_run_out(
    deliverer: Any, make_settings: Any, put_anomaly: Any, row: Any, mail_server: Any, reply: Any, clock: Any
) -> None:
    delivery = deliverer(make_settings(alerts={"recipients": ["a@b.c"], "attempts": 2}))
    mail_server.script = [reply(503, {}, "down")] * 3
    key = put_anomaly()
    assert delivery.deliver("ANOMALY_AAPL", key).status == "pending"
    clock.now_ms += LAST_PAUSE_MS
    assert delivery.deliver("ANOMALY_AAPL", key).status == "dead"
    assert row(key)["error"].startswith("Given up after 2 deliveries: The mail API")


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (None, r"no dataset file in '.*' writes to ANOMALY_AAPL; fill it in, or set GRIDWATCH_ALERTS__RECIPIENTS"),
        ({}, r"`recipients` of dataset 'aapl_daily' in '.*' is empty; fill it in"),
        ({"interval": "soon"}, r"no dataset file in .* \(Dataset file '.*aapl_daily.json' is wrong: interval.*\)"),
    ],
)
def test_nobody_to_tell(
    deliverer: Any, make_settings: Any, put_anomaly: Any, row: Any, write_dataset: Any, dataset: Any, message: str
) -> None:
    if dataset is not None:
        write_dataset(**dataset)
    delivery = deliverer(make_settings(alerts={}))
    key = put_anomaly()
    assert delivery.deliver("ANOMALY_AAPL", key).status == "pending"
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(row(key)["error"])


def test_recipients_filled_in_later_get_the_mail(
    deliverer: Any, make_settings: Any, put_anomaly: Any, write_dataset: Any, clock: Any, mail_server: Any
) -> None:
    delivery = deliverer(make_settings(alerts={}))
    key = put_anomaly()
    assert delivery.deliver("ANOMALY_AAPL", key).status == "pending"
    write_dataset(recipients=["New@example.com", "new@example.com"])
    clock.now_ms += 10_000
    assert delivery.deliver("ANOMALY_AAPL", key).status == "sent"
    assert mail_server.mails[0]["personalizations"] == [{"to": [{"email": "New@example.com"}]}]


def test_a_broken_dataset_keeps_no_mail_back(
    delivery: Delivery, put_anomaly: Any, write_dataset: Any, tmp_path: Path, mail_server: Any
) -> None:
    write_dataset("other", symbol="IBM", recipients=["ibm@example.com"])
    write_dataset("broken").write_text("{")
    assert delivery.deliver("ANOMALY_AAPL", put_anomaly()).status == "sent"
    assert delivery.deliver("ANOMALY_IBM", put_anomaly(symbol="IBM")).status == "sent"
    told = [mail["personalizations"][0]["to"][0]["email"] for mail in mail_server.mails]
    assert told == ["ops@example.com", "ibm@example.com"]


def test_many_triggers_at_once_make_one_mail(
    delivery: Delivery, put_anomaly: Any, mail_server: Any, reply: Any
) -> None:
    gate = threading.Event()
    mail_server.script = [reply(gate=gate)]
    key = put_anomaly()
    with ThreadPoolExecutor(20) as pool:
        calls = [pool.submit(delivery.deliver, "ANOMALY_AAPL", key) for _ in range(20)]
        assert mail_server.arrived.wait(120)
        gate.set()
        states = sorted(call.result().status for call in calls)
    assert len(mail_server.mails) == 1
    assert states.count("sent") == 1
    assert set(states) <= {"sent", "already_sent", "in_progress"}


def test_a_claim_whose_handler_died_is_taken_over_and_marked(
    delivery: Delivery, put_anomaly: Any, row: Any, store: Store, settings: Settings, clock: Any, mail_server: Any
) -> None:
    key = put_anomaly()
    store.execute(
        "INSERT INTO deliveries (id, anomaly_id, container, channel, status, attempts, first_ms, last_ms) "
        "VALUES (?, ?, 'ANOMALY_AAPL', 'email', 'sending', 1, ?, ?)",
        [delivery_key(key), key, clock.now_ms, clock.now_ms],
    )
    clock.now_ms += claim_ms(settings)
    assert delivery.deliver("ANOMALY_AAPL", key).status == "in_progress"
    clock.now_ms += 1
    outcome = delivery.deliver("ANOMALY_AAPL", key)
    assert (outcome.status, outcome.possible_duplicate) == ("sent", True)
    assert row(key)["possible_duplicate"]
    mail = mail_server.mails[0]
    assert mail["custom_args"]["possible_duplicate"] == "true"
    assert mail["headers"]["X-Gridwatch-Possible-Duplicate"] == "true"
    assert all("You may have this mail already" in part["value"] for part in mail["content"])


def test_a_handler_that_dies_every_time_is_given_up(
    deliverer: Any, make_settings: Any, put_anomaly: Any, row: Any, store: Store, clock: Any, mail_server: Any
) -> None:
    settings = make_settings(alerts={"recipients": ["a@b.c"], "attempts": 3})
    key = put_anomaly()
    store.execute(
        "INSERT INTO deliveries (id, anomaly_id, container, channel, status, attempts, first_ms, last_ms) "
        "VALUES (?, ?, 'ANOMALY_AAPL', 'email', 'sending', 3, 1, 1)",
        [delivery_key(key), key],
    )
    assert deliverer(settings).deliver("ANOMALY_AAPL", key).status == "dead"
    assert row(key)["error"] == "Given up after 3 deliveries: no try came to an end"
    assert mail_server.mails == []


def test_a_defect_gives_the_claim_back_and_is_raised(
    delivery: Delivery, put_anomaly: Any, row: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("gridwatch.alerts.handover.compose", broken)
    key = put_anomaly()
    with pytest.raises(RuntimeError, match="a defect"):
        delivery.deliver("ANOMALY_AAPL", key)
    assert (row(key)["status"], row(key)["error"]) == ("pending", "A defect: RuntimeError; the log has it.")


def test_a_receipt_is_written_although_the_store_was_busy(
    deliverer: Any, settings: Settings, store: Store, put_anomaly: Any, row: Any, mail_server: Any
) -> None:
    class Busy:
        """Refuses the first two updates after the mail is out."""

        refusals = 2

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        def execute(self, statement: str, parameters: Any = ()) -> int:
            if mail_server.mails and self.refusals:
                self.refusals -= 1
                raise StoreBusyError("locked")
            return store.execute(statement, parameters)

    key = put_anomaly()
    assert deliverer(settings, store=Busy()).deliver("ANOMALY_AAPL", key).status == "sent"
    assert row(key)["status"] == "sent"


def test_what_became_of_a_mail_waits_for_the_rows_turn_and_a_receipt_not_for_ever(
    delivery: Delivery,
    store: Store,
    put_anomaly: Any,
    row: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(type(store), "atomic_updates", False)
    store.put_container(LEASES)
    key = put_anomaly()
    anomaly = find_anomaly(store, "ANOMALY_AAPL", key)
    assert anomaly
    receipts = Receipts(store)
    claimed = receipts.claim(receipts.create(anomaly, now_ms=1), now_ms=2)
    assert claimed
    other = ExitStack()
    statuses = []
    here, sleep_on = threading.current_thread(), time.sleep

    def sleep(seconds: float) -> None:
        if threading.current_thread() is not here:
            # It is all the process's time.sleep: threads that other tests left may sleep now.
            return sleep_on(seconds)
        statuses.append(row(key)["status"])
        other.close()
        return None

    monkeypatch.setattr("tenacity.nap.time.sleep", sleep)
    for status, before in (("pending", "sending"), ("sent", "pending")):
        statuses.clear()
        assert other.enter_context(turn(store, claimed.id, now_ms=2))
        receipts.finish(replace(claimed, status=status))
        assert (statuses, row(key)["status"]) == ([before], status)
    store.execute("UPDATE deliveries SET status = 'sending'")
    with turn(store, claimed.id, now_ms=2) as ours:
        assert ours
        with pytest.raises(StoreBusyError, match="Another process is at the delivery"):
            receipts.finish(replace(claimed, status="dead"))
        receipts.finish(replace(claimed, status="sent"))
    assert row(key)["status"] == "sent"
    assert "receipt_without_turn" in capsys.readouterr().out


def test_dead_deliveries_are_revived_in_their_turn(
    delivery: Delivery, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(store), "atomic_updates", False)
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    store.put_container(LEASES)
    del delivery
    rows = {"id": ["a", "b", "c"], "status": ["dead", "dead", "sent"], "attempts": [30, 30, 1]}
    store.put(DELIVERIES.name, pa.table(rows))
    with turn(store, "b", now_ms=5), pytest.raises(StoreBusyError, match="Another process is at the delivery 'b'"):
        revive(store, now_ms=5)
    assert revive(store, now_ms=5) == 1
    found = store.sql("SELECT id, status, attempts FROM deliveries ORDER BY id").to_pydict()
    assert found == {"id": ["a", "b", "c"], "status": ["pending", "pending", "sent"], "attempts": [0, 0, 1]}


def test_the_containers_must_be_there(delivery: Delivery, store: Store, put_anomaly: Any) -> None:
    with pytest.raises(ContainerNotFoundError, match="ANOMALY_NONE"):
        delivery.deliver("ANOMALY_NONE", "0" * 32)
    key = put_anomaly()
    store.drop_container("deliveries")
    with pytest.raises(ContainerNotFoundError, match="deliveries"):
        delivery.deliver("ANOMALY_AAPL", key)


def test_thirty_tries_take_about_a_day() -> None:
    assert 0.8 < sum(pause_ms(tries) for tries in range(1, 30)) / 86_400_000 < 1.2
