"""What callers without rights get: nothing of a blank token, a damaged file or the store's path."""

from __future__ import annotations

from typing import Any

import pytest
import structlog.testing
from pydantic import SecretStr

from gridwatch.containers import Store
from gridwatch.errors import StoreError
from gridwatch.server.griddb_webapi.errors import told
from gridwatch.server.users import Users

BASE = "/griddb/v2/gridwatch/dbs/public"
CHECK = f"{BASE}/checkConnection"
NOBODY = [{"auth": ("any", "")}, {"auth": ("", "")}, {"headers": {"Authorization": "Bearer "}}]
UNREADABLE = {"version": "v2", "errorCode": 0, "errorMessage": "The users cannot be read; the log says why."}


@pytest.mark.parametrize("how", NOBODY)
@pytest.mark.parametrize("validated", [True, False])
def test_a_blank_token_lets_nobody_in(make_app: Any, make_settings: Any, how: dict[str, Any], validated: bool) -> None:
    settings = make_settings(server={"port": 0, "auth": "on"}, alerts={"token": ""})
    if not validated:
        alerts = settings.alerts.model_copy(update={"token": SecretStr("")})
        settings = settings.model_copy(update={"alerts": alerts})
    assert make_app(settings).test_client().get(CHECK, **how).status_code == 401


def test_a_damaged_users_file_is_told_to_the_log_only(make_app: Any, make_settings: Any, store: Store) -> None:
    settings = make_settings()
    path = settings.home / "users.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text("{")
    client = make_app(settings).test_client()
    with structlog.testing.capture_logs() as logs:
        answer = client.get(CHECK, auth=("ana", "pw"))
        changed = client.post(f"{BASE}/sql/ddl", json=[{"stmt": "drop user ana"}]).json[0]
    assert (answer.status_code, answer.json) == (503, UNREADABLE)
    assert changed["message"] == UNREADABLE["errorMessage"]
    assert [str(path) in entry["error"] for entry in logs if entry["event"] == "users_unreadable"] == [True, True]


def test_create_user_does_not_replace_who_was_added_meanwhile(
    make_app: Any, make_settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings()
    users = Users(settings.home / "users.json")
    users.add("zoe", "hers", rights="write")
    # Whoever looks before the other's addition sees nobody.
    monkeypatch.setattr(Users, "find", lambda *_: None)
    client = make_app(settings).test_client()
    told = client.post(f"{BASE}/sql/ddl", json=[{"stmt": "create user zoe identified by 'mine'"}]).json[0]
    assert (told["status"], told["message"]) == (
        0,
        "[10088:TXN_USER_OR_DATABASE_NOT_EXIST] CREATE USER failed: user 'zoe' exists",
    )
    found = users.check("zoe", "hers")
    assert found is not None
    assert found.rights == "write"


@pytest.mark.parametrize(
    "path", ["/home/ana/store.db", "/home/it's/store.db", """/o'b"c/store.db""", "/back\\slash'/s.db"]
)
def test_the_stores_path_is_not_told(path: str) -> None:
    assert told(StoreError(f"Store {path!r}: the disk is full.")) == "the store: the disk is full."
