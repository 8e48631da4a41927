"""Labels in a store, embedded and behind the Web API: said, replaced, taken back, and read with what they teach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType, Store, open_store
from gridwatch.containers.catalog import LABELS, anomaly_id, anomaly_info, score_info, series_info
from gridwatch.detectors.adaptation import adapt
from gridwatch.detectors.labels import Label, Labels, Lesson
from gridwatch.detectors.online import AutoDetector
from gridwatch.errors import ConfigError
from gridwatch.pipeline.label_targets import Target, series_of, target_of, time_ms
from gridwatch.pipeline.labels import list_labels, read_labels, remove_label, say
from gridwatch.sources.dataset import Dataset
from tests.containers.web_api import served

FOREVER = 2**63 - 1
NOW_MS = 1_800_000_000_000
ANOMALY = anomaly_id("INTRADAY_PUMP_7", "auto", "", 3_000)


@pytest.fixture(params=["sqlite", "webapi"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store with the scored rows of pump 7, a second apart, and an anomaly in the fourth."""
    opened = open_store(f"sqlite:///{tmp_path / 's.db'}") if request.param == "sqlite" else served()
    with opened:
        scores = score_info("PUMP.7")
        # As containers have it that an earlier version made, and with the columns that this one may add.
        extra = tuple(
            Column(name, kind)
            for name, kind in (
                ("driver", ColumnType.STRING),
                ("anomaly_score", ColumnType.DOUBLE),
                ("surprise", ColumnType.DOUBLE),
            )
            if name not in {column.name for column in scores.columns}
        )
        info = ContainerInfo(scores.name, ContainerType.TIME_SERIES, (*scores.columns, *extra), ("ts",))
        opened.put_container(info)
        opened.put_container(anomaly_info("PUMP.7"))
        opened.put_container(series_info("INTRADAY_PUMP_7"))
        ts = pd.to_datetime(range(0, 8000, 1000), unit="ms", utc=True).as_unit("ms")
        opened.put("INTRADAY_PUMP_7", pd.DataFrame({"ts": ts, "close": 2.0}))
        columns: dict[str, list[Any]] = {
            "p_value": [0.1, 0.01, 1e-3, 1e-6, 1e-4, 1e-5, 0.1, 0.1],
            "driver": [None, None, "value", "deviation-24", "deviation-48", "flat", "value", "value"],
            "anomaly_score": [None, None, 0.0, 99.0, 0.0, 0.0, 0.0, 0.0],
            "surprise": [None, None, None, None, None, 4.5, 1.0, 1.0],
        }
        same = {"actual": 2.0, "expected": 1.0, "detector": "lstm"}
        rows = [{"ts": ts[row], **same, **{name: of[row] for name, of in columns.items()}} for row in range(8)]
        opened.put(scores.name, pa.Table.from_pylist(rows, schema=info.arrow))
        found = {"id": ANOMALY, "ts": ts[3], "detector": "auto", "partition": "", "detected_ms": 4_000}
        opened.put("ANOMALY_PUMP_7", pd.DataFrame([found]))
        yield opened


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    raw = {"name": "pump_seven", "symbol": "PUMP.7", "source": {"kind": "sample", "series": "AAPL"}}
    return Dataset.model_validate(raw)


def rounded(labels: Labels) -> list[Lesson]:
    return [replace(lesson, level=round(lesson.level, 3)) for lesson in labels.lessons]


def span(from_ms: int, to_ms: int) -> Target:
    return Target("PUMP_7", "", None, from_ms, to_ms)


def test_said_replaced_taken_back_and_all_of_it_kept(store: Store, dataset: Dataset) -> None:
    assert list_labels(store) == []
    assert read_labels(store, "PUMP_7", NOW_MS) == Labels()
    target = target_of(ANOMALY, store, [dataset])
    assert target == Target("PUMP_7", "", ANOMALY, 3_000, 3_000)
    first = say(store, "false", target, author="ann", now_ms=5_000, note='a flush; it\'s "usual" \N{SNOWMAN}')
    other = say(store, "expected", span(6_000, 9_000), author="bob", now_ms=5_500)
    # By a clock that went back, yet said later: it is the one that holds.
    second = say(store, "true", target_of(ANOMALY, store, [dataset]), author="eve", now_ms=4_000)
    assert second.labelled_ms == 5_001
    assert list_labels(store) == [other, second]
    assert list_labels(store, "pump_7", history=True) == [other, second, first]
    assert list_labels(store, "PUMP_8") == []
    gone = remove_label(store, ANOMALY, author="ann", now_ms=7_000)
    assert (gone.verdict, gone.anomaly_id, gone.labelled_ms) == ("removed", ANOMALY, 7_000)
    remove_label(store, other.id, author="ann", now_ms=7_000)
    assert list_labels(store) == []
    assert [label.verdict for label in list_labels(store, history=True)][2:] == ["expected", "true", "false"]
    with pytest.raises(ConfigError, match=f"There is no label '{ANOMALY}'.*gridwatch label list"):
        remove_label(store, ANOMALY, author="ann", now_ms=8_000)


