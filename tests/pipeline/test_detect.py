"""Detection: which rows are scored, what an anomaly carries, and that repeating changes nothing."""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from gridwatch.containers import Store
from gridwatch.containers.catalog import DETECTIONS, anomaly_id
from gridwatch.detectors.testing import random_walk
from gridwatch.errors import ContainerNotFoundError, StoreError, TrackingError, ValidationFailedError
from gridwatch.pipeline import detect as module
from gridwatch.pipeline.detect import DetectReport, detect
from gridwatch.pipeline.models import stretches
from gridwatch.pipeline.series import Series
from gridwatch.pipeline.train import TrainReport, train
from gridwatch.provenance import replay, subjects
from gridwatch.settings import Settings
from gridwatch.sources.dataset import Dataset

NOW_MS = 1_800_000_000_000
TIMES, VALUES = random_walk(400)
JUMP = 390
"""Row at which the watched series jumps; training ends before."""

MakeDataset = Callable[..., Dataset]
Write = Callable[[Dataset, Any, Any], None]


@pytest.fixture(scope="module")
def trained(make_dataset: MakeDataset, validated: Callable[..., str], store: Store, settings: Settings) -> TrainReport:
    dataset = make_dataset("detect")
    validated(dataset)
    return train(dataset, store, settings, now_ms=int(TIMES[379]))


@pytest.fixture
def fresh(trained: TrainReport, make_dataset: MakeDataset, store: Store, request: pytest.FixtureRequest) -> Dataset:
    """The same champion, another series: its own containers, and no watermark."""
    store.put_container(DETECTIONS)
    store.delete(DETECTIONS.name, ["detect"])
    return make_dataset("detect", rows=0, symbol=f"D{zlib.crc32(request.node.name.encode())}")


def jumped() -> Any:
    values = VALUES.copy()
    values[JUMP:] *= 1.2
    return values


def everything(store: Store, dataset: Dataset) -> tuple[list[Any], list[Any], list[Any]]:
    series = dataset.container.removeprefix("INTRADAY_")
    watermark = store.get(DETECTIONS.name, [dataset.name]).to_pylist()
    return store.read(f"SCORE_{series}").to_pylist(), store.read(f"ANOMALY_{series}").to_pylist(), watermark


def test_an_open_range_begins_where_training_ended(
    fresh: Dataset, trained: TrainReport, write: Write, store: Store, settings: Settings
) -> None:
    write(fresh, TIMES, jumped())
    report = detect(fresh, store, settings, now_ms=NOW_MS, flow_run_id="flow-2")
    assert report.from_ms == TIMES[380 - trained.validation_rows]
    assert report.to_ms == TIMES[-1]
    assert report.scored == 20 + trained.validation_rows
    assert (report.late, report.revised, report.nulls) == (0, 0, 0)
    json.dumps(dataclasses.asdict(report), allow_nan=False)


def test_an_anomaly_carries_all_that_led_to_it(
    fresh: Dataset, trained: TrainReport, write: Write, store: Store, settings: Settings
) -> None:
    write(fresh, TIMES, jumped())
    report = detect(fresh, store, settings, now_ms=NOW_MS, flow_run_id="flow-2")
    scores, [row], [watermark] = everything(store, fresh)
    assert row["id"] == anomaly_id(fresh.container, "lstm", "", int(TIMES[JUMP])) == report.new_anomaly_ids[0]
    assert row["ts"].timestamp() * 1000 == TIMES[JUMP]
    assert row["actual"] == jumped()[JUMP]
    assert row["lower"] < row["expected"] < row["upper"] < row["actual"]
    assert row["score"] > 99
    assert row["severity"] == "critical"
    assert (row["driver"], row["anomaly_score"], row["segment_score"]) == ("lstm", None, None)
    assert row["explanation"].endswith("as odd.")
    assert "normal would have been a value near the forecast" in row["explanation"]
    assert (row["model_uri"], row["model_sha256"], row["run_id"]) == (
        trained.model_uri,
        trained.sha256,
        trained.run_id,
    )
    assert (row["validation_id"], row["flow_run_id"]) == ("detect-1", "flow-2")
    assert (row["input_from_ms"], row["input_to_ms"]) == (TIMES[JUMP - 59], TIMES[JUMP])
    assert row["detected_ms"] == row["scored_ms"] == NOW_MS
    used = (row["input_from_ms"] <= TIMES) & (row["input_to_ms"] >= TIMES)
    inputs = Series(TIMES[used], jumped()[used])
    assert (row["source"], row["source_column"]) == (fresh.container, "close")
    assert (row["input_rows"], row["input_sha256"]) == (60, inputs.sha256())
    learnt = Series(TIMES[:380], VALUES[:380])
    assert (row["trained_from_ms"], row["trained_to_ms"]) == (TIMES[0], TIMES[379])
    assert (row["trained_rows"], row["trained_sha256"]) == (380, learnt.sha256())
    said = json.loads(row["provenance"])
    assert (said["dataset"], said["rule"], said["threshold"]) == ("detect", "score", 95.0)
    assert said["libraries"]["numpy"] == np.__version__
    assert len(scores) == report.scored == watermark["scored"]
    assert {line["model_version"] for line in scores} == {trained.model_version}
    assert watermark["scored_to_ms"] == TIMES[-1]


