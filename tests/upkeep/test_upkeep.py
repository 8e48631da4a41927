"""What is old enough goes, and what somebody needs stays: on a store with everything in it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gridwatch.containers import Store
from gridwatch.containers._ddl import create_table_sql
from gridwatch.containers.catalog import (
    DELIVERIES,
    DETECTIONS,
    TRAININGS,
    VALIDATIONS,
    anomaly_info,
    score_info,
)
from gridwatch.containers.schema import ContainerInfo
from gridwatch.containers.sqlite import SqliteStore
from gridwatch.jobs.service import JobsService
from gridwatch.jobs.tables import BUCKETS, MESSAGES, RECORDS, TRANSFORMS
from gridwatch.pipeline import transport
from gridwatch.pipeline.label_targets import Target
from gridwatch.pipeline.labels import remove_label, say
from gridwatch.settings import RetentionSettings, Settings
from gridwatch.sources.dataset_model import Dataset, DateRange
from gridwatch.upkeep import Sweep, run_upkeep, wants_upkeep
from gridwatch.upkeep.needs import Need
from gridwatch.upkeep.spans import free_spans
from tests.containers.web_api import behind, served

DAY_MS = 86_400_000
NOW_MS = 1_000 * DAY_MS
TODAY = 1_000


def dataset(**retention: int) -> Dataset:
    return Dataset.model_validate(
        {
            "name": "pump",
            "symbol": "pump",
            "source": {"kind": "csv_folder", "path": "/nowhere"},
            "columns": [{"name": "v"}],
            "value": "v",
            "interval": "1D",
            "feature": "level",
            "retention": retention,
        }
    )


def put(store: Store, info: ContainerInfo, *rows: dict[str, Any]) -> None:
    store.put_container(info)
    store.put(
        info.name,
        pa.Table.from_pylist([{name: row.get(name) for name in info.arrow.names} for row in rows], info.arrow),
    )


def days_in(store: SqliteStore, container: str) -> list[int]:
    return [value.value // DAY_MS for value in store.read(container)["ts"]]


def ids_in(store: SqliteStore, container: str) -> list[str]:
    return sorted(store.read(container).column("id").to_pylist())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """Rows of 1,000 days, all of them scored, the model from day 950."""
    with SqliteStore(tmp_path / "store.db") as made:
        info = dataset().info
        put(made, info, *({"ts": day * DAY_MS, "v": 1.0} for day in range(TODAY)))
        put(made, score_info("pump"), *({"ts": day * DAY_MS, "actual": 1.0} for day in range(TODAY)))
        made.put_container(DETECTIONS)
        watermark(made, TODAY - 1)
        put(
            made,
            TRAININGS,
            {"run_id": "r", "dataset": "pump", "model_uri": "m/1", "champion": True, "trained_ms": 1,
             "to_ms": 950 * DAY_MS},
        )  # fmt: skip
        yield made


def watermark(store: SqliteStore, day: int) -> None:
    put(store, DETECTIONS, {"dataset": "pump", "scored_to_ms": day * DAY_MS, "model_uri": "m/1"})


def settings(tmp_path: Path, **retention: int) -> Settings:
    return Settings(home=tmp_path, retention=RetentionSettings(**retention))


def sweep(store: SqliteStore, tmp_path: Path, one: Dataset, *, dry_run: bool = False, **keep: int) -> list[Sweep]:
    return run_upkeep(store, settings(tmp_path, **keep), [one], clock=lambda: NOW_MS, dry_run=dry_run).sweeps


def test_without_a_retention_nothing_goes(store: SqliteStore, tmp_path: Path) -> None:
    assert not wants_upkeep(settings(tmp_path), [dataset()])
    assert wants_upkeep(settings(tmp_path), [dataset(rows_days=100)])
    assert wants_upkeep(settings(tmp_path, messages_days=1), [])
    assert sweep(store, tmp_path, dataset()) == []
    assert store.read("SCORE_pump").num_rows == TODAY


def test_rows_and_scores_go_by_their_age(store: SqliteStore, tmp_path: Path) -> None:
    one = dataset(rows_days=200, scores_days=100)
    planned = sweep(store, tmp_path, one, dry_run=True)
    assert store.read(one.container).num_rows == TODAY
    done = sweep(store, tmp_path, one)
    assert done == planned
    assert [(each.container, each.rows, each.kept) for each in done] == [
        ("INTRADAY_pump", 800, 0),
        ("SCORE_pump", 900, 0),
    ]
    assert days_in(store, one.container) == list(range(800, TODAY))
    assert days_in(store, "SCORE_pump") == list(range(900, TODAY))
    assert all(each.rows == 0 for each in sweep(store, tmp_path, one)), "a second run finds nothing"


def test_what_is_not_scored_stays(store: SqliteStore, tmp_path: Path) -> None:
    watermark(store, 700)
    [done] = sweep(store, tmp_path, dataset(rows_days=100))
    # A window of the model before the first row that is to be scored, and the row before that.
    assert (done.rows, done.kept, done.needed_by) == (670, 230, ("not scored yet",))
    assert days_in(store, "INTRADAY_pump")[0] == 670


def test_the_rows_since_the_model_learnt_stay(store: SqliteStore, tmp_path: Path) -> None:
    put(
        store,
        TRAININGS,
        {"run_id": "r", "dataset": "pump", "model_uri": "m/1", "champion": True, "to_ms": 500 * DAY_MS},
    )
    [done] = sweep(store, tmp_path, dataset(rows_days=100))
    assert done.needed_by == ("the model goes on from there",)
    # Those that were kept from it, and a window before.
    assert days_in(store, "INTRADAY_pump")[0] == 501 - 10 - 31


@pytest.mark.parametrize(
    ("training", "train_months", "first"),
    [
        (DateRange(start=date(1971, 1, 1), end=date(1971, 1, 31)), None, 365),
        (DateRange(end=date(1971, 12, 31)), 3, 730 - 93),
        (DateRange(), 7, 999 - 217),
        (DateRange(), None, 900),
    ],
)
def test_the_rows_that_the_next_training_learns_stay(
    store: SqliteStore, tmp_path: Path, training: DateRange, train_months: int | None, first: int
) -> None:
    wanted = {"training": training, "train_months": train_months, "timezone": "UTC"}
    [done] = sweep(store, tmp_path, dataset(rows_days=100).model_copy(update=wanted))
    days = days_in(store, "INTRADAY_pump")
    assert days[0] == first
    assert done.needed_by == (() if first == 900 else ("the next training learns them",))


def test_scores_stay_as_long_as_their_rows_may_be_scored_again(store: SqliteStore, tmp_path: Path) -> None:
    put(
        store,
        TRAININGS,
        {"run_id": "r", "dataset": "pump", "model_uri": "m/1", "champion": True, "to_ms": 500 * DAY_MS},
    )
    [done] = sweep(store, tmp_path, dataset(scores_days=100))
    assert done.needed_by == ("their rows would be scored again",)
    assert days_in(store, "SCORE_pump")[0] == 501 - 10
    one = dataset(scores_days=100).model_copy(update={"scoring": DateRange(start=date(1970, 1, 11))})
    [done] = sweep(store, tmp_path, one)
    assert (done.rows, done.kept) == (0, 409)


@pytest.mark.parametrize("verdict", ["true", "false"])
def test_scores_that_labels_learn_from_stay(store: SqliteStore, tmp_path: Path, verdict: str) -> None:
    target = Target("pump", "", None, 300 * DAY_MS, 304 * DAY_MS)
    label = say(store, verdict, target, author="me", now_ms=NOW_MS)
    say(store, "expected", replace(target, from_ms=500 * DAY_MS, to_ms=501 * DAY_MS), author="me", now_ms=NOW_MS)
    [done] = sweep(store, tmp_path, dataset(scores_days=100))
    assert done.needed_by == ("labels learn from them",)
    assert days_in(store, "SCORE_pump") == [*range(300, 305), *range(900, TODAY)]
    remove_label(store, label.id, author="me", now_ms=NOW_MS + 1)
    sweep(store, tmp_path, dataset(scores_days=100))
    assert days_in(store, "SCORE_pump") == list(range(900, TODAY))


def anomaly(store: Store, key: str, day: int, *statuses: str, found: int | None = None, **more: Any) -> None:
    """Put an anomaly, with a delivery of each status."""
    detected = (day if found is None else found) * DAY_MS
    put(store, anomaly_info("pump"), {"id": key, "ts": day * DAY_MS, "partition": "", "detected_ms": detected, **more})
    store.put_container(DELIVERIES)
    for place, status in enumerate(statuses):
        row = {
            "id": f"{key}:{place}",
            "anomaly_id": key,
            "container": "ANOMALY_pump",
            "status": status,
            "last_ms": detected,
        }
        put(store, DELIVERIES, row)


def test_anomalies_go_with_their_deliveries_once_people_know(store: SqliteStore, tmp_path: Path) -> None:
    anomaly(store, "sent", 100, "sent", "dead")
    anomaly(store, "skipped", 100, "sent", "skipped")
    anomaly(store, "half", 101, "sent", "pending")
    anomaly(store, "none", 102)
    anomaly(store, "sending", 103, "sending")
    anomaly(store, "new state", 104, "held")
    anomaly(store, "young", 105, "sent", found=995)
    anomaly(store, "labelled", 106, "sent")
    say(store, "true", Target("pump", "", None, 106 * DAY_MS, 106 * DAY_MS), author="me", now_ms=NOW_MS)
    planned = sweep(store, tmp_path, dataset(anomalies_days=365), dry_run=True)
    anomalies, deliveries = sweep(store, tmp_path, dataset(anomalies_days=365))
    assert (anomalies.rows, anomalies.kept) == (2, 5) == (planned[0].rows, planned[0].kept)
    assert anomalies.needed_by == ("alerts that are not finished: 4", "labelled: 1")
    assert ids_in(store, "ANOMALY_pump") == ["half", "labelled", "new state", "none", "sending", "young"]
    assert deliveries.rows == 4
    assert ids_in(store, "deliveries") == ["half:0", "half:1", "labelled:0", "new state:0", "sending:0", "young:0"]


def test_an_anomaly_is_never_without_its_delivery(store: SqliteStore, tmp_path: Path) -> None:
    """Or its people would be told again: what dies in between leaves a delivery behind, which the next run takes."""
    anomaly(store, "a", 100, "sent")

    def dies(done: int, _total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_upkeep(store, settings(tmp_path, anomalies_days=30), [], clock=lambda: NOW_MS, progress=dies)
    assert (ids_in(store, "ANOMALY_pump"), ids_in(store, "deliveries")) == ([], ["a:0"])
    run_upkeep(store, settings(tmp_path, anomalies_days=30), [], clock=lambda: NOW_MS)
    assert ids_in(store, "deliveries") == []


def test_scores_that_a_waiting_mail_shows_stay(store: SqliteStore, tmp_path: Path) -> None:
    anomaly(store, "a", 400, "pending")
    [done] = sweep(store, tmp_path, dataset(scores_days=100))
    assert done.needed_by == ("an alert that is not finished shows them",)
    assert days_in(store, "SCORE_pump")[0] == 340


def test_rows_that_a_datafeed_or_transform_has_not_read_stay(store: SqliteStore, tmp_path: Path) -> None:
    service = JobsService(store, now_ms=lambda: NOW_MS)
    detector = {"function": "mean", "field_name": "v"}
    analysis = {"bucket_span": "1d", "detectors": [detector]}
    service.put_job({"job_id": "j", "analysis_config": analysis, "data_description": {"time_field": "ts"}})
    service.put_datafeed({"datafeed_id": "f", "job_id": "j", "indices": ["INTRADAY_*"]})
    assert sweep(store, tmp_path, dataset(rows_days=100), dry_run=True)[0].kept == 0
    service.resources.change_datafeed("f", state="started", start_ms=0, fed_to_ms=600 * DAY_MS)
    [done] = sweep(store, tmp_path, dataset(rows_days=100), dry_run=True)
    assert done.needed_by == ("datafeed f has not read them",)
    assert done.kept == 300 + 31
    service.resources.change_datafeed("f", state="stopped")
    row = {"id": "t", "config": TRANSFORM, "state": "started", "created_ms": 0, "stats": "{}", "checkpoint": 0}
    put(store, TRANSFORMS, row)
    [done] = sweep(store, tmp_path, dataset(rows_days=100), dry_run=True)
    assert (done.rows, done.needed_by) == (0, ("transform t has not read them",))


TRANSFORM = json.dumps(
    {
        "id": "t",
        "source": {"index": ["intraday_pump"]},
        "dest": {"index": "daily"},
        "pivot": {
            "group_by": {"day": {"date_histogram": {"field": "ts", "calendar_interval": "day"}}},
            "aggregations": {"v": {"avg": {"field": "v"}}},
        },
    }
)


def test_validations_stay_that_rows_name_and_the_newest(store: SqliteStore, tmp_path: Path) -> None:
    for day in (1, 2, 3, 4):
        put(store, VALIDATIONS, {"id": f"v{day}", "dataset": "pump", "run_ms": day * DAY_MS})
    put(store, VALIDATIONS, {"id": "other", "dataset": "other", "run_ms": 1})
    anomaly(store, "a", 10, "sent", validation_id="v2")
    [done] = sweep(store, tmp_path, dataset(), validations_days=30)
    assert ids_in(store, "validations") == ["other", "v2", "v4"]
    assert (done.rows, done.kept) == (2, 3)


def test_what_jobs_said_goes_by_its_newest_bucket(store: SqliteStore, tmp_path: Path) -> None:
    analysis = {"bucket_span": "1d", "detectors": [{"function": "count"}]}
    body = {"analysis_config": analysis, "data_description": {"time_field": "ts"}, "results_retention_days": 500}
    JobsService(store, now_ms=lambda: NOW_MS).put_job(body, job_id="own")
    for day in (10, 20, 30):
        for info in (BUCKETS, RECORDS):
            put(store, info, *({"id": f"{job}{day}", "job_id": job, "ts": day * DAY_MS} for job in ("a", "own")))
    put(store, RECORDS, {"id": "b", "job_id": "no buckets", "ts": 0})
    put(store, MESSAGES, *({"id": str(day), "job_id": "a", "ts": day * DAY_MS} for day in (1, 900)))
    sweep(store, tmp_path, dataset(), results_days=15, messages_days=365)
    assert ids_in(store, "ml_records") == ["a20", "a30", "b", "own10", "own20", "own30"]
    assert ids_in(store, "ml_buckets") == ["a20", "a30", "own10", "own20", "own30"]
    assert {"1", "900"} & set(ids_in(store, "ml_messages")) == {"900"}


def test_others_write_while_upkeep_is_at_work_and_a_second_one_waits_for_its_turn(
    store: SqliteStore, tmp_path: Path
) -> None:
    notes = []

    def meanwhile(done: int, _total: int | None) -> None:
        put(store, score_info("pump"), {"ts": TODAY * DAY_MS + done, "actual": 1.0})
        other = run_upkeep(store, settings(tmp_path, scores_days=1), [], clock=lambda: NOW_MS)
        notes.append(other.note)

    run_upkeep(store, settings(tmp_path, scores_days=100), [dataset()], clock=lambda: NOW_MS, progress=meanwhile)
    assert set(notes) == {"another upkeep is at work with this store"}
    assert days_in(store, "SCORE_pump") == [*range(900, TODAY), TODAY]


def test_the_space_is_given_back(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "large.db") as store:
        put(store, score_info("pump"))
        table = pa.table({"ts": pa.array(range(20_000), pa.timestamp("ms", "UTC")), "driver": ["x" * 200] * 20_000})
        store.put("SCORE_pump", table)
        report = run_upkeep(store, settings(tmp_path, scores_days=1), [], clock=lambda: NOW_MS)
        assert report.rows == 20_000
        assert (report.freed_bytes or 0) > 4_000_000
        assert store.path.stat().st_size < 1_000_000


SPANS = st.lists(st.tuples(st.integers(0, 60), st.none() | st.integers(0, 20)), max_size=6)


@given(before=st.integers(0, 60), needs=SPANS)
def test_free_spans_are_all_that_no_need_covers(before: int, needs: list[tuple[int, int | None]]) -> None:
    needed = [Need(first, None if length is None else first + length, "") for first, length in needs]
    spans = free_spans(before, needed)
    covered = {
        at for at in range(61) for one in needed if one.from_ms <= at <= (60 if one.to_ms is None else one.to_ms)
    }
    free = [at for first, last in spans for at in range(first, last + 1)]
    assert free == [at for at in range(before) if at not in covered]


def test_on_griddb_a_new_container_can_expire_by_itself(tmp_path: Path) -> None:
    class OnGridDB(SqliteStore):
        """The embedded store keeps the same promise of partitions that expire."""

    one = dataset(rows_days=300, expire=True)
    with OnGridDB(tmp_path / "store.db") as store:
        assert transport._info(one, store) == one.info, "the embedded store deletes"
        store.url = "griddb://db:10001/cluster/public"
        made = store.put_container(transport._info(one, store))
        assert "EVERY (10, DAY)" in create_table_sql(made)
        assert "expiration_time=300, expiration_time_unit='DAY'" in create_table_sql(made)
        now_ms = time.time_ns() // 1_000_000
        put(store, made, *({"ts": now_ms - days * DAY_MS, "v": float(days)} for days in (400, 200)))
        assert store.read(one.container)["v"].to_pylist() == [200.0]
        assert transport._info(one, store) == one.info, "one that is there stays as it is"


@pytest.mark.parametrize(
    ("retention", "message"),
    [
        (
            {"rows_days": 92},
            "rows_days 92 is less than the 3 months that training learns; keep rows for 93 days or more",
        ),
        ({"expire": True}, "expire needs rows_days, which says when"),
        ({"scores_days": 0}, "greater than or equal to 1"),
        ({"score_days": 1}, "score_days"),
    ],
)
def test_a_retention_that_cannot_be_is_refused(retention: dict[str, int], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        dataset(**retention)


def test_over_the_web_api_as_on_the_store_itself(tmp_path: Path) -> None:
    keep = settings(tmp_path, anomalies_days=365, validations_days=30, results_days=15)
    with served() as store:
        put(behind(), score_info("pump"), *({"ts": day * DAY_MS, "actual": 1.0} for day in range(0, TODAY, 20)))
        anomaly(behind(), "sent", 100, "sent")
        anomaly(behind(), "waits", 700, "pending")
        put(behind(), VALIDATIONS, *({"id": f"v{day}", "dataset": "pump", "run_ms": day} for day in (1, 2)))
        put(behind(), BUCKETS, *({"id": str(day), "job_id": "a", "ts": day * DAY_MS} for day in (1, 20)))
        report = run_upkeep(store, keep, [dataset(scores_days=100)], clock=lambda: NOW_MS)
        assert report.freed_bytes is None
        done = {sweep.container: (sweep.rows, sweep.kept) for sweep in report.sweeps}
        # The mail of the anomaly that waits shows the rows around it.
        assert done == {
            "SCORE_pump": (0, 45),
            "ANOMALY_pump": (1, 0),
            "deliveries": (1, 0),
            "validations": (1, 1),
            "ml_buckets": (1, 0),
        }
        assert store.read("deliveries").column("id").to_pylist() == ["waits:0"]
