"""The mail client against a server that fails in every way that SendGrid, or the way to it, can."""

from __future__ import annotations

import logging
import socket
import threading
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from gridwatch.alerts.sendgrid import WAIT_MAX_S, Mailer
from gridwatch.errors import ConfigError, DeliveryError
from gridwatch.settings import Settings

MAIL = {"subject": "hello"}
KEY = "SG.very-secret"


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def mailer(mail_server: Any, clock: Any, pauses: list[float]) -> Mailer:
    return Mailer(KEY, mail_server.url, timeout_s=60, attempts=3, clock=clock, sleep=pauses.append)


def test_a_mail_is_handed_over_with_the_key(mailer: Mailer, mail_server: Any) -> None:
    assert mailer.send(MAIL) == "scripted"
    assert mail_server.mails == [MAIL]
    assert mail_server.keys == [f"Bearer {KEY}"]


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_what_may_pass_is_tried_again(
    mailer: Mailer, mail_server: Any, reply: Any, pauses: list[float], status: int
) -> None:
    mail_server.script = [reply(status, {}), reply(status, {})]
    assert mailer.send(MAIL) == "scripted"
    assert pauses == [0.5, 1.0]


@pytest.mark.parametrize("status", [0, 502, 504])
def test_what_may_have_been_taken_is_not_sent_again_as_if_it_were_the_first(
    mailer: Mailer, mail_server: Any, reply: Any, status: int
) -> None:
    mail_server.script = [reply(status, {})]
    with pytest.raises(DeliveryError) as caught:
        mailer.send(MAIL)
    assert (caught.value.maybe_taken, caught.value.permanent) == (True, False)
    assert len(mail_server.mails) == 1


def test_mails_share_a_connection_until_the_server_ends_it(mailer: Mailer, mail_server: Any, reply: Any) -> None:
    mail_server.script = [reply(), reply(), reply(headers={"X-Message-Id": "last", "Connection": "close"}), reply()]
    assert [mailer.send(MAIL) for _ in range(5)] == ["scripted", "scripted", "last", "scripted", "scripted"]
    ports = mail_server.callers
    assert len(set(ports[:3])) == len(set(ports[3:])) == 1
    assert len(set(ports)) == 2
    assert mail_server.mails == [MAIL] * 5


def test_mails_go_through_the_proxy_that_the_environment_names(
    mail_server: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", mail_server.url)
    mailer = Mailer(KEY, "http://mail.example", timeout_s=60, attempts=1, clock=clock)
    assert mailer.send(MAIL) == "scripted"
    assert mail_server.mails == [MAIL]


def test_tries_are_bounded(mailer: Mailer, mail_server: Any, reply: Any) -> None:
    mail_server.script = [reply(503, {}, "busy here")] * 9
    with pytest.raises(DeliveryError, match=r"answered 503: busy here") as caught:
        mailer.send(MAIL)
    assert len(mail_server.mails) == 3
    assert not caught.value.permanent


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, r"answered 400: The subject is required. \(subject\)$"),
        (401, r"answered 401: .*Check GRIDWATCH_SENDGRID__API_KEY\.$"),
        (403, r"answered 403: .*Check the key's rights and the sender\.$"),
        (404, "answered 404"),
        (413, "answered 413"),
    ],
)
def test_a_refusal_is_final_and_says_why_without_the_key(
    mailer: Mailer, mail_server: Any, reply: Any, pauses: list[float], status: int, message: str
) -> None:
    body = '{"errors": [{"message": "The subject is required.", "field": "subject", "help": null}]}'
    mail_server.script = [reply(status, {}, body)]
    with pytest.raises(DeliveryError, match=message) as caught:
        mailer.send(MAIL)
    assert caught.value.permanent
    assert caught.value.status == status
    assert pauses == []
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"Retry-After": "3"}, 3.0),
        ({"X-RateLimit-Reset": "1760000005"}, 5.0),
        ({"Retry-After": "Thu, 09 Oct 2025 08:53:24 GMT"}, 4.0),
        ({"X-RateLimit-Reset": "1"}, 0.0),
        ({"Retry-After": "soon"}, 0.5),
        ({"X-RateLimit-Reset": "soon"}, 0.5),
        ({"Retry-After": "nan"}, 0.5),
    ],
)
def test_a_limit_is_waited_for_as_the_server_says(
    mailer: Mailer, mail_server: Any, reply: Any, pauses: list[float], headers: dict[str, str], pause: float
) -> None:
    mail_server.script = [reply(429, headers)]
    assert mailer.send(MAIL) == "scripted"
    assert pauses == [pause]


