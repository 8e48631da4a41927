"""Detectors judged on a made-up labelled folder: the report, what is written, and the MLflow run."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gridwatch.detectors import registry
from gridwatch.detectors.base import Floats, Times
from gridwatch.detectors.registry import Entry, Judged
from gridwatch.errors import ConfigError, DetectorError, SourceError, TrackingError
from gridwatch.pipeline.evaluate import evaluate
from gridwatch.pipeline.evaluation_report import EvaluationReport, plain
from gridwatch.settings import Settings
from gridwatch.sources.synthetic import make_series, write_series
from gridwatch.sources.testing import write_labelled
from gridwatch.tracking import Evaluation, record_evaluation


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("labelled")
    write_labelled(path)
    return path


@pytest.fixture(scope="module")
def report(folder: Path) -> EvaluationReport:
    return evaluate(folder, "zscore")


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Register a detector under the name `tried`."""

    def register(judge: Any) -> None:
        monkeypatch.setitem(registry.DETECTORS, "tried", Entry("tried", "For a test.", 1.0, judge))

    return register


def test_what_is_found_is_told_by_kind_of_fault(tmp_path: Path, named: Callable[[Any], None]) -> None:
    many = make_series(9, 6, rows=1000, bases=["noise"], faults=["spike", "dip"], clean_share=0)
    write_series(tmp_path / "made", many)
    spikes = [put for one in many for put in one.faults if put.kind == "spike"]
    dips = [put for one in many for put in one.faults if put.kind == "dip"]
    assert spikes
    assert dips

    def judge(times_ms: Times, values: Floats, probation_rows: int) -> Judged:
        level = np.median(values)
        alarm = np.where(values == values.max(), 2.0, 0.0) if values.max() - level > 8 * np.std(values) else 0 * values
        return Judged(alarm, alarm, np.full(len(values), 0.5), 0.0)

    named(judge)
    report = evaluate(tmp_path / "made", "tried")
    by_kind = {one.kind: (one.windows, one.found) for one in report.per_kind}
    assert by_kind["dip"] == (len(dips), 0)
    assert by_kind["spike"][0] == len(spikes)
    assert 0 < by_kind["spike"][1] == report.found
    assert report.metrics()["recall_dip"] == 0
    assert plain(report)["per_kind"][0] == {"kind": "dip", "windows": len(dips), "found": 0}


def test_the_report_of_the_baseline(report: EvaluationReport) -> None:
    assert (report.files, report.rows, report.windows, report.threshold) == (3, 1200, 3, 3.29)
    assert [one.profile for one in report.profiles] == ["standard", "reward_low_FP_rate", "reward_low_FN_rate"]
    # Both spikes are found near their windows' beginning, the wave that stops is not.
    assert 50.0 < report.profiles[0].best < 67.0
    assert (report.found, report.recall) == pytest.approx((2, 2 / 3))
    assert 0.0 < report.vus_pr < 1.0
    for one in report.profiles:
        assert one.cross_half <= one.best
        assert one.cross_random_min <= one.cross_random_mean <= one.cross_random_max <= one.best
    by_file = {file.file: file for file in report.per_file}
    assert [by_file[f"made/{name}.csv"].found for name in ("plain", "spikes", "stop")] == [0, 2, 0]
    assert math.isnan(by_file["made/plain.csv"].vus_pr)
    assert all(value >= 0.0 for value in report.realised_over_nominal.values())


def test_a_perfect_and_a_silent_detector(folder: Path, named: Callable[[Any], None]) -> None:
    windows = {"spikes": [158, 278], "stop": [240], "plain": []}
    firsts = {}
    for name, rows in windows.items():
        values = pd.read_csv(folder / "data" / "made" / f"{name}.csv")["value"].to_numpy()
        firsts[values.tobytes()] = rows

    def perfect(_times: Times, values: Floats, _probation: int) -> Judged:
        score = np.zeros(len(values))
        score[firsts.get(values.tobytes(), [])] = 1.0
        return Judged(score, score, np.ones(len(values)))

    named(perfect)
    found = evaluate(folder, "tried")
    assert [one.best for one in found.profiles] == pytest.approx([100.0] * 3)
    assert [one.default for one in found.profiles] == pytest.approx([100.0] * 3)
    assert (found.precision, found.recall, found.delay_rows_median, found.false_rows) == (1.0, 1.0, 0.0, 0)

    named(lambda _times, values, _probation: Judged.nothing(len(values)))
    silent = evaluate(folder, "tried", splits=0)
    assert [one.best for one in silent.profiles] == [0.0] * 3
    assert (silent.alarms, silent.recall) == (0, 0.0)
    told = json.loads(json.dumps(plain(silent), allow_nan=False))
    assert told["precision"] is None
    assert told["profiles"][0]["cross_random_mean"] is None
    assert told["realised_over_nominal"] == {"1e-02": None, "1e-03": None, "1e-04": None}


