"""Every request that the dashboards and alerts make both plugins send is answered, and as they can read it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pandas as pd
import pytest
import requests

from gridwatch.containers import Store
from gridwatch.containers.catalog import (
    DELIVERIES,
    TRAININGS,
    VALIDATIONS,
    anomaly_container,
    anomaly_info,
    score_container,
    score_info,
)
from gridwatch.grafana.alerting import rules
from gridwatch.grafana.dashboards import overview, series_dashboard
from gridwatch.grafana.griddb_plugin import GridDBPlugin
from gridwatch.grafana.infinity import Infinity
from gridwatch.grafana.panels import Source
from gridwatch.grafana.provisioning import data_sources
from gridwatch.sources import Dataset
from tests.grafana import plugins
from tests.grafana.plugins import Login, View

DAY_MS = 86_400_000
ALL = View(946_684_800_007, 1_700_000_001_010, 12 * DAY_MS)
YEAR_2005 = View(1_104_555_600_000, 1_136_091_599_999, DAY_MS)
BEFORE = View(315_532_800_000, 315_619_200_500, 60_000)
PAGES = "http://pages"
FILLED = {"aapl_daily", "buoy_temperature"}


def boards(datasets: list[Dataset], source: Source) -> dict[str, dict[str, Any]]:
    made = {dataset.name: series_dashboard(dataset, source, pages=PAGES) for dataset in datasets}
    return {**made, "overview": overview(datasets, source, pages=PAGES)}


def panel_of(board: dict[str, Any], title: str) -> dict[str, Any]:
    [found] = [panel for panel in board["panels"] if panel["title"] == title and panel["type"] != "row"]
    return dict(found)


def infinity(target: dict[str, Any], login: Login, view: View) -> dict[str, list[Any]]:
    return plugins.infinity_frame(target, plugins.send_infinity(target, login, view))


def griddb(panel: dict[str, Any], login: Login, view: View) -> list[dict[str, list[Any]]]:
    targets = panel["targets"]
    bodies = [plugins.griddb_body(target, view) for target in targets]
    return plugins.griddb_frames(targets, plugins.send_tql(bodies, login))


def fields_read(panel: dict[str, Any]) -> set[str]:
    """Return the fields that a panel's transformations and options need to find in an answer."""
    wanted: set[str] = set()
    for step in panel.get("transformations", []):
        options = step["options"]
        if step["id"] == "calculateField":
            wanted |= {options["binary"]["left"], options["binary"]["right"]}
        elif step["id"] == "filterFieldsByName":
            wanted |= set(options["include"]["names"]) - {"lag"}
        elif step["id"] == "convertFieldType":
            wanted |= {conversion["targetField"] for conversion in options["conversions"]}
    if panel["type"] == "stat":
        wanted.add(panel["options"]["reduceOptions"]["fields"].strip("/^$"))
    return wanted


@pytest.mark.parametrize("view", [ALL, BEFORE], ids=["all", "before any row"])
def test_infinity_can_read_every_panel(datasets: list[Dataset], login: Login, view: View) -> None:
    for name, board in boards(datasets, Infinity()).items():
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                frame = infinity(target, login, view)
                wanted = {column["text"] for column in target["columns"]}
                assert set(frame) in (wanted, set()), f"{name}: {panel['title']}"
                assert fields_read(panel) <= wanted, f"{name}: {panel['title']}"
                assert frame or name not in FILLED or view is BEFORE, f"{name}: {panel['title']} shows nothing"


@pytest.mark.parametrize("view", [ALL, BEFORE], ids=["all", "before any row"])
def test_griddbs_plugin_can_read_every_panel(datasets: list[Dataset], login: Login, view: View) -> None:
    for name, board in boards(datasets, GridDBPlugin()).items():
        for panel in board["panels"]:
            for frame in griddb(panel, login, view) if "targets" in panel else []:
                assert not frame or fields_read(panel) <= set(frame), f"{name}: {panel['title']}"
                assert frame or name not in FILLED or view is BEFORE, f"{name}: {panel['title']} shows nothing"


