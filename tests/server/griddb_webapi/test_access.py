"""Who may call the Web API: users and their rights, TLS beyond this machine, no web page on a caller's behalf."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from gridwatch.containers import Store
from gridwatch.server.state import API_REQUESTS_MAX, STATEMENTS_MAX, state
from gridwatch.server.users import Users
from gridwatch.settings import Settings

BASE = "/griddb/v2/gridwatch/dbs/public"
CHECK = f"{BASE}/checkConnection"
AWAY = {"REMOTE_ADDR": "192.0.2.7"}
MADE = {
    "container_name": "c", "container_type": "COLLECTION", "rowkey": True, "columns": [{"name": "k", "type": "LONG"}],
}  # fmt: skip


@pytest.fixture
def client_of(make_app: Any, make_settings: Callable[..., Settings]) -> Callable[..., Any]:
    """A client of a server with users `ana` (writes), `ron` (reads), `new` (nothing yet) and `boss`; password `pw`."""

    def make(**groups: Any) -> Any:
        found = make_settings(**groups)
        users = Users(found.home / "users.json")
        for name, rights in (("ana", "write"), ("ron", "read"), ("new", "none"), ("boss", "admin")):
            users.add(name, "pw", rights=rights)
        return make_app(found).test_client()

    return make


def test_on_loopback_this_machine_needs_no_user_but_a_wrong_one_is_told(client_of: Any) -> None:
    client = client_of()
    assert client.get(CHECK).status_code == 200
    assert client.get(CHECK, auth=("ana", "pw")).status_code == 200
    wrong = client.get(CHECK, auth=("ana", "wrong"))
    assert (wrong.status_code, wrong.content_type) == (401, "application/json")
    assert wrong.json == {
        "version": "v2",
        "errorCode": 10005,
        "errorMessage": "[10005:TXN_AUTH_FAILED] invalid user name or password (user name = ana)",
    }


@pytest.mark.parametrize("server", [{"port": 0, "auth": "on"}, {"port": 0, "host": "0.0.0.0"}])  # noqa: S104
def test_else_everybody_needs_a_user(client_of: Any, server: dict[str, Any]) -> None:
    client = client_of(server=server)
    answer = client.get(CHECK)
    assert (answer.status_code, answer.json["errorMessage"]) == (401, "Basic authentication not found")
    assert client.get(CHECK, auth=("ron", "pw")).status_code == 200
    assert client.get(CHECK, auth=("new", "pw")).status_code == 401
    assert client.get(CHECK.replace("public", "other"), auth=("ana", "pw")).status_code == 401
    assert client.get(CHECK.replace("gridwatch", "other"), auth=("ana", "pw")).status_code == 400


def test_the_token_is_as_good_as_an_administrator(client_of: Any) -> None:
    client = client_of(server={"port": 0, "auth": "on"}, alerts={"token": "secret"})
    for how in ({"auth": ("any", "secret")}, {"headers": {"Authorization": "Bearer secret"}}):
        assert client.post(f"{BASE}/sql/ddl", json=[{"stmt": "drop user x"}], **how).json[0]["status"] == 1
    assert client.get(CHECK, headers={"Authorization": "Bearer wrong"}).status_code == 401


def test_a_reader_changes_nothing(client_of: Any, store: Store) -> None:
    client = client_of()
    reader = {"auth": ("ron", "pw")}
    assert client.post(f"{BASE}/containers", json=MADE, auth=("ana", "pw")).status_code == 201
    for method, path, body in (
        ("POST", "/containers", MADE | {"container_name": "d"}), ("DELETE", "/containers", ["c"]),
        ("PUT", "/containers/c/rows", [[1]]), ("DELETE", "/containers/c/rows", [1]),
        ("PUT", "/containers/rows", [{"containerName": "c", "rows": [[1]]}]),
    ):  # fmt: skip
        answer = client.open(BASE + path, method=method, json=body, **reader)
        assert (answer.status_code, answer.json["errorCode"]) == (400, 10099)
    for path in ("/sql/update", "/sql/dml/update"):
        told = client.post(BASE + path, json=[{"stmt": "insert into c values (1)"}], **reader).json[0]
        assert (told["status"], told["message"]) == (0, "[10099:TXN_DB_ACCESS_INVALID] this user may only read")
    assert client.post(f"{BASE}/sql/ddl", json=[{"stmt": "drop table c"}], **reader).json[0]["status"] == 0
    assert client.post(f"{BASE}/containers/c/rows", json={"limit": 1}, **reader).json["total"] == 0
    assert client.post(f"{BASE}/sql", json=[{"stmt": "select count(*) from c"}], **reader).json[0]["results"] == [[0]]
    assert store.containers() == ["c"]


def test_users_are_made_and_given_rights_in_sql(client_of: Any) -> None:
    client = client_of()

    def run(path: str, statement: str, user: str = "boss") -> Any:
        return client.post(f"{BASE}/sql/{path}", json=[{"stmt": statement}], auth=(user, "pw")).json[0]

    assert run("ddl", "create user zoe identified by 'it''s'")["status"] == 1
    assert client.get(CHECK, auth=("zoe", "it's")).status_code == 401
    assert run("dcl", "grant select on public to zoe")["status"] == 1
    assert client.get(CHECK, auth=("zoe", "it's")).status_code == 200
    assert run("dcl", "set password for zoe = 'pw'")["status"] == 1
    assert client.get(CHECK, auth=("zoe", "it's")).status_code == 401
    for path, statement, code in (
        ("dcl", "grant all on nowhere to zoe", 10087), ("dcl", "grant all on public to nobody", 10088),
        ("dcl", "grant read on public to zoe", 240001), ("dcl", "revoke all on public from boss", 280001),
        ("ddl", "create user zoe identified by 'x'", 10088), ("dcl", "set password for nobody = 'x'", 10088),
    ):  # fmt: skip
        told = run(path, statement)
        assert (told["status"], told["message"].startswith(f"[{code}")) == (0, True)
    assert "A password has" in run("ddl", "create user yan identified by ''")["message"]
    told = run("ddl", "create user yan identified by 'x'", user="ana")
    assert told["message"] == "[280001:SQL_DDL_INVALID_USER] CREATE USER failed: only an administrator may"
    assert run("dcl", "set password = 'pw'", user="ana")["status"] == 1
    assert run("dcl", "revoke all on public from zoe")["status"] == 1
    assert client.get(CHECK, auth=("zoe", "pw")).status_code == 401
    assert run("ddl", "drop user zoe")["status"] == 1


@pytest.mark.parametrize(
    ("address", "proto", "server", "code"),
    [
        ("192.0.2.7", None, {}, 403), ("192.0.2.7", "https", {}, 403), ("127.0.0.1", "https", {}, 200),
        ("127.0.0.1", "http", {}, 403), ("127.0.0.1", "https, http", {}, 403),
        ("192.0.2.7", "https", {"trusted_proxies": ["192.0.2.0/24"]}, 200),
        ("::ffff:192.0.2.7", "HTTPS", {"trusted_proxies": ["192.0.2.7"]}, 200),
        ("192.0.2.7", None, {"insecure_http": True}, 200), ("fe80::1%eth0", "https", {}, 403),
    ],
)  # fmt: skip
def test_beyond_this_machine_credentials_need_tls(
    client_of: Any, address: str, proto: str | None, server: dict[str, Any], code: int
) -> None:
    client = client_of(server={"port": 0, **server})
    headers = {"X-Forwarded-Proto": proto} if proto else {}
    answer = client.get(CHECK, auth=("ana", "pw"), headers=headers, environ_base={"REMOTE_ADDR": address})
    assert answer.status_code == code
    if code == 403:
        assert "put a TLS proxy in front" in answer.json["errorMessage"]


def test_through_a_proxy_nobody_is_this_machine(client_of: Any) -> None:
    assert client_of().get(CHECK, headers={"X-Forwarded-Proto": "https"}).status_code == 401


def test_a_web_page_reaches_nothing(client_of: Any, store: Store) -> None:
    client = client_of()
    rebound = client.get(CHECK, headers={"Host": "evil.example"})
    assert (rebound.status_code, rebound.json["version"]) == (421, "v2")
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}):
        assert client.post(f"{BASE}/containers", json=MADE, headers=headers).status_code == 403
    # What a form or a script may send without asking first is no JSON.
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"):
        answer = client.post(f"{BASE}/containers", data="{}", content_type=kind)
        assert answer.status_code == 415
    assert store.containers() == []


def test_one_request_too_many_is_asked_to_come_again(client_of: Any) -> None:
    client = client_of()
    turns = state(client.application).api_requests
    for _ in range(API_REQUESTS_MAX):
        assert turns.acquire(blocking=False)
    answer = client.get(CHECK)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    # Turns are for those who may come in.
    assert client.get(CHECK, auth=("ana", "wrong")).status_code == 401
    turns.release()
    # Every end of a request gives its turn back.
    for path in (CHECK, f"{BASE}/containers", f"{BASE}/nowhere", CHECK.replace("public", "other")):
        client.get(path)
    assert client.get(CHECK).status_code == 200


def test_statements_that_never_end_leave_turns_for_the_rest(client_of: Any) -> None:
    client = client_of()
    client.post(f"{BASE}/containers", json=MADE)
    turns = state(client.application).statements
    statements = [{"stmt": "select * from c"}]
    calls = [
        *((path, statements) for path in ("sql", "sql/select", "sql/dml/query", "sql/update")),
        ("sql/ddl", [{"stmt": "create table d (a integer)"}]),
        ("tql", [{"name": "c", "stmt": "select *"}]),
    ]
    for _ in range(STATEMENTS_MAX):
        assert turns.acquire(blocking=False)
    for path, body in calls:
        answer = client.post(f"{BASE}/{path}", json=body)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert answer.json["errorMessage"] == "Too many SQL and TQL statements at once; send this one again."
    assert client.put(f"{BASE}/containers/c/rows", json=[[1]]).status_code == 200
    assert client.post(f"{BASE}/containers/c/rows", json={"limit": 1}).status_code == 200
    turns.release()
    for path, body in calls:
        assert client.post(f"{BASE}/{path}", json=body).status_code < 500


def test_many_clients_at_once_over_real_sockets(serving: Callable[..., str], settings: Settings, store: Store) -> None:
    url = serving(settings) + BASE
    requests.post(f"{url}/containers", json=MADE, timeout=60)

    def work(number: int) -> int:
        with requests.Session() as session:
            rows = [[number * 100 + row] for row in range(100)]
            put = session.put(f"{url}/containers/c/rows", json=rows, timeout=60)
            got = session.post(f"{url}/sql", json=[{"stmt": "select count(*) from c"}], timeout=60)
            return int(put.status_code == got.status_code == 200)

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(work, range(32))) == 32
    assert store.sql("select count(*) from c").column(0)[0].as_py() == 3200


def test_a_body_that_is_too_large_is_refused(client_of: Any) -> None:
    client = client_of()
    answer = client.put(f"{BASE}/containers/c/rows", data=b" " * (41 * 1024 * 1024), content_type="application/json")
    assert (answer.status_code, answer.content_type) == (413, "application/json")


def test_a_large_body_is_not_read_for_strangers(client_of: Any) -> None:
    client = client_of(server={"port": 0, "auth": "on"})
    for size, code in ((10, 400), (2_000_000, 401)):
        answer = client.put(f"{BASE}/containers/c/rows", data=b"x" * size, content_type="application/json")
        assert answer.status_code == code