def test_scores_are_written_and_several_processes_agree(folder: Path, tmp_path: Path, report: EvaluationReport) -> None:
    seen: list[tuple[int, int | None]] = []
    again = evaluate(
        folder,
        "zscore",
        out=tmp_path / "out",
        plots=True,
        jobs=2,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert (again.profiles, again.vus_pr, again.realised_over_nominal) == (
        report.profiles,
        report.vus_pr,
        report.realised_over_nominal,
    )
    source = pd.read_csv(folder / "data" / "made" / "spikes.csv")
    written = pd.read_csv(tmp_path / "out" / "made" / "spikes.csv")
    assert list(written.columns) == ["timestamp", "value", "anomaly_score", "segment_score"]
    assert written[["timestamp", "value"]].equals(source)
    assert int(written["anomaly_score"].argmax()) in {160, 280}
    assert (tmp_path / "out" / "made" / "stop.png").read_bytes().startswith(b"\x89PNG")
    told = json.loads((tmp_path / "out" / "report.json").read_text())
    assert told["profiles"][0]["best"] == report.profiles[0].best
    assert told["per_file"][0]["vus_pr"] is None


def test_an_evaluation_is_a_run(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    settings = Settings(home=tmp_path)
    found = evaluate(folder, "zscore", plots=True, settings=settings, now_ms=1_700_000_000_000)
    client = MlflowClient(settings.tracking_uri)
    run = client.get_run(found.run_id)
    assert run.info.status == "FINISHED"
    assert (run.info.run_name, run.info.start_time) == (f"zscore on {folder.name}", 1_700_000_000_000)
    assert (run.data.params["detector"], run.data.params["files"]) == ("zscore", "3")
    assert run.data.metrics["standard_best"] == found.profiles[0].best
    assert run.data.metrics["realised_over_nominal_1e-02"] == found.realised_over_nominal["1e-02"]
    assert client.get_experiment(run.info.experiment_id).name == f"{settings.mlflow.experiment}-evaluations"
    assert {file.path for file in client.list_artifacts(found.run_id)} == {"made", "report.json"}
    names = {file.path for file in client.list_artifacts(found.run_id, "made")}
    assert {"made/spikes.csv", "made/spikes.png"} <= names

    # What MLflow refuses leaves a run that says so.
    with pytest.raises(TrackingError, match=r"MLflow at sqlite:.* answered INVALID_PARAMETER_VALUE: .*\.\./up"):
        record_evaluation(settings, Evaluation("zscore", {"../up": 1}, {}, {}, 1, 2))
    statuses = {one.info.status for one in client.search_runs([run.info.experiment_id])}
    assert statuses == {"FINISHED", "FAILED"}


def test_what_cannot_be_judged_is_told(folder: Path, tmp_path: Path, named: Callable[[Any], None]) -> None:
    with pytest.raises(ConfigError, match="No detector is called 'best'"):
        evaluate(folder, "best")
    with pytest.raises(ConfigError, match="0 jobs make no sense; give 1 or more"):
        evaluate(folder, "zscore", jobs=0)
    with pytest.raises(SourceError, match="a labelled folder holds"):
        evaluate(tmp_path, "zscore")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"Cannot make the folder '.*file'"):
        evaluate(folder, "zscore", out=tmp_path / "file")

    named(lambda _times, _values, _probation: Judged.nothing(3))
    with pytest.raises(
        DetectorError, match=r"tried gave anomaly_score of the shape \(3,\) for the 400 rows of made/plain"
    ):
        evaluate(folder, "tried")

    def refuse(_times: Times, _values: Floats, _probation: int) -> Judged:
        raise DetectorError("Too odd.")

    named(refuse)
    with pytest.raises(DetectorError, match=r"tried cannot judge made/plain\.csv: Too odd\."):
        evaluate(folder, "tried")


def test_a_process_that_dies_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = ProcessPoolExecutor.submit

    def kill(pool: ProcessPoolExecutor, _judge: object, *_arguments: object) -> Future[None]:
        return real(pool, os.abort)

    monkeypatch.setattr(ProcessPoolExecutor, "submit", kill)
    with pytest.raises(
        DetectorError, match=r"A process that judged files with zscore died after 0 of 3 files; .* fewer"
    ):
        evaluate(folder, "zscore", jobs=2)
