"""The relay with the real handler and inbox behind real HTTP; and what it does when they are not there."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from gridwatch.alerts.address import handler_url, remember_address
from gridwatch.alerts.anomaly import SEVERITIES
from gridwatch.alerts.handler import Handler
from gridwatch.alerts.inbox import Inbox
from gridwatch.alerts.outbox import FULL_EVERY_MS, LONG_EVERY_MS, LOOK_BACK_MS, SHORT_BACK_MS, Due, Outbox
from gridwatch.alerts.posts import ROWS_MAX, Posts
from gridwatch.alerts.relay import FEW, Relay, drain
from gridwatch.containers import Store, open_store
from gridwatch.containers.catalog import DELIVERIES, LEASES
from gridwatch.containers.lease import Lease
from gridwatch.errors import StoreBusyError
from gridwatch.server.run import serve
from gridwatch.settings import Settings


@pytest.fixture
def serving(store: Store, clock: Any) -> Iterator[Callable[[Settings], str]]:
    """Serve in a thread until the test is over; calling it returns the base URL."""
    stop, threads = threading.Event(), []

    def start(settings: Settings) -> str:
        urls: list[str] = []
        ready = threading.Event()

        def on_ready(url: str) -> None:
            urls.append(url)
            ready.set()

        threads.append(
            threading.Thread(
                target=serve, args=(settings, store), kwargs={"clock": clock, "on_ready": on_ready, "stop": stop}
            )
        )
        threads[-1].start()
        assert ready.wait(120)
        return urls[0]

    yield start
    stop.set()
    for thread in threads:
        thread.join(120)


@pytest.fixture
def inbox(settings: Settings) -> Inbox:
    return Inbox(settings.home / "inbox")


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, kept from others for as long."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def until(true: Callable[[], bool]) -> None:
    """Wait for something that another thread brings about."""
    ends = time.monotonic() + 120
    while not true():
        assert time.monotonic() < ends, "it did not come about"
        time.sleep(0.01)


def test_every_anomaly_becomes_one_mail_worst_first(
    serving: Any, settings: Settings, store: Store, clock: Any, put_anomaly: Any, scores: Any, inbox: Inbox
) -> None:
    url = serving(settings)
    keys = [
        put_anomaly(3, severity="medium"),
        put_anomaly(2, severity="critical"),
        put_anomaly(1, severity="critical", symbol="IBM"),
        put_anomaly(0, severity=None),
    ]
    report = drain(store, settings, clock=clock)
    assert json.loads(json.dumps(asdict(report))) == {
        "sent": 4,
        "pending": 0,
        "dead": 0,
        "handler_url": f"{url}/trigger",
        "warnings": [],
        "held": 0,
        "skipped": 0,
    }
    mails = sorted(inbox.mails(), key=lambda mail: mail.arguments["anomaly_id"])
    assert [mail.arguments["anomaly_id"] for mail in mails] == sorted(keys)
    order = store.sql("SELECT anomaly_id, message_id FROM deliveries").to_pylist()
    assert {row["message_id"] for row in order} == set(inbox.ids())
    assert drain(store, settings, clock=clock).sent == 0
    assert len(inbox.ids()) == 4


def test_the_worst_goes_first(settings: Settings, store: Store, put_anomaly: Any, clock: Any) -> None:
    store.put_container(DELIVERIES)
    keys = [
        put_anomaly(1, severity="critical", symbol="IBM"),
        put_anomaly(5, severity="high"),
        put_anomaly(4, severity="medium"),
        put_anomaly(3, severity="low"),
        put_anomaly(0, severity=None),
    ]
    assert [row.id for row in Outbox(store, settings).unfinished(now_ms=clock())] == keys


def test_a_handler_that_is_away_leaves_rows_pending_and_says_so(
    make_settings: Any, store: Store, clock: Any, put_anomaly: Any, closed_port: int, serving: Any, settings: Settings
) -> None:
    away = make_settings(server={"port": closed_port}, alerts={"recipients": ["a@b.c"]})
    put_anomaly()
    put_anomaly(1)
    report = drain(store, away, clock=clock)
    assert (report.sent, report.pending, report.dead) == (0, 2, 0)
    assert report.warnings == (
        f"The trigger handler at http://127.0.0.1:{closed_port}/trigger does not answer (connection refused); start it "
        "with `gridwatch serve` or `gridwatch up`. 2 anomalies wait for a mail and will get it once the handler is "
        "back.",
    )
    serving(settings)
    assert drain(store, settings, clock=clock).sent == 2


def test_a_stranger_at_the_address_is_told_from_the_handler(
    make_settings: Any, store: Store, clock: Any, put_anomaly: Any, mail_server: Any
) -> None:
    put_anomaly()
    report = drain(store, make_settings(), clock=clock, handler_url=f"{mail_server.url}/trigger")
    assert report.pending == 1
    assert "is no gridwatch trigger handler; check GRIDWATCH_ALERTS__HANDLER_URL" in report.warnings[0]


def test_a_wrong_token_is_told(serving: Any, make_settings: Any, store: Store, clock: Any, put_anomaly: Any) -> None:
    put_anomaly()
    url = serving(make_settings(alerts={"token": "right", "recipients": ["a@b.c"]}))
    wrong = make_settings(alerts={"token": "wrong"})
    report = drain(store, wrong, clock=clock, handler_url=f"{url}/trigger")
    assert report.pending == 1
    assert "refuses the relay: The token is wrong." in report.warnings[0]
    right = make_settings(alerts={"token": "right"})
    assert drain(store, right, clock=clock).sent == 1


def test_a_relay_that_has_to_wait_after_wrong_tokens_says_so(
    serving: Any, make_settings: Any, store: Store, clock: Any, put_anomaly: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_anomaly()
    # As if it were on another machine.
    monkeypatch.setattr("gridwatch.server.auth.is_local", lambda: False)
    url = serving(make_settings(alerts={"token": "right", "recipients": ["a@b.c"]}))
    wrong = make_settings(alerts={"token": "wrong"})
    reports = [drain(store, wrong, clock=clock, handler_url=f"{url}/trigger") for _ in range(6)]
    assert [report.pending for report in reports] == [1] * 6
    assert "refuses the relay: The token is wrong." in reports[0].warnings[0]
    assert "refuses the relay: Too many wrong tokens; wait" in reports[-1].warnings[0]


def test_a_mail_that_may_pass_is_pending_with_its_reason_and_sent_later(
    serving: Any, make_settings: Any, store: Store, clock: Any, put_anomaly: Any, mail_server: Any, reply: Any
) -> None:
    settings = make_settings(sendgrid={"base_url": mail_server.url, "attempts": 1})
    serving(settings)
    mail_server.script = [reply(503, {"Retry-After": "600"}, "down")]
    put_anomaly()
    # It waits no longer than what is due within its time, and this is not.
    report = drain(store, settings, clock=clock, timeout_s=120)
    assert (report.sent, report.pending) == (0, 1)
    assert "answered 503: down" in report.warnings[0]
    clock.now_ms += 600_000
    assert drain(store, settings, clock=clock).sent == 1


def test_a_refused_mail_is_dead_and_told(
    serving: Any, make_settings: Any, store: Store, clock: Any, put_anomaly: Any, mail_server: Any, reply: Any
) -> None:
    settings = make_settings(sendgrid={"base_url": mail_server.url})
    serving(settings)
    mail_server.script = [reply(403, {}, "no rights")]
    put_anomaly()
    report = drain(store, settings, clock=clock)
    assert (report.sent, report.pending, report.dead) == (0, 0, 1)
    assert "answered 403: no rights" in report.warnings[0]
    assert drain(store, settings, clock=clock).dead == 0


def test_the_relay_waits_for_a_handler_and_sends_what_comes_meanwhile(
    serving: Any, settings: Settings, store: Store, clock: Any, put_anomaly: Any, inbox: Inbox
) -> None:
    put_anomaly()
    stop = threading.Event()
    relay = threading.Thread(target=Relay(store, settings, clock=clock).run, args=(stop,))
    relay.start()
    try:
        serving(settings)
        until(lambda: len(inbox.ids()) == 1)
        put_anomaly(1, detected_ms=clock.now_ms + 60_000)
        until(lambda: len(inbox.ids()) == 2)
    finally:
        stop.set()
        relay.join(120)
    assert store.get(LEASES.name, ["relay"]).to_pylist()[0]["until_ms"] == 0


def test_relay_and_drain_side_by_side_send_each_once(
    serving: Any, settings: Settings, store: Store, clock: Any, put_anomaly: Any, inbox: Inbox
) -> None:
    serving(settings)
    stop = threading.Event()
    relays = [threading.Thread(target=Relay(store, settings, clock=clock).run, args=(stop,)) for _ in range(2)]
    for relay in relays:
        relay.start()
    keys = [put_anomaly(day) for day in range(6)]
    try:
        with open_store(settings.store) as own:
            report = drain(own, settings, clock=clock, timeout_s=60)
    finally:
        stop.set()
        for relay in relays:
            relay.join(120)
    assert report.pending == 0
    assert sorted(mail.arguments["anomaly_id"] for mail in inbox.mails()) == sorted(keys)


def test_a_store_that_fails_is_waited_for(
    serving: Any, settings: Settings, store: Store, clock: Any, put_anomaly: Any, inbox: Inbox
) -> None:
    class Failing:
        failures = 3

        def __getattr__(self, name: str) -> Any:
            if name == "sql" and self.failures:
                self.failures -= 1
                raise StoreBusyError("locked")
            return getattr(store, name)

    serving(settings)
    put_anomaly()
    stop = threading.Event()
    relay = threading.Thread(target=Relay(Failing(), settings, clock=clock).run, args=(stop,))
    relay.start()
    try:
        until(lambda: len(inbox.ids()) == 1)
    finally:
        stop.set()
        relay.join(120)


def test_an_unwritten_failure_is_put_off_and_others_go_on(
    settings: Settings, store: Store, clock: Any, put_anomaly: Any, monkeypatch: pytest.MonkeyPatch, serving: Any
) -> None:
    from gridwatch.alerts.delivery import Delivery

    serving(settings)
    bad, good = put_anomaly(0), put_anomaly(1)
    real = Delivery.deliver

    def deliver(self: Delivery, container: str, key: str, channel: str | None = None) -> Any:
        if key == bad:
            raise RuntimeError("a defect")
        return real(self, container, key, channel)

    monkeypatch.setattr(Delivery, "deliver", deliver)
    monkeypatch.setattr("gridwatch.alerts.relay.pause_ms", lambda _: 600_000)
    report = drain(store, settings, clock=clock, timeout_s=120)
    assert (report.sent, report.pending) == (1, 1)
    assert store.get(DELIVERIES.name, [f"{good}:email"]).num_rows == 1


def test_one_holder_at_a_time(store: Store, clock: Any) -> None:
    store.put_container(LEASES)
    first, second = (Lease(store, "relay", clock=clock, lasts_ms=9_000) for _ in range(2))
    assert first.hold()
    assert not second.hold()
    clock.now_ms += 6_000
    assert first.hold()
    clock.now_ms += 9_000
    assert not second.hold()
    clock.now_ms += 1
    assert second.hold()
    assert not first.hold()
    second.release()
    assert first.hold()
    second.release()
    assert not second.hold()


def test_a_lease_raced_for_has_one_winner(store: Store, clock: Any) -> None:
    store.put_container(LEASES)
    for round_number in range(5):
        leases = [Lease(store, f"job-{round_number}", clock=clock, lasts_ms=9_000) for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            taken = list(pool.map(Lease.hold, leases))
        assert sorted(taken) == [False] * 7 + [True]


def test_old_finished_rows_are_not_read_again(settings: Settings, store: Store, put_anomaly: Any, clock: Any) -> None:
    store.put_container(DELIVERIES)
    outbox = Outbox(store, settings)
    old = put_anomaly(0, detected_ms=clock.now_ms - LOOK_BACK_MS - 1)
    newest = put_anomaly(1)
    assert len(outbox.unfinished(now_ms=clock())) == 2
    # Written late and stamped long ago: outside the look-back, so the next full comparison finds it.
    late = put_anomaly(2, detected_ms=clock.now_ms - LOOK_BACK_MS - 1)
    unstamped = put_anomaly(3, detected_ms=None)
    within = put_anomaly(4, detected_ms=clock.now_ms - LOOK_BACK_MS)
    just_now = put_anomaly(5, detected_ms=clock.now_ms - SHORT_BACK_MS)
    assert {row.id for row in outbox.unfinished(now_ms=clock())} == {old, newest, just_now}
    later_ms = clock() + LONG_EVERY_MS
    assert {row.id for row in outbox.unfinished(now_ms=later_ms)} == {old, newest, just_now, within}
    found = {row.id for row in outbox.unfinished(now_ms=clock() + FULL_EVERY_MS)}
    assert {old, late, unstamped, newest, within, just_now} == found


def test_what_waits_for_later_is_left_out_where_only_what_is_due_is_asked_for(
    settings: Settings, store: Store, put_anomaly: Any, clock: Any
) -> None:
    store.put_container(DELIVERIES)
    outbox = Outbox(store, settings)
    keys = [put_anomaly(day) for day in range(4)]
    waits = zip(keys, ("pending", "pending", "sending", "pending"), (1, 0, 10**9, None), strict=True)
    for key, status, wait_ms in waits:
        next_ms = None if wait_ms is None else clock.now_ms + wait_ms
        values = [f"{key}:email", key, "ANOMALY_AAPL", "email", status, clock.now_ms, next_ms]
        store.execute(
            "INSERT INTO deliveries (id, anomaly_id, container, channel, status, last_ms, next_ms) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            values,
        )
    assert {row.id for row in outbox.unfinished(now_ms=clock())} == set(keys)
    assert {row.id for row in outbox.unfinished(now_ms=clock(), due_only=True)} == set(keys[1:])


def test_a_mail_service_that_is_away_is_told_once_and_its_rows_wait(
    serving: Any, make_settings: Any, store: Store, clock: Any, put_anomaly: Any, mail_server: Any, reply: Any
) -> None:
    settings = make_settings(
        sendgrid={"api_key": "key", "base_url": mail_server.url, "attempts": 1},
        alerts={"recipients": ["a@b.c"], "poll_s": 0.05, "mails_per_hour": 0},
    )
    serving(settings)
    mail_server.script = [reply(503, {"Retry-After": "600"}, "down")] * 40
    keys = [put_anomaly(day) for day in range(40)]
    report = drain(store, settings, clock=clock, timeout_s=120)
    assert (report.sent, report.pending, report.dead) == (0, len(keys), 0)
    assert [warning for warning in report.warnings if warning.endswith("What waits goes out when it is back.")] == [
        f"The mail API at {mail_server.url} answered 503: down What waits goes out when it is back."
    ]
    # Those that were under way together, and none of the others.
    assert len(mail_server.mails) <= ROWS_MAX
    mail_server.script.clear()
    clock.now_ms += 600_000
    assert drain(store, settings, clock=clock, timeout_s=120).sent == len(keys)


@pytest.mark.parametrize(("count", "posts"), [(FEW, FEW), (20, 3)])
def test_of_many_rows_each_post_takes_several_in_their_order(
    make_settings: Any, store: Store, put_anomaly: Any, mail_server: Any, reply: Any, clock: Any, count: int, posts: int
) -> None:
    store.put_container(DELIVERIES)
    keys = [put_anomaly(day, severity=SEVERITIES[day % 4]) for day in range(count)]
    worst_first = [row.id for row in Outbox(store, make_settings()).unfinished(now_ms=clock())]
    gate = threading.Event()
    mail_server.script = [reply(200, {}, json.dumps({"status": "pending", "more": [{"status": "x"}]}), gate)] * 50
    relay = Relay(store, make_settings(), clock=clock, handler_url=f"{mail_server.url}/trigger")
    stop = threading.Event()
    thread = threading.Thread(target=relay.run, args=(stop,))
    thread.start()
    until(lambda: len(mail_server.mails) >= posts)
    stop.set()
    gate.set()
    thread.join(120)
    # They arrive as they like; each holds neighbours.
    asked = [[body["row"]["id"], *(more["id"] for more in body.get("more", []))] for body in mail_server.mails]
    begun = sorted(asked[:posts], key=lambda ids: worst_first.index(ids[0]))
    assert [key for ids in begun for key in ids] == worst_first
    assert sorted(worst_first) == sorted(keys)
    assert {body["channel"] for body in mail_server.mails} == {"email"}


def test_who_was_told_to_wait_while_another_found_the_service_back_is_asked_again_at_once(
    make_settings: Any, store: Store, put_anomaly: Any, mail_server: Any, reply: Any, clock: Any
) -> None:
    store.put_container(DELIVERIES)
    keys = {put_anomaly(day) for day in range(2)}
    said, gates = '{"status": "sent"}', [threading.Event(), threading.Event()]
    away = reply(503, {"Retry-After": "5"}, '{"status": "away", "error": "503"}', gates[0])
    mail_server.script = [reply(200, {}, said), away, *[reply(200, {}, said, gates[1])] * 10]
    relay = Relay(store, make_settings(), clock=clock, handler_url=f"{mail_server.url}/trigger")
    stop = threading.Event()
    thread = threading.Thread(target=relay.run, args=(stop,))
    thread.start()
    # This handler writes nothing down: the row whose answer was taken in is POSTed again, and only then the other ends.
    try:
        until(lambda: len(mail_server.mails) == 3)
        gates[0].set()
        until(lambda: len(mail_server.mails) == 4)
    finally:
        stop.set()
        for gate in gates:
            gate.set()
        thread.join(120)
    asked = [body["row"]["id"] for body in mail_server.mails]
    assert set(asked[:2]) == set(asked[2:4]) == keys


def test_what_an_older_handler_does_not_answer_is_asked_again(
    make_settings: Any, store: Store, put_anomaly: Any, mail_server: Any, reply: Any, clock: Any
) -> None:
    rows = [Due("ANOMALY_AAPL", put_anomaly(day), day, "high", None, None, 0) for day in range(3)]
    mail_server.script = [reply(200, {}, '{"status": "sent"}')]
    posts = Posts()
    with Handler(mail_server.url, make_settings(), clock=clock) as handler:
        posts.start(handler, rows)
        assert all(row.key in posts for row in rows)
        posts.wait(60)
        until(lambda: len(answers := posts.finished()) == 1 and answers[0][0] == rows[0])
    assert len(posts) == 0
    posts.close()


def test_a_stamp_from_the_future_hides_nothing(settings: Settings, store: Store, put_anomaly: Any, clock: Any) -> None:
    store.put_container(DELIVERIES)
    outbox = Outbox(store, settings)
    put_anomaly(0, detected_ms=clock.now_ms + 10**10)
    outbox.unfinished(now_ms=clock())
    second = put_anomaly(1)
    assert second in {row.id for row in outbox.unfinished(now_ms=clock())}


def test_other_containers_are_left_alone(settings: Settings, store: Store, clock: Any) -> None:
    from gridwatch.containers.catalog import series_info

    store.put_container(DELIVERIES)
    store.put_container(series_info("ANOMALY_TRAP"))
    assert Outbox(store, settings).unfinished(now_ms=clock()) == []


def test_the_handler_is_found_where_it_serves(make_settings: Any, tmp_path: Path) -> None:
    settings = make_settings(server={"port": 8090})
    assert handler_url(settings) == "http://127.0.0.1:8090/trigger"
    remember_address(settings, "http://127.0.0.1:4711")
    assert handler_url(settings) == "http://127.0.0.1:4711/trigger"
    (tmp_path / "home" / "server.json").write_text("not json")
    assert handler_url(settings) == "http://127.0.0.1:8090/trigger"
    assert handler_url(make_settings(alerts={"handler_url": "http://h:1/x"})) == "http://h:1/x"
