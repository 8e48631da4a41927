"""POST /trigger: GridDB's own bodies, broken ones, strangers', and many at once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest.mock import ANY

import pytest
import requests
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from gridwatch.alerts.batch import BATCH_MAX
from gridwatch.alerts.delivery import Outcome
from gridwatch.alerts.inbox import Inbox
from gridwatch.containers import Store
from gridwatch.containers.catalog import series_info
from gridwatch.errors import StoreBusyError
from gridwatch.server.state import TRIGGERS_MAX, state
from gridwatch.server.trigger import BODY_MAX, parse_trigger
from gridwatch.settings import Settings


def body(key: str, container: str = "ANOMALY_AAPL", event: str = "put") -> dict[str, Any]:
    return {"container": container, "event": event, "row": {"id": key, "ts": 1, "score": 1.5}}


@pytest.fixture
def inbox(settings: Settings) -> Inbox:
    return Inbox(settings.home / "inbox")


def test_a_trigger_makes_a_mail_and_a_second_none(
    serving: Callable[..., str], settings: Settings, key: str, inbox: Inbox
) -> None:
    url = f"{serving(settings)}/trigger"
    first = requests.post(url, json=body(key), timeout=120)
    (mail,) = inbox.mails()
    assert (first.status_code, first.json()) == (200, {"status": "sent", "key": f"{key}:email", "message_id": mail.id})
    second = requests.post(url, json=body(key, "anomaly_aapl"), timeout=120)
    assert (second.status_code, second.json()["status"]) == (200, "already_sent")
    assert mail.subject.startswith("[gridwatch] AAPL: critical anomaly")
    assert len(inbox.ids()) == 1


def test_the_rows_numbers_are_read_again_and_never_taken_from_the_body(
    serving: Callable[..., str], settings: Settings, key: str, inbox: Inbox
) -> None:
    wrong = {"container": "ANOMALY_AAPL", "event": "put", "row": {"id": key, "actual": 1e9, "severity": "evil"}}
    assert requests.post(f"{serving(settings)}/trigger", json=wrong, timeout=120).ok
    (mail,) = inbox.mails()
    assert "44.86" in mail.subject
    assert "evil" not in mail.text


def test_twenty_triggers_at_once_make_one_mail(
    serving: Callable[..., str], settings: Settings, key: str, inbox: Inbox
) -> None:
    url = f"{serving(settings)}/trigger"
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: requests.post(url, json=body(key), timeout=60), range(20)))
    assert [answer.json()["status"] for answer in answers].count("sent") == 1
    assert {answer.status_code for answer in answers} <= {200, 202}
    assert len(inbox.ids()) == 1


def test_more_triggers_than_the_server_takes_are_put_off(app: Any, key: str) -> None:
    taken = [state(app).triggers.acquire(blocking=False) for _ in range(TRIGGERS_MAX)]
    assert all(taken)
    answer = app.test_client().post("/trigger", json=body(key))
    assert (answer.status_code, answer.json["status"], answer.headers["Retry-After"]) == (503, "busy", "1")


def native(container: str, key: str) -> bytes:
    """A body as GridDB 4.6 sends it: a length byte before each string, its end cut off, nothing escaped."""

    def cut(text: str) -> str:
        return chr(len(text) * 2 + 1) + text[:-1]

    note = cut('say "hi"')
    row = f'{{ "id":"{cut(key)}","note":"{note}"\n}}'
    return f'{{ "container":"{container}", "event":"put", "row":{row} }}'.encode()


def until(condition: Callable[[], Any]) -> Any:
    ends = time.monotonic() + 120
    while not (found := condition()):
        assert time.monotonic() < ends, "nothing came"
        time.sleep(0.02)
    return found


def test_griddbs_own_body_is_answered_at_once_and_delivered_afterwards(
    serving: Callable[..., str], settings: Settings, key: str, inbox: Inbox
) -> None:
    url = f"{serving(settings)}/trigger"
    answer = requests.post(url, data=native("ANOMALY_AAPL", key), timeout=120)
    assert (answer.status_code, answer.json()) == (202, {"status": "accepted"})
    assert until(inbox.mails)[0].subject.startswith("[gridwatch] AAPL: critical anomaly")


def test_a_row_that_griddb_is_still_putting_is_waited_for(
    app: Any, store: Store, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GridDB 4.6 waits for the answer inside its put: whoever reads the row before that waits for GridDB."""
    row = store.get("ANOMALY_AAPL", [key])
    store.delete("ANOMALY_AAPL", [key])
    asked: list[tuple[str, str]] = []

    def deliver(_: Any, container: str, found: str) -> Outcome:
        asked.append((container, found))
        return Outcome("sent", found)

    monkeypatch.setattr(type(state(app).delivery), "deliver", deliver)
    assert app.test_client().post("/trigger", data=native("ANOMALY_AAPL", key)).status_code == 202
    store.put("ANOMALY_AAPL", row)
    until(lambda: asked)
    assert asked == [("ANOMALY_AAPL", key)]
    # Its place among the triggers at work is given back.
    until(lambda: state(app).triggers._value == TRIGGERS_MAX)


