"""Signing in on the pages: by password, token and link; what is refused, and what a login opens."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from gridwatch.server import create_app
from gridwatch.server.pages import blueprints
from gridwatch.server.pages.login_links import LINK_MS, make_link
from gridwatch.server.pages.session import SESSION_MS, check_csrf, needs_login, signed_in
from gridwatch.server.users import users_of

AWAY = {"REMOTE_ADDR": "192.0.2.7"}
HTML = {"Accept": "text/html,*/*;q=0.8"}
TLS = {"X-Forwarded-Proto": "https"}


class Clock:
    """Time that a test sets."""

    now_ms = 1_760_000_000_000

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A users' file with anna (write) and rita (read)."""
    home = tmp_path_factory.mktemp("users")
    users_of(home).add("anna", "pass")
    users_of(home).add("rita", "pass", rights="read")
    return home / "users.json"


@pytest.fixture
def app(make_settings: Any, store: Any, clock: Clock, users: Path) -> Flask:
    """An application with the token `right`, the users, and something to change."""
    settings = make_settings(alerts={"token": "right"})
    settings.home.mkdir(exist_ok=True)
    shutil.copy(users, settings.home)
    made = create_app(settings, store, clock=clock)
    made.add_url_rule("/change", "change", needs_login(lambda: f"by {signed_in()}"), methods=["POST"])
    return made


@pytest.fixture
def enter(app: Flask) -> Callable[..., Any]:
    def enter(client: Any, name: str, password: str, **more: Any) -> Any:
        page = client.get("/login", **more)
        form = {"name": name, "password": password, "csrf_token": token_of(page.text), "next": "/inbox"}
        return client.post("/login", data=form, **more)

    return enter


