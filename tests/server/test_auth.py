"""Who is let in: this machine, the token's holders, and no web page on their behalf."""

from __future__ import annotations

from typing import Any

import pytest

from gridwatch.server import create_app
from gridwatch.server.state import state

AWAY = {"REMOTE_ADDR": "192.0.2.7"}


@pytest.fixture
def open_client(app: Any) -> Any:
    return app.test_client()


@pytest.fixture
def client(make_app: Any, make_settings: Any) -> Any:
    """A client of an application with the token `right`."""
    return make_app(make_settings(alerts={"token": "right"})).test_client()


@pytest.mark.parametrize("path", ["/inbox", "/anomalies", "/inbox.json", "/trigger"])
def test_without_a_token_only_this_machine_is_served(open_client: Any, path: str) -> None:
    method = open_client.post if path == "/trigger" else open_client.get
    answer = method(path, environ_base=AWAY)
    assert answer.status_code == 403
    assert answer.json == {
        "status": "refused",
        "error": "Without GRIDWATCH_ALERTS__TOKEN only callers on this machine are served.",
    }
    assert method(path).status_code in {200, 400}


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_a_proxy_on_this_machine_does_not_make_strangers_local(open_client: Any, header: str) -> None:
    assert open_client.get("/inbox", headers={header: "192.0.2.7"}).status_code == 403


def test_health_is_for_everybody(client: Any) -> None:
    answer = client.get("/healthz", environ_base=AWAY)
    assert answer.status_code == 200
    # What runs here and where mail goes is for this machine only.
    assert answer.json == {"status": "ok"}
    assert client.get("/healthz", headers={"X-Forwarded-For": "127.0.0.1"}).json == {"status": "ok"}
    assert set(client.get("/healthz").json) == {"status", "mail", "pid", "versions"}


@pytest.mark.parametrize(
    "how",
    [
        {"headers": {"Authorization": "Bearer right"}},
        {"headers": {"X-Gridwatch-Token": "right"}},
        {"auth": ("anyone", "right")},
    ],
)
def test_the_token_opens_from_anywhere(client: Any, how: dict[str, Any]) -> None:
    assert client.post("/trigger", environ_base=AWAY, **how).status_code == 400
    assert client.post("/trigger", **how).status_code == 400


@pytest.mark.parametrize("path", ["/trigger/right", "/trigger?token=right"])
def test_the_token_in_the_address_is_for_this_machine_and_an_allow_list(
    make_app: Any, make_settings: Any, client: Any, path: str
) -> None:
    assert client.post(path).status_code == 400
    refused = client.post(path, environ_base=AWAY)
    assert (refused.status_code, refused.json["error"]) == (
        403,
        "The token in the address is taken from this machine and GRIDWATCH_ALERTS__TRIGGER_ADDRESSES, not from "
        "192.0.2.7; send it as `Authorization: Bearer ...`.",
    )
    # A proxy here is no caller here.
    assert client.post(path, headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 403
    listed = make_app(make_settings(alerts={"token": "right", "trigger_addresses": ["192.0.2.0/28"]})).test_client()
    assert listed.post(path, environ_base=AWAY).status_code == 400
    assert listed.post(path, environ_base={"REMOTE_ADDR": "::ffff:192.0.2.7"}).status_code == 400
    assert listed.post(path, environ_base={"REMOTE_ADDR": "192.0.2.16"}).status_code == 403
    assert listed.post(path.replace("right", "wrong"), environ_base=AWAY).status_code == 401


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({}, "A token is needed: `Authorization: Bearer ...` or `X-Gridwatch-Token`."),
        ({"headers": {"Authorization": "Bearer wrong"}}, "The token is wrong."),
        ({"headers": {"Authorization": "Bearer rightright"}}, "The token is wrong."),
        ({"headers": {"X-Gridwatch-Token": "r\xefght"}}, "The token is wrong."),
        ({"query_string": {"token": "wrong"}}, "The token is wrong."),
        ({"path": "/trigger/wrong"}, "The token is wrong."),
    ],
)
def test_a_trigger_without_the_token_is_refused_even_here(client: Any, how: dict[str, Any], message: str) -> None:
    answer = client.post(how.pop("path", "/trigger"), **how)
    assert answer.status_code == 401
    assert answer.json["error"] == message
    assert answer.headers["WWW-Authenticate"].startswith("Basic")