def test_no_limit_of_rows_hides_a_part_of_the_range(datasets: list[Dataset], login: Login, store: Store) -> None:
    """19,000 half-hours in steps of a row: more than the 10,000 rows that GridDB's editor would ask for."""
    [buoy] = [dataset for dataset in datasets if dataset.name == "buoy_temperature"]
    rows = store.read(buoy.container)
    times_ms = [round(moment.timestamp() * 1000) for moment in rows["ts"].to_pylist()]
    view = View(times_ms[0] - 1, times_ms[-1] + 1, buoy.interval_ms)
    assert len(times_ms) > 10_000
    title = "temperature with its expected band"
    [sql, _] = panel_of(series_dashboard(buoy, Infinity(), pages=PAGES), title)["targets"]
    frame = infinity(sql, login, view)
    found = {time: value for time, value in zip(frame["ts"], frame["temperature"], strict=True) if value is not None}
    assert found == dict(zip(times_ms, rows["temperature"].to_pylist(), strict=True))
    tql = panel_of(series_dashboard(buoy, GridDBPlugin(), pages=PAGES), title)
    sampled = griddb(tql, login, view)[0]
    assert len(sampled["ts"]) > 10_000
    assert sampled["ts"][-1] >= times_ms[-1] - buoy.interval_ms


def test_a_bucket_holds_what_lies_in_it(datasets: list[Dataset], login: Login, store: Store) -> None:
    [aapl] = [dataset for dataset in datasets if dataset.name == "aapl_daily"]
    board = series_dashboard(aapl, Infinity(), pages=PAGES)
    view = dataclasses.replace(YEAR_2005, interval_ms=30 * DAY_MS)
    [close, band] = [
        infinity(target, login, view) for target in panel_of(board, "close with its expected band")["targets"]
    ]
    rows = store.read(aapl.container, view.from_ms, view.to_ms).to_pandas()
    bucket = rows["ts"].astype("datetime64[ms, UTC]").astype("int64") // view.interval_ms * view.interval_ms
    means = rows.groupby(bucket)["close"].mean()
    firsts = rows["ts"].astype("datetime64[ms, UTC]").astype("int64").groupby(bucket).min()
    assert close["ts"] == firsts.tolist()
    assert close["close"] == pytest.approx(means.tolist())
    scores = store.read(score_container("AAPL"), view.from_ms, view.to_ms).to_pandas()
    assert band["upper"] == pytest.approx(scores.groupby(bucket.to_numpy())["upper"].max().tolist())
    worst = infinity(panel_of(board, "Anomaly score")["targets"][0], login, view)
    assert max(worst["score"]) == pytest.approx(scores["score"].max())


def test_a_daily_bar_keeps_its_day(datasets: list[Dataset], login: Login, store: Store) -> None:
    """Apple's bar of 28 February begins at midnight in New York, which is five hours after midnight UTC."""
    [aapl] = [dataset for dataset in datasets if dataset.name == "aapl_daily"]
    panel = panel_of(series_dashboard(aapl, Infinity(), pages=PAGES), "close with its expected band")
    frame = infinity(panel["targets"][0], login, YEAR_2005)
    rows = store.read(aapl.container, YEAR_2005.from_ms, YEAR_2005.to_ms)
    assert frame["ts"] == [round(moment.timestamp() * 1000) for moment in rows["ts"].to_pylist()]
    assert frame["close"] == rows["close"].to_pylist()


