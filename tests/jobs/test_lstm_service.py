"""The life of a job whose series share a network; nobody had to train it, and MLflow comes and goes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gridwatch.cli.app import app
from gridwatch.containers.sqlite import SqliteStore
from gridwatch.errors import JobsBodyError, JobsConflictError, JobsRequestError, TrackingError
from gridwatch.jobs.analysis.lstm_learning import Taught
from gridwatch.jobs.analysis.lstm_lesson import Lesson
from gridwatch.jobs.analysis.lstm_network import Network
from gridwatch.jobs.config import JobConfig
from gridwatch.jobs.service import JobsService
from gridwatch.settings import Settings
from gridwatch.tracking import Recorded, Training
from tests.jobs.lstm_parts import BUCKETS, HOUR, START, lstm_job, network, rows

RAW = lstm_job(data_description={"time_format": "epoch_ms"}).to_json()


class Tracking:
    """Stands for MLflow."""

    def __init__(self) -> None:
        self.away = False
        self.trainings: list[Training] = []
        self.champion = ""

    def record(self, _settings: Settings, training: Training) -> Recorded:
        if self.away:
            raise TrackingError("MLflow is away.")
        self.trainings.append(training)
        many = str(len(self.trainings))
        return Recorded(f"run{many}", f"m-{many}", many, f"models:/{training.model_name}/{many}")

    def crown(self, _settings: Settings, model_name: str, version: str) -> None:
        self.champion = f"{model_name}/{version}"


def learnt_as(made: Network, **learnt: Any) -> Network:
    return replace(made, learnt=replace(made.learnt, **learnt))


@pytest.fixture
def tracking(monkeypatch: pytest.MonkeyPatch) -> Tracking:
    tracking = Tracking()
    monkeypatch.setattr("gridwatch.tracking.record", tracking.record)
    monkeypatch.setattr("gridwatch.tracking.crown", tracking.crown)
    return tracking


@pytest.fixture
def learnt(monkeypatch: pytest.MonkeyPatch) -> list[Lesson]:
    """Lessons that were learnt: each network is worse than the one before."""
    lessons: list[Lesson] = []

    def learn(job: JobConfig, lesson: Lesson, on_epoch: Callable[[int, int, dict[str, float]], None]) -> Taught:
        lessons.append(lesson)
        on_epoch(1, job.model.epochs, {})
        made = network(job.model.window, lesson.to_ms + HOUR, lesson.memory_rows)
        return Taught(
            learnt_as(made, digest=lesson.digest, val_loss=float(10 ** len(lessons))),
            None,
            [{"loss": 1.0, "val_loss": 1.0}],
        )

    monkeypatch.setattr("gridwatch.jobs.service.networks.learn_apart", learn)
    return lessons


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(tmp_path / "store.db") as store:
        yield store


@pytest.fixture
def service(store: SqliteStore, tmp_path: Path) -> JobsService:
    service = JobsService(store, now_ms=lambda: START + 400 * HOUR, settings=Settings(home=tmp_path))
    service.put_job(RAW)
    service.open_job("deep")
    return service


def rows_seen(service: JobsService) -> int:
    return int(service.job_stats("deep")["jobs"][0]["data_counts"]["processed_record_count"])


def said(service: JobsService) -> list[str]:
    return [one["message"] for one in service.messages.of("deep")]


def test_what_cannot_be_trained_is_told(service: JobsService) -> None:
    service.put_job({"analysis_config": {"detectors": [{"function": "count"}]}}, job_id="plain")
    with pytest.raises(JobsRequestError, match=r"Job \[plain\] has nothing to train: its model is \[auto\]"):
        service.train_job("plain")
    raw = {"analysis_config": {"bucket_span": "1h", "detectors": [{"function": "count"}]}, "model": {"type": "lstm"}}
    service.put_job(raw, job_id="young")
    with pytest.raises(JobsConflictError, match=r"Cannot use job \[young\] while its state is \[closed\]"):
        service.train_job("young")
    service.open_job("young")
    service.post_data("young", rows(40, partitions=1))
    with pytest.raises(JobsRequestError, match=r"Job \[young\] has too little to learn yet: 15 windows of 24 buckets"):
        service.train_job("young")


def test_while_mlflow_is_away_rows_are_not_taken_and_nothing_is_trained_twice(
    service: JobsService, tracking: Tracking, learnt: list[Lesson]
) -> None:
    frame = rows(BUCKETS + 10)
    tracking.away = True
    for _ in range(2):
        with pytest.raises(TrackingError, match=r"MLflow is away"):
            service.post_data("deep", frame)
    assert rows_seen(service) == 0
    tracking.away = False
    service.post_data("deep", frame)
    assert (rows_seen(service), len(learnt), tracking.champion) == (len(frame), 1, "job-deep/1")
    assert tracking.trainings[0].metrics["became_champion"] == 1.0
    assert service.job_stats("deep")["jobs"][0]["network"]["model_uri"] == "models:/job-deep/1"


def test_a_network_that_is_no_better_is_recorded_and_not_used(
    service: JobsService, store: SqliteStore, tracking: Tracking, learnt: list[Lesson]
) -> None:
    service.post_data("deep", rows(BUCKETS + 10))
    epochs: list[tuple[int, int]] = []
    done = service.train_job("deep", progress=lambda at, of: epochs.append((at, of)))
    assert epochs == [(1, 2)]
    assert (done["used"], done["network"]["model_uri"], tracking.champion) == (
        False,
        "models:/job-deep/1",
        "job-deep/1",
    )
    assert [one.metrics["became_champion"] for one in tracking.trainings] == [1.0, 0.0]
    assert tracking.trainings[1].metrics["champion_loss"] < 100.0
    assert said(service)[0].startswith(
        "An LSTM was trained (models:/job-deep/2) and is not used, since it is no better"
    )
    # One that expects the newest better judges from then on, and after a restart.
    better = learnt_as(network(), val_loss=0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "gridwatch.jobs.service.networks.learn_apart",
            lambda *_given: Taught(better, None, [{"loss": 1.0, "val_loss": 0.0}]),
        )
        done = service.train_job("deep")
    assert (done["used"], done["network"]["model_uri"], tracking.champion) == (True, "models:/job-deep/3", "job-deep/3")
    again = JobsService(store, now_ms=service.now_ms)
    with again.running.hold("deep") as open_job:
        assert open_job.analyzer.network is not None
        assert open_job.analyzer.network.uri == "models:/job-deep/3"


def test_the_network_goes_with_what_the_job_has_learnt(
    service: JobsService, tracking: Tracking, learnt: list[Lesson]
) -> None:
    service.post_data("deep", rows(BUCKETS + 10))
    service.close_job("deep")
    with pytest.raises(JobsBodyError, match=r"\[model\] cannot be changed once a job is made"):
        service.update_job("deep", {"model": {"type": "auto"}})
    service.reset_job("deep")
    assert "network" not in service.job_stats("deep")["jobs"][0]
    service.open_job("deep")
    service.post_data("deep", rows(BUCKETS - 10))
    assert "network" not in service.job_stats("deep")["jobs"][0]
    assert (len(learnt), len(tracking.trainings)) == (1, 1)


def test_too_little_to_learn_is_told_with_when(service: JobsService, learnt: list[Lesson]) -> None:
    raw: dict[str, Any] = {**RAW, "job_id": "few", "model": {**RAW["model"], "train_buckets": 50, "window": 20}}
    service.put_job(raw)
    service.open_job("few")
    service.post_data("few", rows(60, partitions=1))
    assert service.messages.of("few")[0]["message"] == (
        "The LSTM is not trained yet: 30 windows of 1 series are too few at 2024-02-19T02:00:00Z. The usual model goes "
        "on; it is tried again after more buckets."
    )
    assert not learnt


def test_the_command_line_trains_and_shows_the_network(
    service: JobsService, tracking: Tracking, learnt: list[Lesson], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path))

    def printed(*arguments: str) -> str:
        ran = CliRunner().invoke(app, ["jobs", *arguments], env={"COLUMNS": "200"})
        assert ran.exit_code == 0, ran.output
        return ran.stdout

    service.put_job({**RAW, "job_id": "young"})
    service.post_data("deep", rows(BUCKETS + 10))
    assert "lstm, not trained yet: the usual model judges" in printed("show", "young")
    assert "lstm models:/job-deep/1, trained on buckets up to 2024-02-22 00:00:00 UTC" in printed("show", "deep")
    assert printed("train", "deep").startswith("An LSTM was trained (models:/job-deep/2) and is not used, since it is")
    done = json.loads(printed("train", "deep", "--json"))
    assert (done["used"], done["network"]["model_uri"]) == (False, "models:/job-deep/1")