def test_running_it_again_changes_nothing(fresh: Dataset, write: Write, store: Store, settings: Settings) -> None:
    write(fresh, TIMES, jumped())
    detect(fresh, store, settings, now_ms=NOW_MS)
    before = everything(store, fresh)
    again = detect(fresh, store, settings, now_ms=NOW_MS + 1)
    assert (again.scored, again.anomalies, again.new_anomaly_ids) == (0, 0, [])
    assert everything(store, fresh) == before


def test_in_pieces_or_at_once_the_scores_are_the_same(
    fresh: Dataset, make_dataset: MakeDataset, write: Write, store: Store, settings: Settings
) -> None:
    whole = make_dataset("detect", rows=0, symbol=f"{fresh.symbol}_WHOLE")
    write(whole, TIMES, jumped())
    detect(whole, store, settings, now_ms=NOW_MS)
    store.delete(DETECTIONS.name, ["detect"])
    for end in (375, 376, 391, 400):
        write(fresh, TIMES[:end], jumped()[:end])
        detect(fresh, store, settings, now_ms=NOW_MS)
    ours, theirs = everything(store, fresh), everything(store, whole)
    assert [row["ts"] for row in ours[0]] == [row["ts"] for row in theirs[0]]
    for name in ("expected", "lower", "upper", "loss", "score", "p_value"):
        assert [row[name] for row in ours[0]] == pytest.approx([row[name] for row in theirs[0]], rel=1e-5, abs=1e-9)
    assert len(ours[1]) == len(theirs[1]) == 1
    # One was scored in a batch of twenty-six windows, the other in one of two: each is computed again by itself.
    for one in (fresh, whole):
        [done] = replay(store, settings, subjects(store, one.symbol), now_ms=NOW_MS)
        assert done.verdict == "bit-equal", done.differing


def test_a_late_row_is_scored(fresh: Dataset, write: Write, store: Store, settings: Settings) -> None:
    early = np.delete(np.arange(400), [385])
    write(fresh, TIMES[early], VALUES[early])
    detect(fresh, store, settings, now_ms=NOW_MS)
    before = everything(store, fresh)[0]
    write(fresh, TIMES[385:386], VALUES[385:386] * 1.5)
    report = detect(fresh, store, settings, now_ms=NOW_MS + 1)
    assert (report.scored, report.late, report.revised, report.anomalies) == (1, 1, 0, 1)
    after, _, [watermark] = everything(store, fresh)
    assert [row for row in after if row["ts"].timestamp() * 1000 != TIMES[385]] == before
    assert watermark["scored_to_ms"] == TIMES[-1]


def test_a_revised_row_is_scored_again_and_its_anomaly_keeps_its_time(
    fresh: Dataset, write: Write, store: Store, settings: Settings
) -> None:
    write(fresh, TIMES, jumped())
    detect(fresh, store, settings, now_ms=NOW_MS)
    write(fresh, TIMES[JUMP : JUMP + 1], jumped()[JUMP : JUMP + 1] * 1.01)
    report = detect(fresh, store, settings, now_ms=NOW_MS + 5)
    assert (report.scored, report.revised, report.late, report.new_anomaly_ids) == (1, 1, 0, [])
    [row] = everything(store, fresh)[1]
    assert (row["detected_ms"], row["actual"]) == (NOW_MS, pytest.approx(jumped()[JUMP] * 1.01))


