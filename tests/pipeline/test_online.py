"""Detection with a detector that learns as it goes: the same scores however the rows are cut, from the stored bytes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from gridwatch import tracking
from gridwatch.containers import ContainerInfo, ContainerType, Store
from gridwatch.containers.catalog import DETECTIONS, anomaly_id, score_info, series_name
from gridwatch.detectors import fingerprint
from gridwatch.detectors.base import Times
from gridwatch.detectors.explain import DRIVERS
from gridwatch.detectors.testing import random_walk
from gridwatch.errors import DetectorError
from gridwatch.pipeline.detect import detect
from gridwatch.pipeline.label_targets import Target
from gridwatch.pipeline.labels import say
from gridwatch.pipeline.lesson import learn
from gridwatch.pipeline.online import OnlineModel
from gridwatch.pipeline.series import Series
from gridwatch.pipeline.train import TrainReport, train
from gridwatch.pipeline.trial import Trial
from gridwatch.provenance import replay, subjects
from gridwatch.settings import Settings
from gridwatch.sources.dataset import Dataset, DateRange

NOW_MS = 1_800_000_000_000
ROWS, LEARNT = 900, 700
TIMES, VALUES = random_walk(ROWS)
JUMP = 800

MakeDataset = Callable[..., Dataset]
Write = Callable[[Dataset, Any, Any], None]


def jumped() -> Any:
    values = VALUES.copy()
    values[JUMP:] *= 1.2
    return values


@pytest.fixture(scope="module")
def trained(make_dataset: MakeDataset, validated: Callable[..., str], store: Store, settings: Settings) -> TrainReport:
    dataset = make_dataset("online", rows=ROWS, detector={"type": "auto"})
    validated(dataset)
    return train(dataset, store, settings, now_ms=int(TIMES[LEARNT - 1]))


@pytest.fixture
def fresh(trained: TrainReport, make_dataset: MakeDataset, store: Store, request: pytest.FixtureRequest) -> Dataset:
    """The same champion, another series: its own containers, and no watermark."""
    store.put_container(DETECTIONS)
    store.delete(DETECTIONS.name, ["online"])
    return make_dataset("online", rows=0, detector={"type": "auto"}, symbol=f"O-{request.node.name}"[:60])


def scores_of(store: Store, dataset: Dataset) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = store.read(score_info(dataset.symbol).name).to_pylist()
    return rows


def test_training_keeps_the_state_before_the_newest_rows(trained: TrainReport, settings: Settings) -> None:
    assert (trained.detector, trained.rows, trained.validation_rows, trained.epochs) == ("auto", LEARNT, 35, 0)
    assert (trained.val_loss, trained.champion) == (None, True)
    found = tracking.champion(settings, "gridwatch-online", "online")
    assert set(found.parts) == {"detector.json", "series.json", "state.npz"}
    assert found.sha256 == trained.sha256 == fingerprint(found.parts)
    again = OnlineModel()
    again.update(TIMES[: LEARNT - 35], VALUES[: LEARNT - 35])
    assert again.save() == found.parts
    assert OnlineModel.load(found.parts).unseen_from_ms == TIMES[LEARNT - 36] + 1


def test_the_run_holds_the_constants_figures_and_plots(trained: TrainReport, settings: Settings) -> None:
    from mlflow.models import get_model_info
    from mlflow.tracking import MlflowClient

    client = MlflowClient(settings.tracking_uri)
    run = client.get_run(trained.run_id)
    assert (run.data.params["detector"], run.data.params["threshold_rule"]) == ("auto", "alarm")
    assert float(run.data.params["threshold"]) > 90
    assert float(run.data.params["alarm_level"]) > 0
    assert run.data.metrics["val_mae"] == trained.val_mae
    assert "best_val_loss" not in run.data.metrics
    plots = {item.path for item in client.list_artifacts(trained.run_id, "plots")}
    assert plots == {"plots/alarms.png", "plots/predictions.png"}
    info = get_model_info(trained.model_uri)
    assert info.flavors["gridwatch"]["kind"] == "auto"


def test_however_the_schedule_cuts_the_rows_the_scores_are_the_same(
    fresh: Dataset, make_dataset: MakeDataset, write: Write, store: Store, settings: Settings
) -> None:
    whole = make_dataset("online", rows=0, detector={"type": "auto"}, symbol=f"{fresh.symbol}W")
    write(whole, TIMES, jumped())
    detect(whole, store, settings, now_ms=NOW_MS)
    store.delete(DETECTIONS.name, ["online"])
    for end in [*range(780, 830, 5), 831, ROWS]:
        write(fresh, TIMES[:end], jumped()[:end])
        detect(fresh, store, settings, now_ms=NOW_MS)
    assert scores_of(store, fresh) == scores_of(store, whole)
    assert len(scores_of(store, fresh)) == ROWS - LEARNT + 35


def test_an_anomaly_tells_what_drove_it_and_from_which_rows_it_follows(
    fresh: Dataset, trained: TrainReport, write: Write, store: Store, settings: Settings
) -> None:
    write(fresh, TIMES, jumped())
    report = detect(fresh, store, settings, now_ms=NOW_MS)
    [row] = store.read(report.anomaly_container).to_pylist()
    assert row["id"] == anomaly_id(fresh.container, "auto", "", int(TIMES[JUMP]))
    assert (row["model_sha256"], row["model_uri"]) == (trained.sha256, trained.model_uri)
    assert row["driver"].partition("-")[0] in DRIVERS
    assert row["anomaly_score"] > 97
    assert row["lower"] < row["expected"] < row["upper"] < row["actual"] == jumped()[JUMP]
    assert 0 < row["segment_score"] <= 100
    # The stored bytes and the rows of the range give the same score again.
    model = OnlineModel.load(tracking.champion(settings, fresh.model_name, fresh.name).parts)
    used = (row["input_from_ms"] <= TIMES) & (row["input_to_ms"] >= TIMES)
    said = model.update(TIMES[used], jumped()[used])
    assert said.columns["anomaly_score"][-1] == row["anomaly_score"]
    assert TIMES[used][0] == TIMES[LEARNT - 35]


def test_late_and_revised_rows_are_scored_in_their_place(
    fresh: Dataset, write: Write, store: Store, settings: Settings
) -> None:
    kept = np.delete(np.arange(ROWS), [300, 750])
    write(fresh, TIMES[kept], VALUES[kept])
    detect(fresh, store, settings, now_ms=NOW_MS)
    before = scores_of(store, fresh)
    write(fresh, TIMES[[750, 760]], VALUES[[750, 760]] * 1.5)
    report = detect(fresh, store, settings, now_ms=NOW_MS + 1)
    assert (report.scored, report.late, report.revised, report.anomalies) == (2, 1, 1, 1)
    changed = {int(TIMES[750]), int(TIMES[760])}
    assert [row for row in scores_of(store, fresh) if row["ts"].timestamp() * 1000 not in changed] == [
        row for row in before if row["ts"].timestamp() * 1000 not in changed
    ]


def test_a_range_that_was_learnt_is_scored_from_the_series_beginning(
    fresh: Dataset, write: Write, store: Store, settings: Settings
) -> None:
    early = fresh.model_copy(update={"scoring": DateRange(start=date(2023, 11, 1))})
    write(fresh, TIMES, jumped())
    report = detect(early, store, settings, now_ms=NOW_MS)
    # The first row has no return.
    assert report.scored == ROWS - 1
    model = OnlineModel()
    said = model.update(TIMES, jumped())
    assert [row["score"] for row in scores_of(store, fresh)] == said.columns["score"].tolist()
    # Those of rows that the model had learnt, and those after, are computed again from where each began.
    done = replay(store, settings, subjects(store, fresh.symbol), now_ms=NOW_MS)
    assert [one.verdict for one in done] == ["bit-equal"] * report.anomalies


@pytest.mark.parametrize(("rule", "value"), [("score", 80.0), ("loss", 3.0), ("alarm", 60.0)])
def test_another_threshold_may_be_set(
    fresh: Dataset, write: Write, store: Store, settings: Settings, rule: str, value: float
) -> None:
    own = fresh.model_copy(update={"threshold": fresh.threshold.model_copy(update={"rule": rule, "value": value})})
    write(own, TIMES, jumped())
    report = detect(own, store, settings, now_ms=NOW_MS)
    name = "anomaly_score" if rule == "alarm" else rule
    flagged = [row["ts"] for row in scores_of(store, own) if row[name] >= value]
    assert len(flagged) > 1
    assert sorted(row["ts"] for row in store.read(report.anomaly_container).to_pylist()) == flagged


def test_containers_of_an_older_version_get_the_new_columns(
    fresh: Dataset, write: Write, store: Store, settings: Settings
) -> None:
    info = score_info(fresh.symbol)
    old = ContainerInfo(info.name, ContainerType.TIME_SERIES, info.columns[:10], info.row_key)
    store.put_container(old)
    row = dict.fromkeys(("actual", "expected", "lower", "upper", "loss", "score", "p_value"), 1.0)
    ts = pa.array([int(TIMES[720])], pa.int64()).cast(pa.timestamp("ms", "UTC"))
    store.put(info.name, pa.table({"ts": ts, **{name: [value] for name, value in row.items()}, "detector": ["lstm"]}))
    write(fresh, TIMES, VALUES)
    detect(fresh, store, settings, now_ms=NOW_MS)
    rows = scores_of(store, fresh)
    assert {"driver", "anomaly_score", "segment_score", "surprise"} < set(rows[0])
    assert {row["detector"] for row in rows} == {"auto"}  # its value was another, so it was scored again


def test_a_fresher_state_takes_over_and_the_same_does_not(
    trained: TrainReport, make_dataset: MakeDataset, store: Store, settings: Settings
) -> None:
    dataset = make_dataset("online", rows=0, detector={"type": "auto"})
    again = train(dataset, store, settings, now_ms=int(TIMES[LEARNT - 1]))
    assert not again.champion
    assert again.why.startswith(f"The same as version {trained.model_version}, byte for byte: mean absolute error ")


def test_too_few_rows_says_how_many(make_dataset: MakeDataset, store: Store, settings: Settings) -> None:
    dataset = make_dataset("online_few", rows=60, detector={"type": "auto"})
    with pytest.raises(DetectorError, match=r"60 rows are too few to learn from: 'auto' needs at least \d+, of which"):
        train(dataset, store, settings, now_ms=NOW_MS, force=True)


@pytest.mark.parametrize("rule", ["alarm", "loss"])
def test_what_people_call_expected_is_no_anomaly(
    fresh: Dataset, write: Write, store: Store, settings: Settings, rule: str
) -> None:
    value = {"alarm": None, "loss": 5.0}[rule]
    own = fresh.model_copy(update={"threshold": fresh.threshold.model_copy(update={"rule": rule, "value": value})})
    write(own, TIMES, jumped())
    around = Target(series_name(own.symbol), "", None, int(TIMES[JUMP - 1]), int(TIMES[JUMP + 30]))
    say(store, "expected", around, author="me", now_ms=NOW_MS - 1)
    report = detect(own, store, settings, now_ms=NOW_MS)
    inside = [row for row in scores_of(store, own) if row["ts"].timestamp() * 1000 == TIMES[JUMP]]
    assert (report.anomalies, inside[0]["anomaly_score"] > 97) == (0, True)


def test_an_alarm_tells_what_people_said_of_those_like_it(
    fresh: Dataset, write: Write, store: Store, settings: Settings
) -> None:
    write(fresh, TIMES[: JUMP + 5], jumped()[: JUMP + 5])
    detect(fresh, store, settings, now_ms=NOW_MS)
    row = Target(series_name(fresh.symbol), "", None, int(TIMES[JUMP]), int(TIMES[JUMP]))
    say(store, "true", row, author="me", now_ms=NOW_MS + 1)
    values = jumped()
    values[870:] *= 4.0
    write(fresh, TIMES, values)
    report = detect(fresh, store, settings, now_ms=NOW_MS + 2)
    assert report.anomalies >= 1
    told = [one["explanation"] for one in store.get(report.anomaly_container, report.new_anomaly_ids).to_pylist()]
    assert "would have been" in told[0]
    assert told[0].endswith("is as odd. Of alarms like it, people have called 1 true and 0 false.")


def test_what_people_call_true_is_not_learnt_as_usual(
    fresh: Dataset, write: Write, store: Store, settings: Settings
) -> None:
    """The same fault twice: where the first was confirmed, the second is as surprising as if it were the first."""
    values = VALUES.copy()
    values[[JUMP, JUMP + 60]] *= 1.5
    write(fresh, TIMES[: JUMP + 50], values[: JUMP + 50])
    detect(fresh, store, settings, now_ms=NOW_MS)
    confirmed = Target(series_name(fresh.symbol), "", None, int(TIMES[JUMP]), int(TIMES[JUMP]))
    surprises = {}
    for said in (False, True):
        if said:
            say(store, "true", confirmed, author="me", now_ms=NOW_MS + 1)
        store.delete(DETECTIONS.name, ["online"])
        store.delete(f"SCORE_{series_name(fresh.symbol)}", [int(TIMES[JUMP + 60])])
        write(fresh, TIMES, values)
        detect(fresh, store, settings, now_ms=NOW_MS + 2)
        (row,) = (row for row in scores_of(store, fresh) if row["ts"].timestamp() * 1000 == TIMES[JUMP + 60])
        surprises[said] = row["surprise"]
    assert surprises[True] > surprises[False] + 1.0


def test_neither_side_of_a_trial_learns_what_people_called_out_of_the_ordinary(
    fresh: Dataset, write: Write, store: Store
) -> None:
    values = VALUES.copy()
    values[680:685] *= 1.5
    write(fresh, TIMES[:LEARNT], values[:LEARNT])
    series = Series(TIMES[:LEARNT], values[:LEARNT])

    def away(times_ms: Times) -> npt.NDArray[np.bool_]:
        return np.isin(times_ms, TIMES[680:685])

    lesson = learn(fresh, series, away=away(series.times_ms))
    same = tracking.ChampionModel("models:/m/1", "1", "run", "other bytes", dict(lesson.parts))
    trial = Trial.run(fresh, store, series, lesson, same, away=away)
    assert trial.champion_mae == trial.val_mae
    assert Trial.run(fresh, store, series, lesson, same).champion_mae != trial.val_mae
