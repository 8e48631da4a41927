"""`jobs apply`: files become jobs and datafeeds, again and again the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from typer.testing import CliRunner

from gridwatch.cli.app import app
from gridwatch.containers import open_store
from gridwatch.containers.schema import Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.errors import ConfigError

LOGS = ContainerInfo(
    "web",
    ContainerType.TIME_SERIES,
    (
        Column("time", ColumnType.TIMESTAMP, nullable=False),
        Column("bytes", ColumnType.DOUBLE),
        Column("host", ColumnType.STRING),
    ),
    ("time",),
)
Write: TypeAlias = Callable[..., None]


def job(**changes: Any) -> dict[str, Any]:
    """Return a job's body; `feed` goes into its datafeed, None for none, all else beside the rest."""
    feed = changes.pop("feed", {})
    analysis = {
        "bucket_span": "1h",
        "detectors": [{"function": "mean", "field_name": "bytes"}],
        **changes.pop("analysis", {}),
    }
    body = {"analysis_config": analysis, **changes}
    return body if feed is None else {**body, "datafeed_config": {"indices": ["web"], **feed}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path / "home"))
    with open_store(f"sqlite:///{tmp_path / 'home' / 'store.db'}") as store:
        store.put_container(LOGS)
    (tmp_path / "flows" / "jobs").mkdir(parents=True)
    return tmp_path / "flows" / "jobs"


def write(folder: Path, **bodies: object) -> None:
    for name, body in bodies.items():
        (folder / f"{name}.json").write_text(json.dumps(body), encoding="utf-8")


def run(*words: str, status: int = 0) -> str:
    done = CliRunner().invoke(app, ["jobs", *words], catch_exceptions=True)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == status, done.stdout + done.stderr
    return done.stdout


def actions(*words: str, status: int = 0) -> dict[str, str]:
    steps = json.loads(run("apply", "--json", *words, status=status))["steps"]
    return {f"{step['kind']} {step['id']}": step["action"] for step in steps}


def test_files_are_made_then_changed_in_place_then_left_alone(folder: Path) -> None:
    write(folder, web=job(), own=job(job_id="other", feed=None), feed={"indices": ["web"], "job_id": "other"})
    made = {"job other": "create", "job web": "create", "datafeed feed": "create", "datafeed web": "create"}
    assert actions("--dry-run") == made
    assert json.loads(run("list", "--json"))["count"] == 0
    assert actions() == made
    assert set(actions().values()) == {"none"}
    described = [{"function": "mean", "field_name": "bytes", "detector_description": "size"}]
    write(
        folder,
        web=job(
            description="Sizes",
            groups=["all"],
            analysis={"detectors": described, "model_prune_window": "40d"},
            analysis_limits={"model_memory_limit": "20mb"},
            custom_settings={"gridwatch": {"alert_score": 50}},
            feed={"query_delay": "90s", "query": {"term": {"host": "a"}}},
        ),
    )
    told = run("apply", "--dry-run")
    assert "~ job web: changed  flows/jobs/web.json\n" in told
    assert '    analysis_config.model_prune_window: "30d" -> "40d"\n' in told
    assert '    description: (none) -> "Sizes"\n' in told
    assert '-> "90s"\n' in told
    assert "= job other: as it is" in told
    assert told.endswith("would be 2 changed, 2 as it is; nothing was changed\n")
    assert run("apply").endswith("2 changed, 2 as it is\n")
    assert set(actions().values()) == {"none"}
    write(folder, web=job())
    assert actions()["job web"] == "update"
    assert set(actions().values()) == {"none"}


def test_what_never_changes_is_refused_and_then_nothing_is_done(folder: Path) -> None:
    write(folder, web=job())
    run("apply")
    write(folder, web=job(analysis={"bucket_span": "2h"}), fresh=job(feed=None))
    told = run("apply", status=1)
    assert '    analysis_config.bucket_span: "1h" -> "2h"\n' in told
    assert "[analysis_config.bucket_span] never changes in a job that is there; --recreate deletes the job" in told
    assert told.endswith("1 refused, so nothing was changed; else 1 made, 1 as it is\n")
    assert json.loads(run("list", "--json"))["count"] == 1
    assert actions("--recreate") == {"job fresh": "create", "job web": "recreate", "datafeed web": "recreate"}
    assert set(actions().values()) == {"none"}


def test_a_folder_that_is_not_there_is_told(folder: Path) -> None:
    with pytest.raises(ConfigError, match="no file or folder 'nowhere'; jobs are kept in flows/jobs"):
        run("apply", "nowhere")