def test_what_they_teach_is_read_from_the_scores(store: Store) -> None:
    said = [
        say(store, "false", Target("PUMP_7", "", ANOMALY, 3_000, 3_000), author="ann", now_ms=10_000),
        say(store, "true", span(4_000, 5_500), author="ann", now_ms=11_000),
        say(store, "true", span(0, 1_500), author="ann", now_ms=12_000),
        say(store, "expected", span(0, 9_000), author="ann", now_ms=13_000),
        say(store, "false", Target("PUMP_7", "north", None, 0, 9_000), author="ann", now_ms=14_000),
        say(store, "true", span(7_500, 7_600), author="ann", now_ms=15_000),
    ]
    labels = read_labels(store, "pump_7", 14_500)
    assert labels.labels == tuple(said[:4])
    assert rounded(labels) == [
        Lesson("spread", 4.605, False, 10_000, 13_000),
        Lesson("flat", 4.5, True, 11_000, 13_000),
        # Rows that an earlier version scored: the detector drove them, by its p-value.
        Lesson("value above", 2.0, True, 12_000, 13_000),
    ]
    # Said later than asked for: it is not there.
    assert rounded(read_labels(store, "PUMP_7", 10_500)) == [Lesson("spread", 4.605, False, 10_000, FOREVER)]
    # What could not be scored teaches nothing.
    assert len(read_labels(store, "PUMP_7", NOW_MS).lessons) == 3
    store.drop_container("SCORE_PUMP_7")
    assert read_labels(store, "PUMP_7", 14_500) == Labels(tuple(said[:4]))


def test_what_is_meant(store: Store, dataset: Dataset) -> None:
    assert series_of("pump_seven", [dataset], store) == ("PUMP_7", dataset)
    assert series_of("pump_7", [dataset], store) == ("PUMP_7", dataset)
    assert series_of("pump_7", [], store) == ("PUMP_7", None)
    day = target_of("pump_seven", store, [dataset], from_text="1970-01-01")
    assert day == Target("PUMP_7", "", None, 0, 86_399_999)
    wide = target_of(ANOMALY, store, [], from_text="1970-01-01T00:00:02", to_text="1970-01-01 01:00:04.5+01:00")
    assert wide == Target("PUMP_7", "", ANOMALY, 2_000, 4_500)
    ahead = target_of("PUMP_7", store, [], from_text="2031-05-01T10:00", to_text="2031-05-01", ahead=True)
    assert (ahead.from_ms, ahead.to_ms) == (time_ms("2031-05-01T10:00Z"), time_ms("2031-05-02") - 1)


@pytest.mark.parametrize(
    ("name", "edges", "message"),
    [
        ("0" * 32, {}, "There is no anomaly '0{32}'; see the ids that `gridwatch anomalies` lists"),
        (ANOMALY, {"from_text": "1970-01-02"}, r"is at 1970-01-01T00:00:03.000Z, outside .*; widen the range"),
        ("pump_seven", {}, "'pump_seven' is no id of an anomaly .*say which range: --from TIME --to TIME"),
        ("pump_seven", {"to_text": "1970-01-01"}, "name its first time with --from"),
        ("pump_sven", {"from_text": "1970-01-01"}, r"no dataset or series 'pump_sven'; did you mean 'pump_seven'\?"),
        ("xyz", {"from_text": "1970-01-01"}, "no dataset or series 'xyz'; there are pump_seven"),
        ("pump_seven", {"from_text": "tomorrow"}, "Cannot read the time 'tomorrow': .*write 2024-05-01T12:30, in UTC"),
        ("pump_seven", {"from_text": "1970-02-30"}, "Cannot read the time '1970-02-30'"),
        (
            "pump_seven",
            {"from_text": "1970-01-02", "to_text": "1970-01-01"},
            "from 1970-01-02T00:00:00.000Z to 1970-01-01T23:59:59.999Z ends before it begins; swap the two",
        ),
        ("pump_seven", {"from_text": "1971-01-02"}, r"'pump_seven' has no rows from .*; is the year right\?"),
    ],
)
def test_what_cannot_be_meant(tmp_path: Path, dataset: Dataset, name: str, edges: dict[str, str], message: str) -> None:
    with open_store(f"sqlite:///{tmp_path / 's.db'}") as store:
        store.put_container(anomaly_info("PUMP.7"))
        store.put_container(dataset.info)
        row = {"id": ANOMALY, "ts": pd.Timestamp(3, unit="s", tz="UTC"), "detector": "auto"}
        store.put("ANOMALY_PUMP_7", pd.DataFrame([row]))
        with pytest.raises(ConfigError, match=message):
            target_of(name, store, [dataset], from_text=edges.get("from_text"), to_text=edges.get("to_text"))
        assert store.container(LABELS.name) is None


