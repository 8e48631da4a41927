"""Training: what is learnt, what is refused, who becomes champion."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import pytest

from gridwatch import tracking
from gridwatch.containers import Store
from gridwatch.containers.catalog import TRAININGS
from gridwatch.detectors.testing import random_walk
from gridwatch.errors import ContainerNotFoundError, DetectorError, ValidationFailedError
from gridwatch.pipeline.compare import compare, with_detector
from gridwatch.pipeline.compare_plot import compare_plot
from gridwatch.pipeline.lesson import learn
from gridwatch.pipeline.models import load_model, rule_of
from gridwatch.pipeline.train import TrainReport, train, training_series
from gridwatch.pipeline.train_report import write_training
from gridwatch.pipeline.trial import Trial
from gridwatch.settings import Settings
from gridwatch.sources.dataset import Dataset, DateRange

NOW_MS = 1_800_000_000_000
MakeDataset = Callable[..., Dataset]
Validated = Callable[..., str]


@pytest.fixture(scope="module")
def walk(make_dataset: MakeDataset, validated: Validated) -> Dataset:
    dataset = make_dataset("train_walk")
    validated(dataset)
    return dataset


@pytest.fixture(scope="module")
def first(walk: Dataset, store: Store, settings: Settings) -> TrainReport:
    return train(walk, store, settings, now_ms=NOW_MS, flow_run_id="flow-1")


def test_the_first_model_is_champion(first: TrainReport, settings: Settings) -> None:
    assert first.champion
    assert first.why.startswith("First model of this dataset: mean absolute error ")
    assert (first.rows, first.validation_rows, first.champion_mae) == (400, 20, None)
    assert first.model_uri == "models:/gridwatch-train_walk/1"
    found = tracking.champion(settings, "gridwatch-train_walk", "train_walk")
    assert (found.version, found.sha256, found.run_id) == (first.model_version, first.sha256, first.run_id)
    json.dumps(dataclasses.asdict(first), allow_nan=False)


def test_the_store_has_a_row_of_each_training(first: TrainReport, store: Store) -> None:
    [row] = store.get(TRAININGS.name, [first.run_id]).to_pylist()
    assert row["trained_ms"] == NOW_MS
    assert row["flow_run_id"] == "flow-1"
    told = dataclasses.asdict(first)
    assert {name: row[name] for name in row if name in told} == {name: told[name] for name in row if name in told}


def test_a_figure_that_is_infinite_is_null_in_the_row(first: TrainReport, store: Store) -> None:
    report = dataclasses.replace(first, run_id="inf", val_mae=float("inf"))
    write_training(report, store, now_ms=NOW_MS, flow_run_id=None)
    [row] = store.get(TRAININGS.name, ["inf"]).to_pylist()
    assert (row["val_mae"], row["champion"]) == (None, True)


def test_the_run_says_where_it_comes_from(first: TrainReport, settings: Settings) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(settings.tracking_uri)
    run = client.get_run(first.run_id)
    assert run.data.tags["gridwatch.flow_run_id"] == "flow-1"
    assert run.data.tags["gridwatch.validation_id"] == first.validation_id == "train_walk-1"
    assert run.data.params["feature"] == "log_return"
    assert run.data.metrics["val_mae"] == first.val_mae
    assert run.data.metrics["naive_mae"] == pytest.approx(first.naive_mae)
    assert {item.path for item in client.list_artifacts(first.run_id, "plots")} == {
        "plots/loss.png",
        "plots/predictions.png",
    }


def test_the_same_again_is_not_better(first: TrainReport, walk: Dataset, store: Store, settings: Settings) -> None:
    seen: list[tuple[int, int | None]] = []
    again = train(walk, store, settings, now_ms=NOW_MS, progress=lambda done, most: seen.append((done, most)))
    assert seen == [(1, 2), (2, 2)]
    assert not again.champion
    assert again.why.startswith(f"Not better than version {first.model_version}: mean absolute error ")
    assert again.sha256 == first.sha256
    assert again.champion_mae == again.val_mae == first.val_mae
    assert tracking.champion(settings, walk.model_name, walk.name).version == first.model_version


def test_a_better_model_becomes_champion(
    make_dataset: MakeDataset, write: Callable[[Dataset, Any, Any], None], store: Store, settings: Settings
) -> None:
    dataset = make_dataset("train_better", rows=0, feature="level")
    write(dataset, random_walk(400)[0], 100.0 + np.sin(np.arange(400) / 5.0))
    poor = train(dataset, store, settings, now_ms=NOW_MS, force=True)
    more = dataset.model_copy(update={"model": dataset.model.model_copy(update={"epochs": 15, "learning_rate": 0.03})})
    good = train(more, store, settings, now_ms=NOW_MS, force=True)
    assert good.champion
    assert good.champion_mae == pytest.approx(poor.val_mae, rel=1e-6)
    assert good.val_mae < poor.val_mae
    assert good.why.startswith("Better than version 1: ")
    assert tracking.champion(settings, dataset.model_name, dataset.name).version == good.model_version


def test_a_failed_validation_refuses_and_names_what_failed(
    make_dataset: MakeDataset, validated: Validated, store: Store, settings: Settings
) -> None:
    dataset = make_dataset("train_failed", detector={"type": "auto"})
    validated(dataset, run_ms=1)
    validated(dataset, success=False, run_ms=2)
    wanted = r"validation of dataset 'train_failed' \(train_failed-2\) failed 1 of 9 .*expect_ohlc_consistent.*row 7"
    with pytest.raises(ValidationFailedError, match=wanted + r".*train with --force"):
        train(dataset, store, settings, now_ms=NOW_MS)
    report = train(dataset, store, settings, now_ms=NOW_MS, force=True)
    assert report.validation_id == "train_failed-2"


def test_rows_that_were_never_validated_are_refused(
    make_dataset: MakeDataset, store: Store, settings: Settings
) -> None:
    dataset = make_dataset("train_unseen")
    with pytest.raises(
        ValidationFailedError, match=r"'train_unseen' has not been validated; first run `gridwatch vali"
    ):
        train(dataset, store, settings, now_ms=NOW_MS)


def test_rows_after_the_newest_validation_are_refused(
    make_dataset: MakeDataset, validated: Validated, store: Store, settings: Settings
) -> None:
    dataset = make_dataset("train_later")
    times = store.read(dataset.container, columns=["ts"])["ts"].cast("int64").to_pylist()
    validated(dataset, to_ms=times[-4])
    wanted = (
        r"3 rows of dataset 'train_later' came after its newest validation \(train_later-1\); first run `gridwatch va"
    )
    with pytest.raises(ValidationFailedError, match=wanted):
        train(dataset, store, settings, now_ms=NOW_MS)


def test_nothing_loaded_says_what_to_run(store: Store, settings: Settings) -> None:
    dataset = Dataset.model_validate({"name": "none", "symbol": "NONE", "source": {"kind": "sample", "series": "FB"}})
    with pytest.raises(ContainerNotFoundError, match=r"No container 'INTRADAY_NONE' .*first run `gridwatch load none`"):
        train(dataset, store, settings, now_ms=NOW_MS)


def test_a_range_without_rows_is_told(make_dataset: MakeDataset, store: Store) -> None:
    dataset = make_dataset("train_early", training={"end": "2020-01-01"})
    with pytest.raises(DetectorError, match=r"has no rows in the training range .*\(its beginning to 2020-01-01\)"):
        training_series(dataset, store, NOW_MS)


def test_too_few_rows_says_how_many(make_dataset: MakeDataset, store: Store, settings: Settings) -> None:
    dataset = make_dataset("train_few", rows=30)
    with pytest.raises(DetectorError, match=r"30 rows are too few .* needs at least \d+"):
        train(dataset, store, settings, now_ms=NOW_MS, force=True)


@pytest.mark.parametrize(("months", "rows"), [(None, 400), (1, 31)])
def test_only_the_newest_months_are_learnt(
    make_dataset: MakeDataset, write: Callable[[Dataset, Any, Any], None], store: Store, months: int | None, rows: int
) -> None:
    dataset = make_dataset(f"train_months_{months}".lower(), rows=0, interval="1D", train_months=months)
    write(dataset, *random_walk(400, every_ms=86_400_000))
    assert len(training_series(dataset, store, NOW_MS)) == rows


def test_later_rows_than_now_are_not_learnt(walk: Dataset, store: Store) -> None:
    times, _ = random_walk(400)
    assert len(training_series(walk, store, int(times[99]))) == 100


def test_rows_without_a_value_are_left_out(make_dataset: MakeDataset, store: Store) -> None:
    import pandas as pd

    dataset = make_dataset("train_nulls", rows=50)
    times, _ = random_walk(50)
    ts = pd.to_datetime(times[10:13], unit="ms", utc=True).as_unit("ms")
    store.put(dataset.container, pd.DataFrame({"ts": ts, "open": [1.0, 1.0, 1.0]}))
    series = training_series(dataset, store, NOW_MS)
    assert (len(series), series.nulls) == (47, 3)


def test_detectors_side_by_side_flag_the_same_rows_by_their_own_rules(
    walk: Dataset, first: TrainReport, store: Store
) -> None:
    before = store.containers()
    auto, fixed = compare(walk, store, ["auto", "lstm-fixed"], now_ms=NOW_MS)
    assert store.containers() == before
    assert [(auto.feature, auto.rule.name), (fixed.feature, fixed.rule.name)] == [
        ("log_return", "alarm"),
        ("level", "loss"),
    ]
    assert fixed.rule.value == 0.65
    assert len(auto.scored) == len(fixed.scored) == first.validation_rows
    assert compare_plot([auto, fixed], title="$walk$", label="close").startswith(b"\x89PNG")
    for side in (auto, fixed):
        told = side.summary()
        assert told["anomalies"] == int(side.flagged.sum()) == len(told["times_ms"])  # type: ignore[arg-type]
    assert with_detector(walk, "lstm") is walk
    away = walk.model_copy(update={"scoring": DateRange(start=date(2000, 1, 1), end=date(2000, 1, 2))})
    with pytest.raises(DetectorError, match=r"'train_walk' has no rows in its scoring range"):
        compare(away, store, ["auto"], now_ms=NOW_MS)


def test_an_lstm_may_be_one_of_the_members(walk: Dataset, store: Store) -> None:
    joined = with_detector(walk, "auto+lstm")
    series = training_series(joined, store, NOW_MS)
    epochs: list[int] = []
    lesson = learn(joined, series, lambda done, _most: epochs.append(done))
    assert (lesson.model.kind, epochs) == ("auto+lstm", [1, 2])
    assert set(lesson.parts) >= {"detector.json", "model.onnx", "series.json"}
    assert lesson.example is not None
    assert lesson.example.shape == (3, 8, 1)
    again = load_model(lesson.parts, joined)
    newest = np.arange(len(series)) >= len(series) - lesson.held
    said = again.say(joined, store, series, newest)
    assert said.columns["score"].tolist() == lesson.scored.columns["score"][-lesson.held :].tolist()
    # Rows that were learnt are scored by one that begins anew with the same network.
    early = again.say(joined, store, series, ~newest)
    assert np.allclose(early.columns["score"], lesson.scored.columns["score"][: -lesson.held])


def test_another_kind_of_detector_follows_the_file(
    walk: Dataset, first: TrainReport, store: Store, settings: Settings
) -> None:
    other = with_detector(walk, "auto")
    switched = train(other, store, settings, now_ms=NOW_MS)
    assert switched.champion
    assert switched.why.startswith(f"The dataset names 'auto', and version {first.model_version} is 'lstm': mean abs")
    assert switched.champion_mae == pytest.approx(first.val_mae, rel=1e-6)
    crowned = tracking.champion(settings, walk.model_name, walk.name)
    assert crowned.version == switched.model_version
    # Until the next training it scores a dataset that names the LSTM again, by its own rule.
    assert rule_of(walk, load_model(crowned.parts, walk)).name == "alarm"


def test_a_champion_that_cannot_be_read_does_not_stand_in_the_way(walk: Dataset, store: Store) -> None:
    lesson = learn(with_detector(walk, "auto"), training_series(walk, store, NOW_MS))
    parts = {**lesson.parts, "state.npz": b"of another version"}
    old = tracking.ChampionModel("models:/x/7", "7", "r", "s", parts)
    trial = Trial.run(with_detector(walk, "auto"), store, training_series(walk, store, NOW_MS), lesson, old)
    assert trial.better
    assert trial.why.startswith("Version 7 cannot be read (state.npz is damaged")
