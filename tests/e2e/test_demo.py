"""The whole way of the data with real parts, as the demo runs them: broker, Prefect, MLflow, handler, inbox."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from gridwatch.containers import Store, open_store
from gridwatch.containers.objects import ObjectStore
from gridwatch.detectors import fingerprint
from gridwatch.supervisor import read_state
from gridwatch.supervisor.process import marked, started_s
from gridwatch.supervisor.state import run_dir

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]


@dataclass
class Demo:
    """What a demo that ran to its end left behind."""

    home: Path
    output: str
    rows: list[dict[str, Any]]
    store: Store

    @property
    def split(self) -> dict[str, Any]:
        """The row of the split: midnight in New York on that day."""
        return next(row for row in self.rows if row["time"] == "2005-02-28T05:00:00Z")


def _run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gridwatch.cli", *arguments],
        env={**os.environ, "GRIDWATCH_HOME": str(home), "OPENBLAS_NUM_THREADS": "1"},
        cwd=home.parent,  # no project here: the demo brings its own
        capture_output=True,
        text=True,
        timeout=3000,
        check=False,
    )


def _killed_in_the_middle(home: Path) -> list[int]:
    """Start a demo, kill it with SIGKILL as soon as services are up, and return those that it left behind."""
    environ = {**os.environ, "GRIDWATCH_HOME": str(home)}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    argv = [sys.executable, "-m", "gridwatch.cli", "demo", "--exit"]
    with subprocess.Popen(argv, env=environ, cwd=home.parent, **quiet) as popen:  # type: ignore[call-overload]
        deadline = time.monotonic() + 600
        # That it is killed early saves half a minute of imports and migrations, which the next one does again.
        while not (state := read_state(home / "demo")) or sum(service.alive for service in state.services) < 2:
            assert time.monotonic() < deadline
            assert popen.poll() is None
            time.sleep(0.05)
        popen.kill()
    return [service.pid for service in state.services if service.alive and service.pid]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    home = tmp_path_factory.mktemp("demo") / "home"
    home.parent.mkdir(exist_ok=True)
    left = _killed_in_the_middle(home)
    assert left
    done = _run(home, "demo", "--exit")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [started_s(pid) for pid in left] == [None] * len(left)
    listed = _run(home, "anomalies", "--json")
    assert listed.returncode == 0, listed.stderr
    assert "these are the demo's" in listed.stderr
    with open_store(f"sqlite:///{home / 'demo' / 'store.db'}") as store:
        yield Demo(home / "demo", done.stdout, json.loads(listed.stdout), store)


def test_the_split_is_found_and_said(demo: Demo) -> None:
    assert "The 2-for-1 split of 2005-02-28 was found" in demo.output
    assert demo.split["actual"] == pytest.approx(44.86)
    assert 80 < demo.split["expected"] < 100
    assert f"other row{'' if len(demo.rows) == 2 else 's'} of 252 scored" in demo.output


def test_the_plots_are_pictures(demo: Demo) -> None:
    for name in ("aapl_daily.png", "aapl_daily_detectors.png"):
        assert (demo.home / name).read_bytes().startswith(b"\x89PNG")


def test_the_fixed_threshold_is_shown_beside_it(demo: Demo) -> None:
    auto, fixed = json.loads((demo.home / "detectors.json").read_text(encoding="utf-8"))["aapl_daily"]
    assert (auto["detector"], fixed["detector"], fixed["threshold"]) == ("auto", "lstm-fixed", 0.65)
    assert auto["times_ms"] == sorted(row["ts_ms"] for row in demo.rows)
    assert demo.split["ts_ms"] in fixed["times_ms"]
    assert "same rows by each detector" in demo.output
    assert demo.split["explanation"] in demo.output


def test_every_anomaly_names_a_validation_that_there_is(demo: Demo) -> None:
    [validation] = demo.store.get("validations", [demo.split["validation_id"]]).to_pylist()
    assert validation["success"]
    assert validation["container"] == "INTRADAY_AAPL"
    assert validation["flow_run_id"] == demo.split["flow_run_id"]


def test_the_sha256_of_the_model_is_that_of_the_stored_bytes(demo: Demo) -> None:
    objects = ObjectStore(demo.store)
    parts = {
        Path(found.path).name: objects.read(found.path)
        for found in objects.list("")
        if Path(found.path).name in {"detector.json", "series.json", "state.npz"}
    }
    assert fingerprint(parts) == demo.split["model_sha256"]


def test_every_anomaly_is_sound_and_computed_again_bit_by_bit(demo: Demo) -> None:
    replayed = _run(demo.home.parent, "replay", "--all", "--json")
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    assert [one["verdict"] for one in json.loads(replayed.stdout)] == ["bit-equal"] * len(demo.rows)
    explained = _run(demo.home.parent, "explain", demo.split["id"], "--strict", "--json")
    assert explained.returncode == 0, explained.stdout + explained.stderr
    # Prefect's server is down by now.
    found = {link["name"]: link["status"] for link in json.loads(explained.stdout)["links"]}
    assert {name for name, status in found.items() if status != "ok"} == {"flow run"}


def test_the_run_is_in_mlflow_and_its_model_is_champion(demo: Demo) -> None:
    listed = _run(demo.home, "models", "--json")
    assert listed.returncode == 2  # the datasets of the demo are not where a project has them
    done = subprocess.run(
        [sys.executable, "-m", "gridwatch.cli", "models", "--json"],
        env={**os.environ, "GRIDWATCH_HOME": str(demo.home), "GRIDWATCH_DATASETS_DIR": str(demo.home / "datasets")},
        capture_output=True,
        text=True,
        check=True,
    )
    [model] = json.loads(done.stdout)
    assert model["run_id"] == demo.split["run_id"]
    assert model["champion"]
    assert demo.split["model_uri"] == f"models:/{model['model']}/{model['version']}"
    assert model["metrics"]["val_mae"] > 0


def test_one_mail_for_each_anomaly(demo: Demo) -> None:
    kept = sorted((demo.home / "inbox").glob("*.json"))
    told = [json.loads(path.read_text(encoding="utf-8")) for path in kept]
    assert len(told) == len(demo.rows)
    text = json.dumps(told)
    assert all(row["mail"] == "sent" and text.count(row["id"]) >= 1 for row in demo.rows)


def test_the_input_range_is_of_rows_that_there_are(demo: Demo) -> None:
    rows = demo.store.read("INTRADAY_AAPL", demo.split["input_from_ms"], demo.split["input_to_ms"])
    assert rows.num_rows >= 30
    assert rows["ts"][-1].as_py().timestamp() * 1000 <= demo.split["ts_ms"]


def test_what_was_found_is_shown_in_prefect(demo: Demo) -> None:
    with closing(sqlite3.connect(f"file:{demo.home / 'prefect' / 'prefect.db'}?mode=ro", uri=True)) as prefect:
        artifacts = dict(prefect.execute("SELECT key, data FROM artifact WHERE key IS NOT NULL"))
        names = {name.partition(" 20")[0] for (name,) in prefect.execute("SELECT name FROM flow_run")}
    assert set(artifacts) == {"validation-aapl-daily", "model-aapl-daily", "anomalies-aapl-daily"}
    assert "expect_" in artifacts["validation-aapl-daily"]
    assert demo.split["run_id"] in artifacts["model-aapl-daily"]
    assert demo.split["id"] in artifacts["anomalies-aapl-daily"]
    assert names == {f"{flow} aapl_daily" for flow in ("run-all", "load-batch", "validate", "train", "detect")}


def test_nothing_is_left_running(demo: Demo) -> None:
    assert marked(str(run_dir(demo.home))) == []
    here = [p.pid for p in psutil.process_iter() if str(demo.home) in " ".join(_command(p))]
    assert here == []


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
