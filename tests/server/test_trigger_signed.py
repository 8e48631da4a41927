"""Signed triggers: the relay signs, the handler checks; no replay, no other body, no late one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gridwatch.alerts.relay import drain
from gridwatch.alerts.signing import signed_headers
from gridwatch.containers import Store
from gridwatch.server.trigger_auth import BODY_MAX

NOW_MS = 1_760_000_000_000
AWAY = {"REMOTE_ADDR": "192.0.2.7"}


@pytest.fixture
def client(make_app: Any, make_settings: Any) -> Any:
    return make_app(make_settings(alerts={"hmac_secret": "s3cret"})).test_client()


def body(key: str) -> bytes:
    return json.dumps({"container": "ANOMALY_AAPL", "event": "delete", "row": {"id": key}}).encode()


def test_a_signed_trigger_is_taken_from_anywhere_and_once(client: Any, key: str) -> None:
    headers = signed_headers("s3cret", "one", body(key), now_ms=NOW_MS)
    taken = client.post("/trigger", data=body(key), headers=headers, environ_base=AWAY)
    assert (taken.status_code, taken.json["status"]) == (200, "ignored")
    again = client.post("/trigger", data=body(key), headers=headers, environ_base=AWAY)
    assert (again.status_code, again.json["error"]) == (401, "This signed request was here before.")


@pytest.mark.parametrize(
    ("secret", "message_id", "at_ms", "message"),
    [
        ("other", "a", NOW_MS, "The signature is wrong."),
        ("s3cret", "", NOW_MS, "A signed request needs webhook-id, webhook-timestamp"),
        ("s3cret", "a", NOW_MS - 301_000, "The signed time is more than 300 s off; set the clocks"),
    ],
)
def test_a_wrong_signature_is_refused_even_here(
    client: Any, key: str, secret: str, message_id: str, at_ms: int, message: str
) -> None:
    headers = signed_headers(secret, message_id, body(key), now_ms=at_ms)
    refused = client.post("/trigger", data=body(key), headers=headers)
    assert refused.status_code == 401
    assert refused.json["error"].startswith(message)


def test_without_signature_or_token_nobody_triggers(client: Any, make_app: Any, make_settings: Any, key: str) -> None:
    refused = client.post("/trigger", data=body(key))
    assert (refused.status_code, refused.json["error"]) == (
        401,
        "Triggers are signed here, with the headers of Standard Webhooks.",
    )
    both = make_app(make_settings(alerts={"hmac_secret": "s3cret", "token": "right"})).test_client()
    assert both.post("/trigger", data=body(key), headers={"X-Gridwatch-Token": "right"}).status_code == 200
    assert both.post("/trigger", data=body(key)).status_code == 401
    # The pages of this machine stay open.
    assert client.get("/inbox.json").status_code == 200


def test_a_long_body_is_refused_before_it_is_checked(client: Any) -> None:
    long = b"x" * (BODY_MAX + 1)
    headers = signed_headers("s3cret", "one", long, now_ms=NOW_MS)
    assert client.post("/trigger", data=long, headers=headers, environ_base=AWAY).status_code == 413


def test_the_relay_signs(make_settings: Any, store: Store, key: str, serving: Any) -> None:
    signed = make_settings(alerts={"hmac_secret": "s3cret", "recipients": ["a@b.c"], "poll_s": 0.05})
    url = serving(signed)
    wrong = make_settings(alerts={"hmac_secret": "other"})
    report = drain(store, wrong, clock=lambda: NOW_MS, handler_url=f"{url}/trigger")
    assert "refuses the relay: The signature is wrong." in report.warnings[0]
    assert drain(store, signed, clock=lambda: NOW_MS, handler_url=f"{url}/trigger").sent == 1
