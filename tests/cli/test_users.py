"""`gridwatch users`: the password comes from stdin or a prompt, never from an argument."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gridwatch.cli.app import app
from gridwatch.server.users import Users


def test_users_are_added_listed_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path))
    path = tmp_path / "users.json"
    run = CliRunner().invoke
    assert "No users" in run(app, ["users", "list"]).output
    added = run(app, ["users", "add", "grafana", "--read-only"], input="from stdin\n")
    assert added.output == "grafana added: read\n"
    assert run(app, ["users", "add", "boss", "--admin"], input="pw").exit_code == 0
    assert '"rights": "admin"' in run(app, ["users", "list", "--json"]).output
    assert "read" in run(app, ["users", "list"]).output
    assert Users(path).check("grafana", "from stdin") is not None
    assert run(app, ["users", "remove", "grafana"]).output == "grafana removed\n"
    for wrong, message in (
        (["users", "remove", "grafana"], "There is no user 'grafana'"),
        (["users", "add", "x", "--admin", "--read-only"], "exclude each other"),
        (["users", "add", "a b"], "cannot be a user's name"),
    ):
        assert message in str(run(app, wrong, input="pw\n").exception)