def test_anomalies_are_annotations_that_say_how_bad_and_why(
    datasets: list[Dataset], login: Login, store: Store
) -> None:
    container = anomaly_container("AAPL")
    wanted = {row["ts"]: row["id"] for row in store.read(container).to_pylist()}
    inside = {
        round(ts.timestamp() * 1000): key
        for ts, key in wanted.items()
        if YEAR_2005.from_ms <= ts.timestamp() * 1000 <= YEAR_2005.to_ms
    }
    assert inside
    [line] = series_dashboard(datasets[0], Infinity(), pages=PAGES)["annotations"]["list"]
    assert (line["iconColor"], line["enable"]) == ("red", True)
    frame = infinity(line["target"], login, YEAR_2005)
    assert dict(zip(frame["time"], frame["text"], strict=True)) == {
        time: f'critical anomaly. Normal is less. <a href="{PAGES}/anomalies/{container}/{key}" target="_blank">'
        "More</a>"
        for time, key in inside.items()
    }
    assert set(frame["tags"]) == {"critical,lstm"}
    [line] = series_dashboard(datasets[0], GridDBPlugin(), pages=PAGES)["annotations"]["list"]
    found = plugins.griddb_annotations(line, plugins.send_tql([plugins.griddb_annotation_body(line, YEAR_2005)], login))
    assert {one["time"]: (one["text"], one["tags"]) for one in found} == {
        time: ("Normal is less.", ["critical", "lstm"]) for time in inside
    }


def test_a_range_without_anomalies_has_no_lines(datasets: list[Dataset], login: Login) -> None:
    [line] = series_dashboard(datasets[0], Infinity(), pages=PAGES)["annotations"]["list"]
    assert infinity(line["target"], login, BEFORE) == {}
    # GridDB's plugin calls that an error, whatever the server answers; docs/grafana.md says so.
    [line] = series_dashboard(datasets[0], GridDBPlugin(), pages=PAGES)["annotations"]["list"]
    answer = plugins.send_tql([plugins.griddb_annotation_body(line, BEFORE)], login)
    with pytest.raises(LookupError, match="No results"):
        plugins.griddb_annotations(line, answer)


def test_the_newest_champion_is_shown(datasets: list[Dataset], login: Login) -> None:
    """Version 3 was trained last and did not become champion."""
    for source in (Infinity(), GridDBPlugin()):
        panel = panel_of(series_dashboard(datasets[0], source, pages=PAGES), "Champion's error")
        shown = (
            infinity(panel["targets"][0], login, ALL) if isinstance(source, Infinity) else griddb(panel, login, ALL)[0]
        )
        assert shown["val_mae"] == [1.0]


def test_alerts_come_with_a_figure_each(datasets: list[Dataset], login: Login) -> None:
    found = {}
    for group in rules(datasets)["groups"]:
        for rule in group["rules"]:
            model = rule["data"][0]["model"]
            found[rule["uid"]] = plugins.infinity_frame(model, plugins.send_infinity(model, login, ALL, browser=False))
    lags = [frame["lag_s"] for uid, frame in found.items() if uid.startswith("gridwatch-lag-")]
    assert [lag for [lag] in lags if lag is not None and lag > 86_400] != []
    assert [None] in lags  # nothing came in yet: no data, and no alert
    assert found["gridwatch-validation"] == {
        "dataset": [dataset.name for dataset in datasets],
        "failed": [float(place % 2) for place, _ in enumerate(datasets)],
    }
    assert found["gridwatch-delivery"] == {"dead": [3.0]}