@pytest.mark.parametrize(
    ("verdict", "target", "more", "message"),
    [
        ("maybe", span(0, 1), {}, "There is no label 'maybe'; there are true, false, expected"),
        ("true", span(2, 1), {}, "ends before it begins"),
        ("true", span(-1, 1), {}, "leaves the years from 1970 to 9999"),
        ("expected", span(1, 2**48), {}, "leaves the years from 1970 to 9999"),
        ("false", span(1, NOW_MS + 1), {}, "nobody has seen that yet. Only `expected` may lie ahead"),
        ("true", span(0, 1), {"note": "x" * 2001}, "The note has 2,001 characters, and 2,000 are taken; shorten it"),
        ("true", span(0, 1), {"note": "a\0b"}, "The note holds a NUL character"),
        ("true", span(0, 1), {"author": "x" * 101}, "The name of who says it has 101 characters"),
        ("true", span(0, 1), {"author": " "}, r"Who says it\?.*--by"),
    ],
)
def test_what_cannot_be_said(tmp_path: Path, verdict: str, target: Target, more: dict[str, str], message: str) -> None:
    with open_store(f"sqlite:///{tmp_path / 's.db'}") as store:
        with pytest.raises(ConfigError, match=message):
            say(store, verdict, target, **{"author": "ann", **more}, now_ms=NOW_MS)
        assert store.container(LABELS.name) is None


def test_day_by_day_is_what_a_backtest_finds(tmp_path: Path) -> None:
    """Labels that are said between detections, and read back, do what they do when all is replayed at once."""
    rng = np.random.default_rng(8)
    times, values = np.arange(2000, dtype=np.int64) * 60_000, rng.normal(0.0, 1.0, 2000)
    odd = np.arange(150, 2000, 150)
    values[odd] += rng.uniform(6.0, 9.0, len(odd)) * rng.choice([-1.0, 1.0], len(odd))
    scores = AutoDetector().update(times, values)
    kinds = scores.driver_names()
    columns = {name: getattr(scores, name) for name in ("actual", "expected", "p_value", "anomaly_score", "surprise")}
    found: dict[str, list[Any]] = {"right": [], "wrong": [], "handicap": []}
    scored_ms = np.empty(2000, np.int64)
    with open_store(f"sqlite:///{tmp_path / 's.db'}") as store:
        info = score_info("X")
        store.put_container(info)
        for first in range(0, 2000, 250):
            now_ms = int(times[first + 249]) + 1
            day = slice(first, first + 250)
            scored_ms[day] = now_ms
            labels = read_labels(store, "X", now_ms)
            now = adapt(scores, times, labels, threshold=96.98, scored_ms=now_ms)
            for name, part in found.items():
                part.extend(getattr(now, name)[day].tolist())
            rows = {name: column[day] for name, column in columns.items()} | {"driver": kinds[day], "detector": "auto"}
            ts = pd.to_datetime(times[day], unit="ms", utc=True).as_unit("ms")
            store.put(info.name, pd.DataFrame({"ts": ts, **rows}))
            for row in odd[(odd >= first) & (odd < first + 250)].tolist():
                place = Target("X", "", None, int(times[row]), int(times[row + 1]))
                say(store, "true" if row % 4 else "false", place, author="ann", now_ms=now_ms)
        everything = Labels.of(read_labels(store, "X", NOW_MS).labels).learnt_from(scores, times)
    assert len(everything.lessons) == len(odd)
    backtest = adapt(scores, times, everything, threshold=96.98, scored_ms=scored_ms)
    assert found["right"] == backtest.right.tolist()
    assert found["wrong"] == backtest.wrong.tolist()
    assert found["handicap"] == backtest.handicap.tolist()
    assert sum(found["right"]) * sum(found["wrong"]) > 0


def test_a_label_is_told_by_its_target() -> None:
    one = Label("k", "S", "", "a", 1, 2, "true", "", "ann", 5)
    assert one.target == ("a",)
    assert one.covers(1)
    assert not one.covers(3)
