"""The generic webhook beside the mail: a delivery of its own, signed, tried again, given up; and signatures alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
from collections.abc import Callable
from typing import Any

import pytest

from gridwatch.alerts.address_book import AddressBook
from gridwatch.alerts.anomaly import find_anomaly
from gridwatch.alerts.delivery import Delivery
from gridwatch.alerts.outbox import Outbox
from gridwatch.alerts.receipts import Receipts, delivery_key
from gridwatch.alerts.sendgrid import Mailer
from gridwatch.alerts.signing import Verifier, signed_headers
from gridwatch.alerts.snoozes import snooze
from gridwatch.containers import Store
from gridwatch.containers.catalog import DELIVERIES

NOW_MS = 1_760_000_000_000
HOOK = {"recipients": ["ops@example.com"], "webhook_secret": "s3cret", "public_url": "https://watch.example"}


@pytest.fixture
def make(store: Store, clock: Any, mail_server: Any, make_settings: Any) -> Callable[..., Delivery]:
    store.put_container(DELIVERIES)

    def new(**alerts: Any) -> Delivery:
        hook = {"webhook_url": f"{mail_server.url}/hook/p4th?key=q"}
        settings = make_settings(alerts=HOOK | hook | alerts)
        mailer = Mailer("key", mail_server.url, timeout_s=60, attempts=1, clock=clock)
        return Delivery(store, settings, mailer=mailer, address_book=AddressBook(settings), clock=clock)

    return new


@pytest.fixture
def status(store: Store) -> Callable[[str, str], str | None]:
    def read(key: str, channel: str = "webhook") -> str | None:
        row = Receipts(store).read(delivery_key(key, channel))
        return row.status if row else None

    return read


def test_mail_and_webhook_are_two_deliveries(
    make: Any, put_anomaly: Any, mail_server: Any, store: Store, status: Any, write_dataset: Any, clock: Any
) -> None:
    write_dataset(recipients=["a@b.c"])
    key = put_anomaly()
    delivery = make()
    assert delivery.deliver("ANOMALY_AAPL", key).status == "sent"
    mail, message = mail_server.mails
    assert mail["custom_args"]["gridwatch_key"] == f"{key}:email"
    assert {name: message[name] for name in ("type", "key", "series", "dataset", "url", "possible_duplicate")} == {
        "type": "anomaly",
        "key": f"{key}:webhook",
        "series": "AAPL",
        "dataset": "aapl_daily",
        "url": f"https://watch.example/anomalies/ANOMALY_AAPL/{key}",
        "possible_duplicate": False,
    }
    assert (message["anomaly"]["actual"], message["anomaly"]["model_sha256"]) == (44.86, "ab" * 32)
    row = store.get(DELIVERIES.name, [f"{key}:webhook"]).to_pylist()[0]
    # The path and the query of a webhook are secrets more often than not.
    assert (row["status"], row["recipients"], row["channel"]) == ("sent", mail_server.url, "webhook")
    assert delivery.deliver("ANOMALY_AAPL", key).status == "already_sent"
    assert len(mail_server.mails) == 2


def test_the_relay_finds_each_of_the_two(
    make: Any, put_anomaly: Any, make_settings: Any, store: Store, clock: Any, status: Any
) -> None:
    key = put_anomaly()
    delivery = make()
    outbox = Outbox(store, make_settings())
    assert [row.channel for row in outbox.unfinished(now_ms=clock())] == ["email"]
    assert delivery.deliver("ANOMALY_AAPL", key, "email").status == "sent"
    assert [(row.channel, row.next_ms) for row in outbox.unfinished(now_ms=clock())] == [("webhook", 0)]
    assert delivery.deliver("ANOMALY_AAPL", key, "webhook").status == "sent"
    assert outbox.unfinished(now_ms=clock()) == []
    # A handler that died between making the two rows has lost neither.
    other = put_anomaly(1)
    anomaly = find_anomaly(store, "ANOMALY_AAPL", other)
    assert anomaly is not None
    Receipts(store).create(anomaly, now_ms=clock(), channel="webhook")
    assert {found.channel for found in outbox.unfinished(now_ms=clock())} == {"email", "webhook"}


@pytest.mark.parametrize(
    ("code", "expected"),
    [(500, "pending"), (429, "pending"), (0, "pending"), (302, "pending"), (410, "dead"), (400, "dead")],
)
def test_a_webhook_that_fails_keeps_no_mail_back(
    make: Any,
    put_anomaly: Any,
    mail_server: Any,
    reply: Any,
    status: Any,
    clock: Any,
    code: int,
    expected: str,
    store: Store,
) -> None:
    delivery, key = make(), put_anomaly()
    mail_server.script = [reply(), reply(code, {"Location": "/x", "Retry-After": "7"}, "no <way>")]
    assert delivery.deliver("ANOMALY_AAPL", key).status == "sent"
    assert (status(key, "email"), status(key)) == ("sent", expected)
    row = Receipts(store).read(f"{key}:webhook")
    assert row is not None
    assert row.error is not None
    assert row.error.startswith(
        f"The webhook at {mail_server.url} " + (f"answered {code}: no <way>" if code else "does not answer")
    )
    assert "p4th" not in row.error
    assert row.possible_duplicate == (code == 0)
    # While it is away, the next one is not even tried, and its mail goes out.
    other = put_anomaly(1)
    assert delivery.deliver("ANOMALY_AAPL", other).status == "sent"
    assert status(other) == ("sent" if expected == "dead" else "pending")
    if expected == "pending":
        clock.now_ms += 10_000
        assert [delivery.deliver("ANOMALY_AAPL", one, "webhook").status for one in (key, other)] == ["sent", "sent"]


def test_a_webhook_that_nobody_listens_at_was_told_nothing(make: Any, put_anomaly: Any, store: Store) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        key = put_anomaly()
        make(webhook_url=f"http://127.0.0.1:{taken.getsockname()[1]}/hook").deliver("ANOMALY_AAPL", key)
    row = Receipts(store).read(f"{key}:webhook")
    assert row is not None
    assert (row.status, row.possible_duplicate) == ("pending", False)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Cannot POST /hook/p4th", "Cannot POST ***"),
        ("no route for /hook/p4th?key=q here", "no route for *** here"),
        ("unknown token abcdefgh+1", "unknown token ***"),
        ("<a href='/in/abcdefgh%2B1?a=1&amp;key=s3cr3tkey'>", "<a href='***'>"),
        ("bad key s3cr3tkey", "bad key ***"),
        ("hooks are off", "hooks are off"),
    ],
)
def test_an_answer_that_says_the_address_back_is_told_without_it(
    make: Any, put_anomaly: Any, mail_server: Any, reply: Any, store: Store, said: str, told: str
) -> None:
    path = "/hook/p4th?key=q" if "hook" in said else "/in/abcdefgh%2B1?a=1&key=s3cr3tkey"
    delivery, key = make(webhook_url=mail_server.url + path), put_anomaly()
    mail_server.script = [reply(404, {}, said)]
    delivery.deliver("ANOMALY_AAPL", key, "webhook")
    row = Receipts(store).read(f"{key}:webhook")
    assert row is not None
    assert row.error == f"The webhook at {mail_server.url} answered 404: {told}"


def test_what_a_webhook_wants_and_a_snooze_leaves_it_alone(
    make: Any, put_anomaly: Any, status: Any, store: Store, clock: Any, mail_server: Any
) -> None:
    delivery = make(webhook_severity="high")
    low, high = put_anomaly(0, severity="low"), put_anomaly(1, severity="high")
    snooze(store, "AAPL", until_ms=clock.now_ms + 1_000, now_ms=clock(), author="ann")
    for key in (low, high):
        assert delivery.deliver("ANOMALY_AAPL", key).held == "snoozed"
    assert (status(low), status(high)) == (None, "sent")
    # A webhook that was taken away is owed nothing.
    third = put_anomaly(2)
    delivery.deliver("ANOMALY_AAPL", third, "email")
    assert make(webhook_url=None).deliver("ANOMALY_AAPL", third, "webhook").status == "skipped"
    assert status(third) == "skipped"


def test_the_example_of_standard_webhooks_is_signed_alike() -> None:
    """The example of the specification's libraries."""
    headers = signed_headers(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        b'{"test": 2432232314}',
        now_ms=1_614_265_330_999,
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@pytest.mark.parametrize("secret", ["a text", "whsec_no base64!", "whsec_" + base64.b64encode(b"key").decode()])
def test_a_signed_request_is_taken_once_and_within_its_time(secret: str) -> None:
    verifier = Verifier(secret, window_s=300)
    headers = signed_headers(secret, "one", b"body", now_ms=NOW_MS)
    assert verifier.problem(headers, b"body", now_ms=NOW_MS + 299_000) is None
    assert verifier.problem(headers, b"body", now_ms=NOW_MS) == "This signed request was here before."
    two = signed_headers(secret, "two", b"body", now_ms=NOW_MS)
    wrong = "The signature is wrong."
    assert verifier.problem(two, b"Body", now_ms=NOW_MS) == wrong
    assert verifier.problem(two | {"webhook-id": "three"}, b"body", now_ms=NOW_MS) == wrong
    assert verifier.problem(two | {"webhook-timestamp": str(NOW_MS // 1000 + 1)}, b"body", now_ms=NOW_MS) == wrong
    assert verifier.problem(two | {"webhook-signature": "v1,"}, b"body", now_ms=NOW_MS) == wrong
    assert verifier.problem(two | {"webhook-signature": "v1,\udce9"}, b"body", now_ms=NOW_MS) == wrong
    for late_ms in (-301_000, 301_000):
        assert "more than 300 s off" in str(verifier.problem(two, b"body", now_ms=NOW_MS + late_ms))
    for broken in (
        {},
        two | {"webhook-timestamp": "soon"},
        two | {"webhook-timestamp": "²"},
        two | {"webhook-id": "x" * 201},
    ):
        assert str(verifier.problem(broken, b"body", now_ms=NOW_MS)).startswith("A signed request needs webhook-id")
    # None of these has used it up; and a second signature, as while a secret is changed, does no harm.
    both = two | {"webhook-signature": f"v1,bm8= {two['webhook-signature']}"}
    assert verifier.problem(both, b"body", now_ms=NOW_MS) is None


def test_what_was_seen_is_forgotten_when_its_time_has_made_it_useless() -> None:
    verifier = Verifier("s", window_s=10)
    for at in range(200):
        now_ms = NOW_MS + at * 1_000
        assert verifier.problem(signed_headers("s", str(at), b"", now_ms=now_ms), b"", now_ms=now_ms) is None
    assert len(verifier._seen) <= 21


def test_a_webhook_verifies_what_it_gets(make: Any, put_anomaly: Any, mail_server: Any, monkeypatch: Any) -> None:
    """As a receiver in another language would: from the three headers and the bytes of the body alone."""
    import requests

    sent: list[Any] = []
    real = requests.Session.post

    def post(self: Any, url: str, **words: Any) -> Any:
        sent.append(words)
        return real(self, url, **words)

    monkeypatch.setattr(requests.Session, "post", post)
    make().deliver("ANOMALY_AAPL", put_anomaly(), "webhook")
    headers, body = sent[0]["headers"], sent[0]["data"]
    text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = base64.b64encode(hmac.new(b"s3cret", text, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{wanted}"
    assert headers["Idempotency-Key"] == headers["webhook-id"]
