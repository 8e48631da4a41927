"""The pictures: there, of the promised size, with the anomaly in red, and drawn from the right rows."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from subprocess import run
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from gridwatch.alerts.anomaly import Anomaly, find_anomaly
from gridwatch.alerts.mail_plot import anomaly_plot
from gridwatch.alerts.plot import rows_around, series_plot
from gridwatch.containers import Store
from gridwatch.containers.catalog import score_info

RED = np.array([0xD0, 0x2C, 0x2C])


@pytest.fixture
def anomaly(store: Store, scores: pd.DataFrame, put_anomaly: Callable[..., str]) -> Anomaly:
    found = find_anomaly(store, "ANOMALY_AAPL", put_anomaly())
    assert found is not None
    return found


def pixels(png: bytes) -> np.ndarray:
    from matplotlib.image import imread

    return (imread(BytesIO(png), format="png")[:, :, :3] * 255).round().astype(int)


def test_rows_come_from_both_sides(store: Store, anomaly: Anomaly) -> None:
    rows = rows_around(store, anomaly, each_side=60)
    assert rows is not None
    times = rows.column("ts").to_pylist()
    assert len(times) == 121
    assert times == sorted(times)
    assert times[60] == anomaly.when


def test_a_series_without_scores_has_no_rows(store: Store, anomaly: Anomaly) -> None:
    store.drop_container("SCORE_AAPL")
    assert rows_around(store, anomaly) is None


def test_the_anomaly_is_marked_in_red(store: Store, anomaly: Anomaly) -> None:
    rows = rows_around(store, anomaly)
    assert rows is not None
    picture = pixels(anomaly_plot(rows, anomaly, title="$AAPL$ _close_", zone=ZoneInfo("America/New_York")))
    assert picture.shape == (560, 1280, 3)
    assert (np.abs(picture - RED).sum(axis=2) == 0).sum() > 100


def test_a_range_shows_every_anomaly(scores: pd.DataFrame) -> None:
    found = scores.iloc[[20, 100, 150]]
    with_three = pixels(series_plot(scores, found, "AAPL", label="close"))
    with_one = pixels(series_plot(scores, found.iloc[:1], "AAPL", label="close"))
    assert with_three.shape == (840, 2200, 3)
    assert (with_three == RED).all(axis=2).sum() > (with_one == RED).all(axis=2).sum() > 0


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_few_rows_are_drawn_too(scores: pd.DataFrame, rows: int) -> None:
    assert series_plot(scores.iloc[:rows], scores.iloc[:0], "few").startswith(b"\x89PNG")


def test_gaps_and_missing_bands_are_drawn_too(store: Store, scores: pd.DataFrame, anomaly: Anomaly) -> None:
    store.drop_container("SCORE_AAPL")
    store.put_container(score_info("AAPL"))
    store.put("SCORE_AAPL", scores[["ts", "actual"]].drop(index=range(3, 10)))
    rows = rows_around(store, anomaly)
    assert rows is not None
    assert anomaly_plot(rows, anomaly, title="bare").startswith(b"\x89PNG")
    nothing = Anomaly("ANOMALY_AAPL", "0" * 32, anomaly.ts_ms)
    assert anomaly_plot(rows, nothing, title="bare").startswith(b"\x89PNG")


def test_threads_draw_the_same_picture(scores: pd.DataFrame) -> None:
    with ThreadPoolExecutor(4) as pool:
        pictures = list(pool.map(lambda _: series_plot(scores, scores.iloc[[100]], "same"), range(4)))
    assert len(set(pictures)) == 1


def test_matplotlib_is_loaded_only_to_draw() -> None:
    code = (
        "import sys, gridwatch.alerts.relay; sys.exit(not {'matplotlib', 'sendgrid', 'jinja2'}.isdisjoint(sys.modules))"
    )
    run([sys.executable, "-c", code], check=True)
