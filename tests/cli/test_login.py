"""`gridwatch login`: a link for this machine's browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gridwatch.cli.app import app
from gridwatch.server.pages.login_links import LINK_MS, use_link


def test_a_link_names_the_server_and_who_is_signed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path))
    monkeypatch.setenv("GRIDWATCH_ALERTS__HANDLER_URL", "https://handler.example/trigger")
    (tmp_path / "server.json").write_text('{"url": "http://127.0.0.1:4711", "pid": 1}')
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    run = CliRunner().invoke
    told = json.loads(run(app, ["login", "--by", "anna", "--json"]).output)
    assert (told["name"], told["minutes"]) == ("anna", LINK_MS // 60_000)
    begin, _, word = told["url"].rpartition("/")
    assert begin == "http://127.0.0.1:4711/login"
    assert use_link(tmp_path, word, now_ms=0) == "anna"
    assert use_link(tmp_path, word, now_ms=0) is None
    assert run(app, ["login", "--open"]).output.strip() == opened[0]
    assert "cannot be a user's name" in str(run(app, ["login", "--by", "a b"]).exception)
    (tmp_path / "login").chmod(0o500)
    monkeypatch.setattr("os.open", _refuse)
    assert "A login link cannot be kept in" in str(run(app, ["login"]).exception)


def test_the_demos_server_is_meant_where_no_other_one_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path))
    demo = tmp_path / "demo"
    demo.mkdir()
    (demo / "store.db").touch()
    (demo / "server.json").write_text('{"url": "http://127.0.0.1:4711", "pid": 1}')
    run = CliRunner().invoke
    url = json.loads(run(app, ["login", "--by", "anna", "--json"]).stdout)["url"]
    assert url.startswith("http://127.0.0.1:4711/")
    assert use_link(demo, url.rpartition("/")[2], now_ms=0) == "anna"
    (tmp_path / "server.json").write_text('{"url": "http://127.0.0.1:4712", "pid": 1}')
    url = json.loads(run(app, ["login", "--by", "anna", "--json"]).stdout)["url"]
    assert url.startswith("http://127.0.0.1:4712/"), "a server that runs, though its store has no data yet"
    assert use_link(tmp_path, url.rpartition("/")[2], now_ms=0) == "anna"


def _refuse(*_: object) -> int:
    raise PermissionError(13, "Permission denied")