def test_pages_stay_open_to_this_machine(client: Any) -> None:
    assert client.get("/inbox").status_code == 200
    assert client.get("/inbox", environ_base=AWAY).status_code == 401
    assert client.get("/inbox", environ_base=AWAY, auth=("me", "right")).status_code == 200
    # An address is seen by logs and proxies.
    assert client.get("/inbox?token=right", environ_base=AWAY).status_code == 401


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("localhost:8090", 200), ("127.0.0.1:8090", 200), ("[::1]:8090", 200), ("192.0.2.7", 200),
        ("evil.example", 421), ("localhost.evil.example", 421), ("127.0.0.1.evil.example", 421),
    ],
)  # fmt: skip
def test_a_foreign_name_for_this_machine_is_refused(open_client: Any, host: str, code: int) -> None:
    answer = open_client.get("/inbox.json", headers={"Host": host})
    assert answer.status_code == code


def test_named_hosts_are_served(make_app: Any, make_settings: Any) -> None:
    settings = make_settings(
        server={"allowed_hosts": ["Watch.example"]}, alerts={"public_url": "https://pages.example/x"}
    )
    client = make_app(settings).test_client()
    assert client.get("/healthz", headers={"Host": "watch.example"}).status_code == 200
    assert client.get("/healthz", headers={"Host": "pages.example"}).status_code == 200
    refused = client.get("/healthz", headers={"Host": "other.example"})
    assert refused.json["error"] == "Unknown host 'other.example'; add it to GRIDWATCH_SERVER__ALLOWED_HOSTS."


def test_another_sites_page_is_refused(open_client: Any) -> None:
    answer = open_client.post("/trigger", headers={"Origin": "https://evil.example"})
    assert (answer.status_code, answer.json["error"]) == (
        403,
        "Requests from pages of 'https://evil.example' are refused.",
    )
    assert open_client.post("/trigger", headers={"Origin": "null"}).status_code == 403
    assert open_client.post("/trigger", headers={"Origin": "http://["}).status_code == 403
    assert open_client.post("/trigger", headers={"Origin": "http://localhost"}).status_code == 400


def test_guesses_at_the_token_wait_but_never_those_of_this_machine(make_settings: Any, store: Any) -> None:
    """A local trigger with an old token must not keep the relay of the same machine from telling anybody."""
    now_ms = 1_760_000_000_000
    settings = make_settings(alerts={"token": "right"}, server={"insecure_http": True})
    app = create_app(settings, store, clock=lambda: now_ms)
    client = app.test_client()
    doors = (("POST", "/trigger"), ("GET", "/inbox"), ("GET", "/griddb/v2/gridwatch/dbs/public/checkConnection"))

    def ask(token: str, door: int = 0, **more: Any) -> Any:
        method, path = doors[door]
        return client.open(path, method=method, headers={"Authorization": f"Bearer {token}"}, **more)

    away: Any = {"environ_base": AWAY}
    for guess in range(5):
        assert ask("wrong", guess % 3, **away).status_code == 401
    slowed = ask("right", **away)
    assert (slowed.status_code, slowed.headers["Retry-After"]) == (429, "1")
    assert slowed.json["error"] == "Too many wrong tokens; wait 1 s and try again."
    assert ask("right", 1, **away).status_code == 429
    told = ask("right", 2, **away)
    assert told.status_code == 429
    assert told.json["errorMessage"] == "Too many wrong passwords or tokens; wait 1 s and try again."
    assert ask("right", environ_base={"REMOTE_ADDR": "192.0.2.8"}).status_code == 400
    now_ms += 1000
    assert ask("wrong", **away).status_code == 401
    assert ask("right", **away).headers["Retry-After"] == "2"
    now_ms += 2000
    assert [ask("right", door, **away).status_code for door in range(3)] == [400, 200, 200]
    assert ask("wrong", **away).status_code == 401, "and a right one takes the wrong ones back"
    for _ in range(20):
        assert ask("wrong").status_code == 401
    assert ask("right").status_code == 400


def test_a_users_own_password_is_no_guess_at_the_token(make_settings: Any, store: Any) -> None:
    settings = make_settings(alerts={"token": "right"}, server={"insecure_http": True})
    app = create_app(settings, store, clock=lambda: 1_760_000_000_000)
    state(app).users.add("ana", "hunter22")
    client = app.test_client()
    for _ in range(7):
        assert client.get("/logs/_search", auth=("ana", "hunter22"), environ_base=AWAY).status_code == 401
    path = "/griddb/v2/gridwatch/dbs/public/checkConnection"
    assert client.get(path, auth=("ana", "hunter22"), environ_base=AWAY).status_code == 200
    for _ in range(5):
        assert client.get("/logs/_search", auth=("ana", "hunter23"), environ_base=AWAY).status_code == 401
    assert client.get(path, auth=("ana", "hunter22"), environ_base=AWAY).status_code == 429
