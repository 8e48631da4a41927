"""The users' file: hashed, private, changed as a whole."""

from __future__ import annotations

import json
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gridwatch.errors import ConfigError
from gridwatch.server.users import HASHES_MAX, PASSWORD_BYTES_MAX, Users


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "users.json"


def test_a_user_is_known_by_the_password_only(path: Path) -> None:
    users = Users(path)
    assert users.all() == []
    assert users.check("ana", "secret") is None
    assert users.add("ana", "sécret", rights="read")
    found = users.check("ana", "sécret")
    assert found is not None
    assert (found.name, found.rights) == ("ana", "read")
    for wrong in ("secret", "sécret ", "", "x" * (PASSWORD_BYTES_MAX + 1), "\udcff"):
        assert users.check("ana", wrong) is None
    assert users.check("Ana", "sécret") is None


def test_the_file_is_private_and_holds_no_password(path: Path) -> None:
    Users(path).add("ana", "hunter2")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "hunter2" not in path.read_text()


def test_a_change_counts_at_once_for_others(path: Path) -> None:
    serving, changing = Users(path), Users(path)
    changing.add("ana", "one")
    assert serving.check("ana", "one") is not None
    assert not changing.add("ana", "two", rights="admin")
    assert serving.check("ana", "one") is None
    assert serving.check("ana", "two") is not None
    assert changing.set_rights("ana", "none")
    found = serving.find("ana")
    assert found is not None
    assert found.rights == "none"
    assert changing.remove("ana")
    assert serving.check("ana", "two") is None
    assert not changing.remove("ana")
    assert not changing.set_password("ana", "x")


def test_changes_at_once_lose_nobody(path: Path) -> None:
    threads = [threading.Thread(target=Users(path).add, args=(f"u{n}", "pw")) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [user.name for user in Users(path).all()] == [f"u{n}" for n in range(8)]


@pytest.mark.parametrize("name", ["", "a b", "é", "x" * 65, "a:b", "a\nb"])
def test_a_name_that_cannot_be_one_is_refused(path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be a user's name"):
        Users(path).add(name, "pw")
    assert not path.exists()


@pytest.mark.parametrize("password", ["", "x" * (PASSWORD_BYTES_MAX + 1)])
def test_a_password_that_cannot_be_one_is_refused(path: Path, password: str) -> None:
    with pytest.raises(ConfigError, match="A password has 1 to 1024 bytes"):
        Users(path).add("ana", password)


def test_an_addition_that_may_not_replace_leaves_the_user_there(path: Path) -> None:
    users = Users(path)
    assert users.add("ana", "one", rights="admin", replace=False)
    assert not users.add("ana", "two", rights="none", replace=False)
    found = users.check("ana", "one")
    assert found is not None
    assert found.rights == "admin"


def test_few_passwords_are_checked_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users = Users(path)
    users.add("ana", "pw")
    at_once, most, hashes = 0, 0, 0
    lock = threading.Condition()

    def slow(stored: str, secret: bytes) -> bool:
        nonlocal at_once, most, hashes
        with lock:
            at_once, hashes = at_once + 1, hashes + 1
            most = max(most, at_once)
            lock.notify_all()
            # The first wait until as many as may are here; were more allowed in, they would be here soon after.
            lock.wait_for(lambda: most >= HASHES_MAX, 120)
        time.sleep(0.01)
        with lock:
            at_once -= 1
        return secret == b"pw"

    monkeypatch.setattr("gridwatch.server.users._matches", slow)
    with ThreadPoolExecutor(16) as pool:
        asked = [("ana", "wrong"), ("nobody", "pw")] * 8
        assert set(pool.map(lambda one: users.check(*one), asked)) == {None}
        assert most == HASHES_MAX
        hashes = 0
        assert None not in set(pool.map(lambda _: users.check("ana", "pw"), range(16)))
    assert hashes <= HASHES_MAX


HASH = "scrypt$16384$8$1$" + "00" * 16 + "$" + "00" * 32


def one_user(**changed: object) -> str:
    return json.dumps({"users": [{"name": "ana", "rights": "read", "password": HASH} | changed]})


def test_a_file_with_a_user_is_read(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(one_user())
    assert [user.name for user in Users(path).all()] == ["ana"]


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", '{"users": [{"name": "ana"}]}', '{"users": 5}', "[" * 50_000),
        *(one_user(rights="owner"), one_user(rights=["read"]), one_user(name=5), one_user(name="a b")),
        *(one_user(password=None), one_user(password="pw"), one_user(password=HASH[:-1]), one_user(extra=1)),
        *(one_user(password=HASH.replace("16384", "16385")), one_user(password=HASH.replace("$8$", "$0$"))),
    ],
)  # fmt: skip
def test_a_damaged_file_is_told(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"users\.json' cannot be read: .*gridwatch users add"):
        Users(path).all()


def test_a_path_that_cannot_be_looked_at_is_told(path: Path) -> None:
    path.parent.write_text("no folder")
    with pytest.raises(ConfigError, match=r"users\.json' cannot be read"):
        Users(path).find("ana")
    with pytest.raises(ConfigError, match=r"users\.json' cannot be changed"):
        Users(path).add("ana", "pw")