def test_the_checks_of_the_data_sources_pass(login: Login) -> None:
    [infinity_source, griddb_source] = data_sources()["datasources"]
    variables = {
        "GRIDWATCH_GRAFANA_URL": login.url,
        "GRIDWATCH_GRAFANA_CLUSTER": login.cluster,
        "GRIDWATCH_GRAFANA_DATABASE": "public",
        "GRIDWATCH_GRAFANA_USER": login.user,
    }
    headers = {"Authorization": login.authorization}
    base = plugins.interpolated(infinity_source["url"], variables)
    assert base == login.database
    health = requests.get(base + infinity_source["jsonData"]["customHealthCheckUrl"], headers=headers, timeout=60)
    assert health.status_code == 200
    assert health.content
    url = plugins.interpolated(griddb_source["url"], variables)
    cluster = plugins.interpolated(griddb_source["jsonData"]["xgridcluster"], variables)
    root = f"{url}/griddb/v2/{cluster}/dbs/public"
    assert requests.get(f"{root}/checkConnection", headers=headers, timeout=60).status_code == 200
    names = requests.get(f"{root}/containers", params={"limit": 1000}, headers=headers, timeout=60).json()["names"]
    assert {"INTRADAY_AAPL", VALIDATIONS.name, TRAININGS.name, DELIVERIES.name} <= set(names)
    info = requests.get(f"{root}/containers/INTRADAY_AAPL/info", headers=headers, timeout=60).json()
    assert [column["name"] for column in info["columns"]][:2] == ["ts", "open"]
    assert info["container_type"] == "TIME_SERIES"


def test_grafanas_user_may_only_read(login: Login) -> None:
    headers = {"Authorization": login.authorization}
    answer = requests.post(
        f"{login.database}/sql/dml/update",
        json=[{"stmt": "DELETE FROM validations"}],
        headers=headers,
        timeout=60,
    )
    assert (answer.status_code, answer.json()[0]["status"]) == (200, 0)
    wrong = dataclasses.replace(login, password="guessed")
    assert (
        requests.post(
            f"{wrong.database}/sql",
            json=[{"stmt": "SELECT 1"}],
            headers={"Authorization": wrong.authorization},
            timeout=60,
        ).status_code
        == 401
    )


def test_a_series_that_was_never_loaded_is_an_error_of_its_own_panels(datasets: list[Dataset], login: Login) -> None:
    missing = datasets[0].model_copy(update={"symbol": "NONE", "container": "INTRADAY_NONE"})
    [target, _] = panel_of(series_dashboard(missing, Infinity(), pages=PAGES), "close with its expected band")[
        "targets"
    ]
    answer = plugins.send_infinity(target, login, ALL)
    assert answer.status_code == 400
    assert "INTRADAY_NONE" in answer.json()["errorMessage"]


def test_names_that_sql_keeps_for_itself_are_no_trouble(login: Login, store: Store) -> None:
    raw = {
        "name": "o" * 63,
        "symbol": "7203.T O'NEIL",
        "source": {"kind": "csv_folder", "path": "/nowhere"},
        "interval": "90s",
        "timezone": "Asia/Tokyo",
        "calendar": None,
        "columns": [{"name": "order", "type": "LONG"}, {"name": "select", "type": "DOUBLE"}],
        "value": "order",
        "suite": "sensor",
    }
    odd = Dataset.model_validate(raw)
    for info in (odd.info, score_info(odd.symbol), anomaly_info(odd.symbol)):
        store.put_container(info)
    rows = pd.DataFrame({"ts": [YEAR_2005.from_ms, YEAR_2005.from_ms + 90_000], "order": [1, 2], "select": [0.5, 1.5]})
    store.put(odd.container, rows)
    view = View(YEAR_2005.from_ms - 1, YEAR_2005.from_ms + 200_000, 90_000)
    title = "order with its expected band"
    board = series_dashboard(odd, Infinity(), pages=PAGES)
    assert len(board["uid"]) <= 40
    [target, _] = panel_of(board, title)["targets"]
    assert [value for value in infinity(target, login, view)["order"] if value is not None] == [1.0, 2.0]
    [sampled, _] = griddb(panel_of(series_dashboard(odd, GridDBPlugin(), pages=PAGES), title), login, view)
    assert sampled["order"] == [1]  # the second lies between two samples, of which there is none after it
    for source in (Infinity(), GridDBPlugin()):
        for panel in series_dashboard(odd, source, pages=PAGES)["panels"]:
            for one in panel.get("targets", []):
                if isinstance(source, Infinity):
                    infinity(one, login, view)
                else:
                    griddb({"targets": [one]}, login, view)
