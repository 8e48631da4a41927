"""Rows of a series as they are drawn: no spike vanishes, what is kept in memory is what the store has; and labels."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gridwatch.containers import Store
from gridwatch.containers.catalog import DETECTIONS, anomaly_id, anomaly_info, score_info
from gridwatch.jobs.tables import DATAFEEDS, JOBS
from gridwatch.server.pages import rows as rows_module
from gridwatch.server.pages import series as series_module
from gridwatch.server.pages.login_links import make_link
from gridwatch.server.pages.rows import COLUMNS, RowsKept, Source
from gridwatch.server.pages.thinning import picked
from tests.server.conftest import NOW_MS

SOURCE = Source("SCORE_pump", "ts", COLUMNS)
NUMBERS = st.one_of(st.floats(-1e9, 1e9), st.just(np.nan), st.sampled_from([0.0, 1.0]))


@settings(max_examples=80, deadline=None)
@given(
    steps=arrays(np.int64, st.integers(1, 300), elements=st.one_of(st.integers(1, 5), st.integers(1, 10**9))),
    data=st.data(),
    pieces=st.integers(1, 40),
)
def test_the_extremes_of_every_piece_are_drawn(steps: npt.NDArray[np.int64], data: st.DataObject, pieces: int) -> None:
    times = np.cumsum(steps)
    values = data.draw(arrays(np.float64, len(times), elements=NUMBERS))
    from_ms, to_ms = int(times[0]) - data.draw(st.integers(0, 10**6)), int(times[-1]) + data.draw(st.integers(0, 10**6))
    places = picked(times, values, from_ms, to_ms, pieces)
    known = np.flatnonzero(np.isfinite(values))
    assert (np.diff(places) > 0).all()
    assert set(places) <= set(known)
    assert len(places) <= 2 * pieces + 2
    if len(known):
        assert {known[0], known[-1]} <= set(places)
    # In whole numbers, by which no row falls to the wrong side of an edge.
    piece = np.array([(int(time) - from_ms) * pieces // (to_ms - from_ms + 1) for time in times])
    drawn = np.isin(np.arange(len(times)), places)
    for one in np.unique(piece[known]):
        here = (piece == one) & np.isfinite(values)
        assert values[here & drawn].min() == values[here].min()
        assert values[here & drawn].max() == values[here].max()


def test_pieces_are_at_least_one() -> None:
    with pytest.raises(ValueError, match="pieces must be at least 1, got 0"):
        picked(np.arange(3), np.zeros(3), 0, 2, 0)


def scored(times: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> pa.Table:
    return pa.table(
        {
            "ts": pa.array(times).cast(pa.timestamp("ms", "UTC")), "actual": values, "expected": values - 1,
            "lower": values - 2, "upper": values + 2, "detector": ["auto"] * len(times),
        }
    )  # fmt: skip


@pytest.fixture
def pump(store: Store) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """A thousand scored rows a minute apart with a spike, whose anomaly is in the store too."""
    times = NOW_MS - 1000 * 60_000 + np.arange(1000) * 60_000
    values = np.random.default_rng(3).normal(size=1000)
    values[700] = 99.0
    store.put_container(score_info("pump"))
    store.put(SOURCE.container, scored(times, values))
    store.put_container(anomaly_info("pump"))
    at_ms = int(times[700])
    anomaly = {"id": anomaly_id("pump", "auto", "", at_ms), "ts": at_ms, "actual": 99.0, "score": 90.0}
    row = pa.Table.from_pylist([{**anomaly, "detector": "auto", "severity": "high"}], schema=anomaly_info("pump").arrow)
    store.put("ANOMALY_pump", row)
    return times, values


class TestRowsKept:
    """What is in memory follows the store."""

    def test_new_late_and_changed_rows_are_seen(self, store: Store, pump: Any) -> None:
        times, values = pump
        now_ms = 0
        kept = RowsKept(store, lambda: now_ms)

        def drawn() -> dict[int, float]:
            rows, _ = kept.thinned(SOURCE, int(times[0]), int(times[-1]) + 10**6, 5000)
            return dict(zip(rows.times_ms.tolist(), rows.columns[0].tolist(), strict=True))

        assert drawn() == dict(zip(times.tolist(), values.tolist(), strict=True))
        store.put(SOURCE.container, scored(times[-1:] + 60_000, np.array([5.0])))
        assert len(drawn()) == 1000
        now_ms += 1_000
        assert drawn()[int(times[-1]) + 60_000] == 5.0
        store.put(SOURCE.container, scored(times[10:11] + 1, np.array([7.0])))
        store.put(SOURCE.container, scored(times[20:21], np.array([8.0])))
        now_ms += 30_000
        assert drawn()[int(times[10]) + 1] == 7.0
        assert drawn()[int(times[20])] == 8.0

    @pytest.mark.parametrize("rows_max", [10**6, 100], ids=["kept", "too many to keep"])
    def test_a_range_is_thinned_alike_from_memory_and_read_by_read(
        self, store: Store, pump: Any, monkeypatch: pytest.MonkeyPatch, rows_max: int
    ) -> None:
        times, values = pump
        monkeypatch.setattr(rows_module, "_PIECE", 64)
        from_ms, to_ms = int(times[100]), int(times[900]) + 30_000
        rows, count = RowsKept(store, lambda: 0, rows_max=rows_max).thinned(SOURCE, from_ms, to_ms, 20)
        wanted = picked(times[100:901], values[100:901], from_ms, to_ms, 20) + 100
        assert count == 801
        assert rows.times_ms.tolist() == times[wanted].tolist()
        assert rows.columns[3].tolist() == (values[wanted] + 2).tolist()

    def test_a_series_that_outgrows_memory_is_read_from_then_on(self, store: Store, pump: Any) -> None:
        times, _ = pump
        now_ms = 0
        kept = RowsKept(store, lambda: now_ms, rows_max=1_000)
        assert kept.span(SOURCE) == (times[0], times[-1])
        store.put(SOURCE.container, scored(times[-1:] + 60_000, np.array([5.0])))
        for later_ms in (30_000, 31_000):
            now_ms = later_ms
            assert kept.span(SOURCE) is None
            rows, count = kept.thinned(SOURCE, int(times[-1]), int(times[-1]) + 60_000, 100)
            assert (count, rows.columns[0][-1]) == (2, 5.0)

    def test_the_series_seen_longest_ago_is_forgotten(self, store: Store, pump: Any) -> None:
        times, values = pump
        for name in ("SCORE_a", "SCORE_b"):
            store.put_container(score_info(name.removeprefix("SCORE_")))
            store.put(name, scored(times, values))
        kept = RowsKept(store, lambda: 0, rows_max=2_500)
        for name in (SOURCE.container, "SCORE_a", "SCORE_b"):
            assert kept.thinned(Source(name, "ts", COLUMNS), 0, NOW_MS, 10)[1] == 1000
        assert [source.container for source in kept._kept] == ["SCORE_a", "SCORE_b"]


def test_the_data_of_a_range(app: Any, pump: Any) -> None:
    times, _ = pump
    client = app.test_client()
    whole = client.get("/pages/data/series/PUMP?pieces=10").json
    assert whole["span"] == [int(times[0]), int(times[-1])]
    assert (whole["rows"], max(whole["actual"]), whole["anomalies_found"]) == (1000, 99.0, 1)
    assert len(whole["times_ms"]) <= 22
    assert whole["anomalies"][0]["severity"] == "high"
    asked = f"from={times[10]}&to={times[19]}"
    part = client.get(f"/pages/data/series/pump?{asked}&severity=critical").json
    assert (part["rows"], part["anomalies"], part["times_ms"]) == (10, [], times[10:20].tolist())
    day = client.get("/pages/data/series/pump?from=2025-10-09&to=2025-10-09").json
    assert (day["from_ms"], day["to_ms"]) == (1_759_968_000_000, 1_760_054_399_999)


def test_of_too_many_anomalies_the_worst_are_told(
    app: Any, pump: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    times, _ = pump
    info = anomaly_info("pump")
    rows = [{"id": f"{at:032x}", "ts": int(times[at]), "score": float(at), "severity": "low"} for at in range(5)]
    rows[0]["anomaly_score"] = 99.0  # the greater of the two is what is shown, and what its severity goes by
    rows[1]["anomaly_score"] = 0.5
    store.put(info.name, pa.Table.from_pylist(rows, schema=info.arrow))
    monkeypatch.setattr(series_module, "_ANOMALIES_MAX", 3)
    found = app.test_client().get("/pages/data/series/pump").json
    assert ([row["severity_score"] for row in found["anomalies"]], found["anomalies_found"]) == ([99.0, 4.0, 90.0], 6)
    [lane] = app.test_client().get("/pages/data/lanes?series=pump").json["lanes"]
    assert max(lane["scores"]) == 99.0
    assert found["anomalies"][0]["explanation"] is None


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("from=yesterday", r"Cannot read the time 'yesterday' of 'from'; write 2024-05-01T12:30, in UTC\."),
        ("from=2025-01-02&to=2025-01-01", "The range ends before it begins"),
        ("severity=bad", "There is no severity 'bad'; there are critical, high, medium, low"),
        ("pieces=0", "pieces must be a whole number from 1 to 4,000, got '0'"),
    ],
)
def test_a_wrong_question_is_told(app: Any, pump: Any, query: str, message: str) -> None:
    answer = app.test_client().get(f"/pages/data/series/pump?{query}")
    assert answer.status_code == 400
    assert re.search(message, answer.json["error"])


@pytest.mark.parametrize("path", ["/series/none", "/series/%22", "/pages/data/series/none"])
def test_what_is_no_series_is_a_404(app: Any, pump: Any, path: str) -> None:
    answer = app.test_client().get(path)
    assert (answer.status_code, "There is no series" in answer.json["error"]) == (404, True)


def test_a_series_with_anomalies_alone_has_a_page(app: Any, key: str) -> None:
    client = app.test_client()
    assert "AAPL" in client.get("/series").text
    assert client.get("/series/AAPL").status_code == 200
    found = client.get("/pages/data/series/AAPL").json
    assert (found["rows"], found["anomalies"][0]["id"]) == (0, key)


def test_lanes_have_the_greatest_score_of_each_piece(app: Any, pump: Any, key: str) -> None:
    times, _ = pump
    client = app.test_client()
    lanes = client.get(f"/pages/data/lanes?series=pump&pieces=10&from={times[0]}&to={times[-1]}").json
    [lane] = lanes["lanes"]
    assert (lane["places"], lane["scores"], lane["severities"]) == ([7], [90.0], ["high"])
    assert [one["series"] for one in client.get("/pages/data/lanes").json["lanes"]] == ["AAPL", "pump"]
    assert client.get("/pages/data/lanes?severity=critical&detector=auto").json["lanes"] == []


def test_the_overview_tells_how_jobs_and_datasets_fare(app: Any, store: Store) -> None:
    for info, row in (
        (JOBS, {"id": "fares", "config": "{}", "state": "opened", "analysed_to_ms": 1_000}),
        (DATAFEEDS, {"id": "datafeed-fares", "job_id": "fares", "state": "started", "error": "no such column"}),
        (DETECTIONS, {"dataset": "aapl_daily", "scored_to_ms": NOW_MS, "scored": 252, "anomalies": 1}),
    ):
        store.put_container(info)
        store.put(info.name, pa.Table.from_pylist([row], schema=info.arrow))
    page = app.test_client().get("/overview").text
    for text in ('href="/jobs/fares"', "opened", "1970-01-01 00:00:01", "datafeed-fares", "started", "no such column"):
        assert text in page
    for text in ("aapl_daily", "2025-10-09 08:53:20", ">252<"):
        assert text in page


def test_without_anything_the_pages_are_empty(app: Any) -> None:
    client = app.test_client()
    assert client.get("/pages/data/lanes").json["lanes"] == []
    assert "No series was scored so far." in client.get("/series").text
    assert client.get("/overview").status_code == 200


def test_a_range_is_labelled_by_who_is_signed_in(app: Any, pump: Any, settings: Any) -> None:
    times, _ = pump
    client = app.test_client()
    said = {"from_ms": int(times[5]), "to_ms": int(times[9]), "verdict": "false", "note": "cleaned"}
    url = "/pages/data/series/pump/labels"
    assert "out of date" in client.post(url, json=said).json["error"]
    client.get(f"/login/{make_link(settings.home, 'anna', now_ms=NOW_MS)}")
    assert client.post(url, json=said).status_code == 403
    token = re.search(r'name="csrf-token" content="([^"]+)"', client.get("/series/pump").text)
    assert token
    headers = {"X-CSRF-Token": token[1]}
    answer = client.post(url, json=said, headers=headers)
    assert (answer.status_code, answer.json["author"]) == (201, "anna")
    [label] = client.get("/pages/data/series/pump").json["labels"]
    assert (label["verdict"], label["note"], label["from_ms"]) == ("false", "cleaned", int(times[5]))
    for wrong, message in (
        ([], "A label is an object"),
        ({**said, "from_ms": "1"}, "whole numbers"),
        ({**said, "verdict": "maybe"}, "There is no label 'maybe'"),
        ({**said, "from_ms": 5, "to_ms": 9}, "has no rows"),
        ({**said, "to_ms": 0}, "has to end after it begins"),
        ({**said, "to_ms": 10**30}, "in the years from 1970 to 9999"),
    ):
        refused = client.post(url, json=wrong, headers=headers)
        assert (refused.status_code, message in refused.json["error"]) == (400, True), refused.json
    assert client.delete(f"/pages/data/labels/{label['id']}", headers=headers).json["verdict"] == "removed"
    assert client.delete(f"/pages/data/labels/{label['id']}", headers=headers).status_code == 404
    assert client.get("/pages/data/series/pump").json["labels"] == []


def test_rows_of_a_dataset_without_scores_are_drawn(make_settings: Any, app: Any, store: Store, key: str) -> None:
    """The rows themselves stand in while nothing was scored."""
    folder = make_settings().datasets_dir
    folder.mkdir()
    (folder / "aapl.json").write_text(
        '{"name": "aapl", "symbol": "AAPL", "source": {"kind": "sample", "series": "aapl_daily"}}', encoding="utf-8"
    )
    store.execute("CREATE TABLE INTRADAY_AAPL (ts TIMESTAMP PRIMARY KEY, close DOUBLE, volume LONG) USING TIMESERIES")
    store.execute("INSERT INTO INTRADAY_AAPL VALUES (TIMESTAMP('2005-02-28T05:00:00Z'), 44.86, 7)")
    found = app.test_client().get("/pages/data/series/AAPL").json
    assert (found["actual"], found["expected"]) == ([44.86], [None])