def token_of(page: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found
    return found[1]


@pytest.mark.parametrize(("name", "password"), [("anna", "pass"), ("bob", "right")])
def test_a_user_and_the_tokens_holder_sign_in(app: Flask, enter: Any, name: str, password: str) -> None:
    client = app.test_client()
    assert client.post("/change", headers=HTML).status_code == 401
    answer = enter(client, name, password)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/inbox")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Secure" not in cookie
    assert client.post("/change").text == f"by {name}"
    page = client.get("/anomalies").text
    assert f">{name}<" in page
    out = client.post("/logout", data={"csrf_token": token_of(page), "next": "/anomalies"})
    assert out.headers["Location"] == "/anomalies"
    assert client.post("/change").status_code == 401


@pytest.mark.parametrize(
    ("name", "password"),
    [("anna", "wrong"), ("anna", "right"), ("", "right"), ("a b", "right"), ("bob", ""), ("x", "é")],
)
def test_wrong_credentials_are_refused(app: Flask, enter: Any, name: str, password: str) -> None:
    answer = enter(app.test_client(), name, password)
    assert answer.status_code == 401
    assert "Name or password is wrong." in answer.text


def test_a_user_who_may_only_read_changes_nothing(app: Flask, enter: Any) -> None:
    client = app.test_client()
    enter(client, "rita", "pass")
    answer: Any = client.post("/change")
    assert (answer.status_code, answer.json["error"][:19]) == (403, "rita may only read;")


def test_visitors_are_shown_the_way_to_the_form(app: Flask) -> None:
    answer = app.test_client().post("/change", headers=HTML)
    assert answer.status_code == 401
    assert 'href="/login' in answer.text
    assert "Sign in first" in answer.text
    told: Any = app.test_client().post("/change").json
    assert "Sign in first" in told["error"]


def test_guesses_wait(app: Flask, enter: Any, clock: Clock) -> None:
    client = app.test_client()
    for _ in range(5):
        assert enter(client, "anna", "wrong").status_code == 401
    slowed = enter(client, "anna", "pass")
    assert (slowed.status_code, slowed.headers["Retry-After"]) == (429, "1")
    assert "wait 1 s and try again" in slowed.text
    assert enter(client, "anna", "pass", environ_base={"REMOTE_ADDR": "127.0.0.2"}).status_code == 303
    # A proxy on this machine names whom it speaks for; nobody waits for another's guesses.
    behind = {"headers": {"X-Forwarded-For": "127.0.0.1, 192.0.2.9", **TLS}}
    assert enter(app.test_client(), "anna", "pass", **behind).status_code == 303
    clock.now_ms += 1000
    assert enter(client, "anna", "wrong").status_code == 401
    assert enter(client, "anna", "wrong").headers["Retry-After"] == "2"
    clock.now_ms += 2000
    assert enter(client, "anna", "pass").status_code == 303


def test_a_login_ends(app: Flask, enter: Any, clock: Clock, make_settings: Any, store: Any) -> None:
    home = make_settings().home
    clients = [app.test_client() for _ in range(3)]
    for client, name, password in zip(clients, ("anna", "anna", "bob"), ("pass", "pass", "right"), strict=True):
        enter(client, name, password)
    assert [client.post("/change").status_code for client in clients] == [200, 200, 200]
    users_of(home).set_password("anna", "new")
    assert [client.post("/change").status_code for client in clients] == [401, 401, 200]
    clock.now_ms += SESSION_MS
    assert clients[2].post("/change").status_code == 401


def test_a_copy_of_a_cookie_is_worth_nothing_after_signing_out(
    app: Flask, enter: Any, clock: Clock, make_settings: Any, store: Any
) -> None:
    client, other = app.test_client(), app.test_client()
    name, _, value = enter(client, "anna", "pass").headers["Set-Cookie"].partition(";")[0].partition("=")
    enter(other, "anna", "pass")
    assert client.post("/logout", data={"csrf_token": token_of(client.get("/anomalies").text)}).status_code == 303
    folder = make_settings().home / "login" / "ended"
    # A server that was started anew knows it too.
    for server in (app, create_app(make_settings(alerts={"token": "right"}), store, clock=clock)):
        thief = server.test_client()
        thief.set_cookie(name, value)
        assert "Sign in" in thief.get("/anomalies").text
    assert other.post("/change").text == "by anna", "who signed in elsewhere stays so"
    [kept] = folder.iterdir()
    assert kept.stat().st_mode & 0o077 == 0
    clock.now_ms += SESSION_MS
    enter(client, "anna", "pass")
    client.post("/logout", data={"csrf_token": token_of(client.get("/anomalies").text)})
    assert [path == kept for path in folder.iterdir()] == [False], "what has run out by itself is forgotten"


def test_a_login_that_cannot_be_ended_for_good_is_told(app: Flask, enter: Any, make_settings: Any) -> None:
    client = app.test_client()
    enter(client, "anna", "pass")
    (make_settings().home / "login").write_text("in the way")
    answer: Any = client.post("/logout", data={"csrf_token": token_of(client.get("/anomalies").text)})
    assert answer.status_code == 503
    assert "a copy of its login would still hold: The end of a login cannot be kept in" in answer.json["error"]
    assert client.post("/change").status_code == 401


def test_another_token_signs_its_holders_out(app: Flask, enter: Any, make_settings: Any, store: Any) -> None:
    client = app.test_client()
    name, _, value = enter(client, "bob", "right").headers["Set-Cookie"].partition(";")[0].partition("=")
    for token, who in (("right", "bob"), ("other", "Sign in")):
        again = create_app(make_settings(alerts={"token": token}), store, clock=lambda: Clock.now_ms)
        kept = again.test_client()
        kept.set_cookie(name, value)
        assert who in kept.get("/anomalies").text


def test_a_forged_cookie_signs_nobody_in(app: Flask, enter: Any) -> None:
    client = app.test_client()
    name, _, value = enter(client, "anna", "pass").headers["Set-Cookie"].partition(";")[0].partition("=")
    forged = app.test_client()
    forged.set_cookie(name, value[:-2] + ("AA" if not value.endswith("AA") else "BB"))
    assert forged.post("/change").status_code == 401


def test_a_link_signs_in_once_and_here(app: Flask, make_settings: Any, clock: Clock) -> None:
    home = make_settings().home
    word = make_link(home, "anna", now_ms=clock())
    assert app.test_client().get(f"/login/{word}", environ_base=AWAY).status_code == 403
    assert app.test_client().head(f"/login/{word}").status_code == 405, "and the link is not used up"
    client = app.test_client()
    assert client.get(f"/login/{word}?next=//evil.example").headers["Location"] == "/"
    assert client.post("/change").text == "by anna"
    for gone in (word, "../x", make_link(home, "anna", now_ms=clock() - LINK_MS)):
        assert "was used already, or is too old" in app.test_client().get(f"/login/{gone}").text or gone == "../x"
    assert word not in "".join(path.read_text() for path in (home / "login").iterdir())


def test_from_another_machine_a_login_opens_the_pages_and_needs_tls(app: Flask, enter: Any) -> None:
    client = app.test_client()
    plain = enter(client, "anna", "pass", environ_base=AWAY)
    assert (plain.status_code, "plain HTTP" in plain.text) == (403, True)
    proxied: dict[str, Any] = {"headers": {**HTML, **TLS, "X-Forwarded-For": "192.0.2.7"}}
    sent = client.get("/anomalies?series=AAPL", **proxied)
    assert (sent.status_code, sent.headers["Location"]) == (303, "/login?next=/anomalies?series%3DAAPL")
    answer = enter(client, "anna", "pass", **proxied)
    assert "Secure" in answer.headers["Set-Cookie"]
    assert client.get("https://localhost/anomalies", **proxied).status_code == 200
    assert client.post("https://localhost/trigger", **proxied).status_code == 401


def test_every_change_of_a_page_needs_the_sessions_token(app: Flask) -> None:
    # The form of a link in a mail is the one exception: its signature is the right.
    pages = [page for page in blueprints() if page.name != "label_link"]
    assert all(check_csrf in page.before_request_funcs.get(None, []) for page in pages)
    client = app.test_client()
    for how in ({}, {"data": {"csrf_token": "x"}}, {"headers": {"X-CSRF-Token": "é"}}):
        answer: Any = client.post("/login", **how)
        assert (answer.status_code, "out of date" in answer.json["error"]) == (403, True)


def test_an_unreadable_key_signs_nobody_in_and_breaks_no_page(app: Flask, enter: Any, make_settings: Any) -> None:
    client = app.test_client()
    enter(client, "anna", "pass")
    (make_settings().home / "session.secret").write_text("broken")
    app.secret_key = None
    assert "Sign in" in client.get("/anomalies").text


def test_policy_lets_only_own_scripts_run(app: Flask) -> None:
    answer = app.test_client().get("/login")
    policy = answer.headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]* src=)|<style| style=| on[a-z]+=", answer.text)
