"""Detectors judged on a dataset's own rows and labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gridwatch.containers import Store, open_store
from gridwatch.detectors import registry
from gridwatch.detectors.base import Floats, Times
from gridwatch.detectors.registry import Entry, Judged
from gridwatch.errors import ConfigError, ContainerNotFoundError
from gridwatch.pipeline.evaluate import evaluate_series
from gridwatch.pipeline.label_targets import Target
from gridwatch.pipeline.labels import say
from gridwatch.pipeline.own_labels import own_labelled
from gridwatch.sources.dataset import Dataset

MINUTE_MS, ROWS = 60_000, 3000
NOW_MS = ROWS * MINUTE_MS


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 's.db'}") as opened:
        yield opened


@pytest.fixture
def dataset(store: Store) -> Dataset:
    """A sensor of 3,000 minutes that spikes in the rows 500, 2100, 2300, 2400 and 2500."""
    raw: dict[str, Any] = {
        "name": "pump",
        "symbol": "PUMP",
        "source": {"kind": "sample", "series": "AAPL"},
        "columns": [{"name": "bar"}],
        "value": "bar",
        "feature": "level",
    }
    found = Dataset.model_validate(raw)
    values = np.random.default_rng(1).normal(5.0, 0.1, ROWS)
    values[[500, 2100, 2300, 2400, 2500]] += 5.0
    ts = pd.to_datetime(np.arange(ROWS) * MINUTE_MS, unit="ms", utc=True).as_unit("ms")
    store.put_container(found.info)
    store.put(found.container, pd.DataFrame({"ts": ts, "bar": values}))
    return found


def said(store: Store, verdict: str, first: int, last: int) -> None:
    say(
        store,
        verdict,
        Target("PUMP", "", None, first * MINUTE_MS, last * MINUTE_MS),
        author="ann",
        now_ms=NOW_MS - 1000,
    )


@pytest.fixture
def labelled(store: Store, dataset: Dataset) -> Dataset:
    """Two faults, one of them said in two parts, a known spike, and one that nobody spoke of."""
    said(store, "true", 2095, 2105)
    said(store, "true", 2106, 2110)
    said(store, "expected", 2290, 2310)
    said(store, "false", 2350, 2360)
    said(store, "true", 2495, 2505)
    return dataset


def test_the_windows_and_what_counts(store: Store, labelled: Dataset) -> None:
    series = own_labelled(labelled, store, now_ms=NOW_MS)
    assert (series.name, len(series), series.timestamps[1]) == ("labels/pump.csv", 2506, "1970-01-01 00:01:00.000")
    assert series.windows == ((2095, 2110), (2495, 2505))
    assert series.unjudged == ((2290, 2310),)
    # Probation ends where the first label begins.
    assert series.lead + int(0.15 * (2506 - series.lead)) == 2095
    wider = own_labelled(labelled, store, now_ms=NOW_MS, from_ms=1000 * MINUTE_MS, to_ms=NOW_MS)
    assert len(wider) == ROWS
    assert 999 <= wider.lead + int(0.15 * (ROWS - wider.lead)) <= 1000


def test_the_figures(store: Store, labelled: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    learnt: list[tuple[int, int]] = []

    def judge(_times_ms: Times, values: Floats, probation: int) -> Judged:
        learnt.append((len(values), probation))
        score = (values > 7.0).astype(float)
        return Judged(score, score, np.where(score > 0.0, 1e-4, 0.5))

    monkeypatch.setitem(registry.DETECTORS, "tried", Entry("tried", "For a test.", 1.0, judge))
    report = evaluate_series(
        "pump", lambda: [own_labelled(labelled, store, now_ms=NOW_MS)], "tried", splits=0, out=tmp_path
    )
    assert learnt[-1] == (2506, 2095)
    # 2100 and 2500 are right, 2400 is wrong; 2300 is expected, and 500 was before.
    assert (report.folder, report.windows, report.found, report.alarms, report.false_rows) == ("pump", 2, 2, 3, 1)
    assert report.rows == 2506 - own_labelled(labelled, store, now_ms=NOW_MS).lead
    written = pd.read_csv(tmp_path / "labels" / "pump.csv")
    assert len(written) == report.rows
    assert int(written["anomaly_score"].sum()) == 3


def test_prices_are_judged_by_their_returns(store: Store, labelled: Dataset) -> None:
    returns = labelled.model_copy(update={"feature": "log_return"})
    series = own_labelled(returns, store, now_ms=NOW_MS)
    assert len(series) == 2505
    assert series.values[499] == pytest.approx(0.69, abs=0.1)
    assert series.windows[0] == (2094, 2109)


def test_what_cannot_be_judged(store: Store, dataset: Dataset) -> None:
    with pytest.raises(ConfigError, match=r"No row of dataset 'pump' has a label.*gridwatch label true pump --from"):
        own_labelled(dataset, store, now_ms=NOW_MS)
    said(store, "true", 2095, 2105)
    with pytest.raises(ConfigError, match=r"has no rows from 1970-01-03T.* to 1970-01-02T.*; give another range"):
        own_labelled(dataset, store, now_ms=NOW_MS, from_ms=ROWS * MINUTE_MS, to_ms=2200 * MINUTE_MS)
    nothing = dataset.model_copy(update={"container": "INTRADAY_NONE"})
    with pytest.raises(ContainerNotFoundError, match="first run `gridwatch load pump`"):
        own_labelled(nothing, store, now_ms=NOW_MS)