def test_a_long_limit_is_left_to_a_later_delivery(
    mailer: Mailer, mail_server: Any, reply: Any, pauses: list[float]
) -> None:
    mail_server.script = [reply(429, {"Retry-After": str(int(WAIT_MAX_S) + 600)})]
    with pytest.raises(DeliveryError, match="answered 429") as caught:
        mailer.send(MAIL)
    assert caught.value.retry_after_s == WAIT_MAX_S + 600
    assert pauses == []


def test_a_silent_server_is_given_up_after_the_timeout(mail_server: Any, clock: Any, reply: Any) -> None:
    gate = threading.Event()
    mail_server.script = [reply(gate=gate)]
    mailer = Mailer(KEY, mail_server.url, timeout_s=0.2, attempts=1, clock=clock)
    with pytest.raises(DeliveryError, match=r"does not answer: timed out") as caught:
        mailer.send(MAIL)
    gate.set()
    assert (caught.value.maybe_taken, caught.value.permanent) == (True, False)


def test_nobody_listening(clock: Any, pauses: list[float]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        mailer = Mailer(KEY, url, timeout_s=60, attempts=2, clock=clock, sleep=pauses.append)
        with pytest.raises(DeliveryError, match=r"does not answer: .*refused") as caught:
            mailer.send(MAIL)
    assert not caught.value.maybe_taken
    assert pauses == [0.5]


def test_another_answer_than_202_is_no_receipt(mailer: Mailer, mail_server: Any, reply: Any) -> None:
    mail_server.script = [reply(204, {})] * 3
    with pytest.raises(DeliveryError, match="answered 204 where 202 is due") as caught:
        mailer.send(MAIL)
    # Something has taken it, whatever it is.
    assert caught.value.maybe_taken
    assert len(mail_server.mails) == 1


def test_a_key_that_no_header_can_hold_is_not_told(mail_server: Any, clock: Any) -> None:
    mailer = Mailer("SG.s3cr3t\n", mail_server.url, timeout_s=60, attempts=1, clock=clock)
    with pytest.raises(DeliveryError, match="check GRIDWATCH_SENDGRID__API_KEY") as caught:
        mailer.send(MAIL)
    assert "s3cr3t" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("status", [301, 302, 303, 307])
def test_a_redirection_is_no_receipt_and_takes_the_key_nowhere(
    mailer: Mailer, mail_server: Any, reply: Any, status: int
) -> None:
    mail_server.script = [reply(status, {"Location": f"{mail_server.url}/other"})] * 3
    with pytest.raises(DeliveryError, match=f"answered {status}") as caught:
        mailer.send(MAIL)
    assert not caught.value.permanent


def test_a_page_with_200_is_no_receipt(mailer: Mailer, mail_server: Any, reply: Any) -> None:
    mail_server.script = [reply(200, {}, "<html>Please log in</html>")] * 3
    with pytest.raises(DeliveryError, match="answered 200 where 202 is due"):
        mailer.send(MAIL)


def test_an_inbox_on_loopback_is_reached_past_a_proxy(
    mailer: Mailer, monkeypatch: pytest.MonkeyPatch, mail_server: Any
) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert mailer.send(MAIL) == "scripted"


def test_the_key_is_not_logged(mailer: Mailer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        mailer.send(MAIL)
    assert KEY not in caplog.text


def test_a_wrong_address_is_told(clock: Any) -> None:
    with pytest.raises(ConfigError, match=r"'sendgrid.com' is no http\(s\) URL; set GRIDWATCH_SENDGRID__BASE_URL"):
        Mailer(KEY, "sendgrid.com", timeout_s=1, attempts=1, clock=clock)


def test_settings_choose_the_server(make_settings: Callable[..., Settings], clock: Any) -> None:
    def url(**sendgrid: Any) -> str:
        inbox = "http://127.0.0.1:1"
        return Mailer.from_settings(make_settings(sendgrid=sendgrid), inbox_url=inbox, clock=clock).url

    assert url() == "http://127.0.0.1:1"
    assert url(api_key="SG.x") == "https://api.sendgrid.com"
    assert url(api_key="SG.x", base_url="https://api.eu.sendgrid.com/") == "https://api.eu.sendgrid.com"
    assert url(base_url="http://mail.example:80") == "http://mail.example:80"