def test_a_row_that_never_appears_is_left_to_the_relay(
    app: Any, key: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gridwatch.server.trigger._LATER_S", (0.01, 0.01))
    for container in ("ANOMALY_AAPL", "ANOMALY_NONE"):
        assert app.test_client().post("/trigger", data=native(container, "f" * 32)).status_code == 202
    until(lambda: state(app).triggers._value == TRIGGERS_MAX)
    said = capsys.readouterr().out
    assert said.count("trigger_row_not_found") == 2
    assert "the relay delivers what there is" in said


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        (b'{"container":"C","event":"put","row":{"id":"k"}}', ("C", "put", "k")),
        (b'{ "container":"C", "event":"delete" }', ("C", "delete", None)),
        (b'{"container":"C","event":"put","row":{"a":"x"y","id":"k"}}', ("C", "put", "k")),
        (b'{"container":"C","event":"put","row":{"id":"k","a":"two\nlines"}}', ("C", "put", "k")),
        (b'{"container":"C","event":"put","row":{"a":"\xff\xfe","id":"k"}}', ("C", "put", "k")),
        # Text of a row cannot pose as the head of the body.
        (b'{"container":"C","event":"put","row":{"a":""x","container":"D","id":"k"}}', ("C", "put", "k")),
        (b'{"container":7,"row":[1]}', (None, None, None)),
        (b'["container"]', (None, None, None)),
        (b"", (None, None, None)),
        (b"[" * 50_000, (None, None, None)),
    ],
)
def test_bodies_are_read_leniently(text: bytes, parsed: tuple[str | None, ...]) -> None:
    assert parse_trigger(text) == parsed


@pytest.mark.parametrize(
    ("sent", "code", "message"),
    [
        ({}, 400, "The body names no container"),
        ({"container": "INTRADAY_AAPL", "row": {"id": "k"}}, 403, r"Only ANOMALY_\* containers"),
        ({"container": "ANOMALY_NONE", "row": {"id": "k"}}, 404, "no container 'ANOMALY_NONE'"),
        ({"container": 'ANOMALY_"; DROP', "row": {"id": "k"}}, 404, "There is no container"),
        ({"container": "ANOMALY_TRAP", "row": {"id": "k"}}, 403, "'ANOMALY_TRAP' does not hold anomalies"),
        ({"container": "ANOMALY_AAPL", "row": {"id": "0" * 32}}, 404, "has no row"),
        ({"container": "ANOMALY_AAPL", "row": {"id": "it's"}}, 404, "has no row"),
        ({"container": "ANOMALY_AAPL", "row": {}}, 404, "has no row"),
        ({"container": "ANOMALY_AAPL", "event": "delete"}, 200, "Nothing is sent for a 'delete'"),
    ],
)
def test_what_is_no_anomaly_is_told(
    app: Any, store: Store, key: str, sent: dict[str, Any], code: int, message: str
) -> None:
    store.put_container(series_info("ANOMALY_TRAP"))
    answer = app.test_client().post("/trigger", json=sent)
    assert answer.status_code == code
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(answer.json["error"])


def several(*keys: str, container: str = "ANOMALY_AAPL") -> dict[str, Any]:
    more = [{"container": container, "id": key} for key in keys[1:]]
    return body(keys[0]) | {"channel": "email", "more": more}


def test_several_rows_in_one_trigger_are_answered_each(app: Any, key: str, inbox: Inbox, serving: Any) -> None:
    url = f"{serving(state(app).settings)}/trigger"
    answer = requests.post(url, json=several(key, "0" * 32), timeout=120)
    said = answer.json()
    assert (answer.status_code, said["status"], said["key"]) == (200, "sent", f"{key}:email")
    assert said["more"] == [{"code": 404, "status": "not_found", "key": f"{'0' * 32}:email", "error": ANY}]
    turned = several("0" * 32, key, container="anomaly_aapl") | {"container": "ANOMALY_NONE"}
    answer = requests.post(url, json=turned, timeout=120)
    assert (answer.status_code, answer.json()["error"]) == (404, "No anomaly container has this row.")
    assert [(one["code"], one["status"]) for one in answer.json()["more"]] == [(200, "already_sent")]
    # Somebody else's row, with a key of their own, keeps no other one back.
    foreign = requests.post(url, json=several(key, "my-own-key", key), timeout=120)
    assert [(one["code"], one["status"]) for one in foreign.json()["more"]] == [
        (404, "not_found"),
        (200, "already_sent"),
    ]
    assert len(inbox.ids()) == 1


