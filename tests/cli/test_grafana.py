"""`gridwatch grafana`: files are written, compared, and what is wrong is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gridwatch.cli.app import app
from gridwatch.cli.project import lay_out
from gridwatch.errors import ConfigError


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    lay_out(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_new_project_is_up_to_date(project: Path) -> None:
    assert (project / "grafana" / "dashboards" / "infinity" / "aapl_daily.json").is_file()
    done = CliRunner().invoke(app, ["grafana", "check"])
    assert (done.exit_code, done.stdout) == (0, "grafana is up to date\n")


def test_a_dataset_that_goes_is_told_and_its_dashboards_go_too(project: Path) -> None:
    (project / "flows" / "datasets" / "aapl_daily.json").unlink()
    done = CliRunner().invoke(app, ["grafana", "check"])
    assert done.exit_code == 1
    assert "stale: grafana/dashboards/griddb/aapl_daily.json\n" in done.stdout
    assert "grafana differs; run `gridwatch grafana build`\n" in done.stdout
    told = json.loads(CliRunner().invoke(app, ["grafana", "check", "--json"]).stdout)
    assert told["up_to_date"] is False
    assert told["stale"] == ["dashboards/griddb/aapl_daily.json", "dashboards/infinity/aapl_daily.json"]
    built = json.loads(CliRunner().invoke(app, ["grafana", "build", "--json"]).stdout)
    assert "grafana/dashboards/infinity/aapl_daily.json" in built["touched"]
    assert not (project / "grafana" / "dashboards" / "infinity" / "aapl_daily.json").exists()
    assert json.loads(CliRunner().invoke(app, ["grafana", "check", "--json"]).stdout)["up_to_date"] is True


def test_links_lead_where_the_mails_do(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDWATCH_ALERTS__PUBLIC_URL", "https://watch.example.com")
    done = CliRunner().invoke(app, ["grafana", "build", "--out", "elsewhere"])
    assert done.exit_code == 0, done.output
    board = json.loads((project / "elsewhere" / "dashboards" / "infinity" / "aapl_daily.json").read_bytes())
    assert board["templating"]["list"][0]["query"] == "https://watch.example.com"


@pytest.mark.parametrize("pages", ["ftp://watch", "https://it's", "http://a b", "watch.example.com"])
def test_what_is_no_address_of_pages_is_refused(project: Path, pages: str) -> None:
    done = CliRunner().invoke(app, ["grafana", "build", "--pages", pages])
    assert isinstance(done.exception, ConfigError)
    assert "is no address of gridwatch's pages; use one such as http://127.0.0.1:8090." in str(done.exception)
    assert CliRunner().invoke(app, ["grafana", "check"]).exit_code == 0  # nothing was written