@pytest.mark.parametrize("broken", ["put_many", "_move_watermark"])
def test_a_crash_in_between_is_made_good(
    fresh: Dataset, write: Write, store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    write(fresh, TIMES, jumped())

    def crash(*_arguments: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(store if broken == "put_many" else module, broken, crash)
        with pytest.raises(StoreError, match="the disk is full"):
            detect(fresh, store, settings, now_ms=NOW_MS)
    detect(fresh, store, settings, now_ms=NOW_MS + 1)
    scores, anomalies, _ = everything(store, fresh)
    assert len(scores) == 39
    assert [row["detected_ms"] for row in anomalies] == [NOW_MS + (broken == "put_many")]


def test_a_fixed_loss_flags_too(fresh: Dataset, write: Write, store: Store, settings: Settings) -> None:
    rule = fresh.model_copy(update={"threshold": fresh.threshold.model_copy(update={"rule": "loss", "value": 0.65})})
    write(rule, TIMES, VALUES)
    report = detect(rule, store, settings, now_ms=NOW_MS)
    scores, anomalies, _ = everything(store, rule)
    assert report.anomalies == len(anomalies) > 0
    flagged = {row["ts"] for row in anomalies}
    assert flagged == {row["ts"] for row in scores if row["loss"] >= 0.65}
    assert all(row["upper"] > row["expected"] for row in anomalies)
    done = replay(store, settings, subjects(store, rule.symbol), now_ms=NOW_MS)
    assert {(one.verdict, one.flagged) for one in done} == {("bit-equal", True)}


def test_a_closed_range_bounds_what_is_scored(
    fresh: Dataset, make_dataset: MakeDataset, write: Write, store: Store, settings: Settings
) -> None:
    days = {"start": "2023-11-14", "end": "2023-11-14"}
    closed = make_dataset("detect", rows=0, symbol=fresh.symbol, scoring=days, timezone="UTC")
    write(closed, TIMES, VALUES)
    report = detect(closed, store, settings, now_ms=NOW_MS)
    midnight_ms = 1_700_006_400_000
    inside = TIMES[midnight_ms > TIMES]
    # The first window of the series has no history and no score.
    assert (report.from_ms, report.to_ms, report.scored) == (TIMES[9], inside[-1], len(inside) - 9)
    assert detect(closed, store, settings, now_ms=NOW_MS).scored == 0


def test_later_rows_than_now_wait(fresh: Dataset, write: Write, store: Store, settings: Settings) -> None:
    write(fresh, TIMES, VALUES)
    assert detect(fresh, store, settings, now_ms=int(TIMES[385])).to_ms == TIMES[385]


def test_no_rows_at_all_is_no_error(fresh: Dataset, store: Store, settings: Settings) -> None:
    report = detect(fresh, store, settings, now_ms=NOW_MS)
    assert (report.scored, report.from_ms, report.new_anomaly_ids) == (0, None, [])


@pytest.fixture
def failed(fresh: Dataset, validated: Callable[..., str], store: Store) -> Iterator[str]:
    newest = validated(fresh, success=False, run_ms=9)
    yield newest
    store.delete("validations", [newest])


def test_a_failed_validation_refuses_and_force_names_it(
    fresh: Dataset, failed: str, write: Write, store: Store, settings: Settings
) -> None:
    write(fresh, TIMES, jumped())
    with pytest.raises(ValidationFailedError, match=r"\(detect-9\) failed 1 of 9 .*or detect with --force"):
        detect(fresh, store, settings, now_ms=NOW_MS)
    report = detect(fresh, store, settings, now_ms=NOW_MS, force=True)
    assert report.validation_id == failed
    assert [row["validation_id"] for row in everything(store, fresh)[1]] == [failed]


def test_no_champion_says_what_to_run(make_dataset: MakeDataset, store: Store, settings: Settings) -> None:
    dataset = make_dataset("detect_untrained")
    with pytest.raises(TrackingError, match=r"first run `gridwatch train detect_untrained`"):
        detect(dataset, store, settings, now_ms=NOW_MS, force=True)


def test_nothing_loaded_says_what_to_run(trained: TrainReport, store: Store, settings: Settings) -> None:
    source = {"kind": "sample", "series": "AAPL"}
    dataset = Dataset.model_validate({"name": "detect", "symbol": "GONE", "source": source})
    with pytest.raises(ContainerNotFoundError, match=r"No container 'INTRADAY_GONE'.*`gridwatch load detect`"):
        detect(dataset, store, settings, now_ms=NOW_MS)


@pytest.mark.parametrize(
    ("rows", "gap", "found"),
    [([], 5, []), ([3], 5, [(3, 4)]), ([1, 2, 9], 5, [(1, 3), (9, 10)]), ([1, 6, 11], 5, [(1, 12)])],
)
def test_stretches_of_wanted_rows(rows: list[int], gap: int, found: list[tuple[int, int]]) -> None:
    wanted = np.zeros(20, bool)
    wanted[rows] = True
    assert list(stretches(wanted, gap)) == found


def test_the_report_of_a_detection_names_its_model(
    fresh: Dataset, trained: TrainReport, write: Write, store: Store, settings: Settings
) -> None:
    write(fresh, TIMES, VALUES)
    report: DetectReport = detect(fresh, store, settings, now_ms=NOW_MS)
    assert (report.model_uri, report.model_version, report.sha256) == (
        trained.model_uri,
        trained.model_version,
        trained.sha256,
    )
