"""`gridwatch copy`: what it prints, what it refuses, whose login it uses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from gridwatch.cli.app import app
from gridwatch.cli.copy import _of_target
from gridwatch.containers import open_store
from gridwatch.containers.catalog import series_info
from gridwatch.errors import ConfigError
from gridwatch.settings import Settings


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path / "home"))
    url = f"sqlite:///{tmp_path / 'a.db'}"
    with open_store(url) as store:
        import pyarrow as pa

        store.put_container(series_info("first"))
        store.put("first", pa.table({"ts": [1, 2], "open": [0.5, 1.5]}))
        store.put_container(series_info("second"))
    return url


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["copy", *arguments])


def test_a_table_for_people(source: str) -> None:
    done = run(source, "sqlite:///b.db")
    assert done.exit_code == 0
    assert "2 containers are the same in both, 2 rows; 2 copied in " in done.stdout
    assert [line.split()[:3] for line in done.stdout.splitlines() if line.strip().startswith(("first", "second"))] == [
        ["first", "2", "2"],
        ["second", "0", "0"],
    ]
    assert "2 rows; 0 copied in" in run(source, "sqlite:///b.db").stdout


def test_json_for_scripts(source: str, tmp_path: Path) -> None:
    answer = json.loads(run(source, "sqlite:///b.db", "first", "--json").stdout)
    assert (answer["from"], answer["to"]) == (source, f"sqlite:///{tmp_path / 'b.db'}")
    (one,) = answer["containers"]
    assert (one["container"], one["rows"], one["copied"], one["made"], len(one["checksum"])) == (
        "first",
        2,
        2,
        True,
        32,
    )


def test_a_misspelt_source_is_not_made(source: str, tmp_path: Path) -> None:
    failed = run("sqlite:///nosuch.db", "sqlite:///b.db")
    assert isinstance(failed.exception, ConfigError)
    assert f"There is no store to copy from at '{tmp_path / 'nosuch.db'}'." in str(failed.exception)
    assert not (tmp_path / "nosuch.db").exists()
    assert not (tmp_path / "b.db").exists()


def test_an_empty_store_is_told(source: str) -> None:
    with open_store("sqlite:///empty.db"):
        pass
    assert "has no containers." in run("sqlite:///empty.db", "sqlite:///b.db").stdout


def test_the_target_has_a_login_of_its_own() -> None:
    found = Settings(_env_file=None, griddb={"user": "a", "password": "pa"}, target={"password": "pb"})
    assert _of_target(found).griddb.user == "a"
    assert _of_target(found).griddb.password == SecretStr("pb")
    assert found.griddb.password == SecretStr("pa")