def test_a_row_that_fails_beside_others_is_told_in_its_place(
    app: Any, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = Outcome("sent", f"{key}:email", "id-1")
    monkeypatch.setattr(
        "gridwatch.alerts.delivery.Delivery.deliver_all", lambda *_: [StoreBusyError("locked"), sent, sent]
    )
    answer = app.test_client().post("/trigger", json=several(key, "1" * 32, "2" * 32))
    assert (answer.status_code, answer.json["error"], answer.headers["Retry-After"]) == (503, "locked", "5")
    assert [one["status"] for one in answer.json["more"]] == ["sent", "sent"]


@pytest.mark.parametrize(
    "change",
    [
        {"more": "x"},
        {"more": [1]},
        {"more": [{"container": "ANOMALY_AAPL", "id": 1}]},
        {"more": [{"container": "INTRADAY_AAPL", "id": "0" * 32}]},
        {"more": [{"container": "ANOMALY_AAPL", "id": "0" * 32}] * BATCH_MAX},
        {"channel": "webhook"},
    ],
)
def test_further_rows_that_are_none_are_refused(app: Any, key: str, change: dict[str, Any]) -> None:
    answer = app.test_client().post("/trigger", json=several(key, "0" * 32) | change)
    assert (answer.status_code, answer.json["status"]) == (400, "refused")
    assert answer.json["error"].startswith(f"`more` is for up to {BATCH_MAX - 1} further rows of the channel 'email'")


@pytest.mark.parametrize("size", [BODY_MAX + 1, 10 * BODY_MAX])
def test_a_body_that_is_too_large_is_refused(app: Any, size: int) -> None:
    answer = app.test_client().post("/trigger", data=b" " * size)
    assert answer.status_code == 413
    assert answer.json["error"] == f"The body is longer than {BODY_MAX} bytes."


def test_a_large_body_without_a_length_is_refused_too(serving: Callable[..., str], settings: Settings) -> None:
    answer = requests.post(f"{serving(settings)}/trigger", data=iter([b" " * BODY_MAX, b" "]), timeout=120)
    assert answer.status_code == 413


def test_a_store_that_is_busy_asks_to_come_again(app: Any, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: Any) -> None:
        raise StoreBusyError("locked by another writer")

    monkeypatch.setattr(state(app).store, "container", busy)
    answer = app.test_client().post("/trigger", json=body(key))
    assert (answer.status_code, answer.json["error"]) == (503, "locked by another writer")
    assert answer.headers["Retry-After"] == "5"
    health = app.test_client().get("/healthz")
    assert (health.status_code, health.json["status"]) == (503, "store_unreachable")


def test_a_defect_is_a_500_that_shows_nothing_inside(
    app: Any, key: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("secret inside")

    monkeypatch.setattr(state(app).store, "container", broken)
    answer = app.test_client().post("/trigger", json=body(key))
    assert answer.status_code == 500
    assert answer.json == {"status": "failed", "error": "gridwatch failed here; its log says why."}
    assert "secret inside" in capsys.readouterr().out


def test_pending_and_dead_answers(make_app: Any, make_settings: Any, key: str) -> None:
    waiting = make_app(make_settings(alerts={})).test_client().post("/trigger", json=body(key))
    assert (waiting.status_code, waiting.json["status"], waiting.headers["Retry-After"]) == (503, "pending", "10")
    assert "Nobody to tell about ANOMALY_AAPL" in waiting.json["error"]


def test_a_dead_mail_is_a_422(make_app: Any, make_settings: Any, key: str) -> None:
    app = make_app(make_settings(alerts={"attempts": 1}))
    answer = app.test_client().post("/trigger", json=body(key))
    assert (answer.status_code, answer.json["status"]) == (422, "dead")


@hypothesis_settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(
    data=st.binary(max_size=300)
    | st.builds(
        lambda head, text, tail: (head + text + tail).encode("utf-8", "surrogatepass"),
        st.sampled_from(
            ['{"container":"ANOMALY_AAPL"', '{"container":"ANOMALY_', '{"container":"ANOMALY_AAPL","row":{"id":"']
        ),
        st.text(st.characters(), max_size=60),
        st.sampled_from(["", '"}}', "}"]),
    )
    | st.dictionaries(
        st.sampled_from(["container", "event", "row"]),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=9) | st.just("ANOMALY_AAPL"),
            lambda inner: (
                st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["id", "x"]), inner, max_size=2)
            ),
            max_leaves=4,
        ),
    ).map(lambda found: json.dumps(found).encode())
)
@example(data=b'{"container":"ANOMALY_\\u0000","row":{"id":"\\ud800"}}')
@example(data=b"\xef\xbb\xbf{}")
def test_no_body_makes_the_handler_fail(app: Any, key: str, data: bytes) -> None:
    answer = app.test_client().post("/trigger", data=data, headers={"Content-Type": "application/json"})
    assert answer.status_code in {200, 400, 403, 404, 503}
    assert answer.json["status"]
