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


def _refuse(*_: object) -> int:
    raise PermissionError(13, "Permission denied")
