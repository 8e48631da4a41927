"""What is committed below `grafana/` is what the datasets make, and holds together."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from gridwatch.containers import ContainerInfo
from gridwatch.containers.catalog import FIXED, anomaly_info, score_info
from gridwatch.errors import ConfigError
from gridwatch.grafana import build, compare, write
from gridwatch.grafana.provisioning import VARIABLES
from gridwatch.settings import load_settings
from gridwatch.sources import Dataset

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def files(datasets: list[Dataset]) -> dict[str, str]:
    return build(datasets)


@pytest.fixture(scope="module")
def boards(files: dict[str, str]) -> dict[str, dict[str, Any]]:
    return {name: json.loads(text) for name, text in files.items() if name.endswith(".json")}


def provisioned(files: dict[str, str], what: str) -> Any:
    return yaml.safe_load(files[f"provisioning/{what}/gridwatch.yaml"])


def test_what_is_committed_is_what_is_built(files: dict[str, str]) -> None:
    drift = compare(files, ROOT / "grafana")
    assert not drift, f"run `gridwatch grafana build`: {drift}"


def test_a_dashboard_for_each_dataset_and_data_source(files: dict[str, str], datasets: list[Dataset]) -> None:
    names = ["_overview", *(dataset.name for dataset in datasets)]
    wanted = {f"dashboards/{folder}/{name}.json" for folder in ("infinity", "griddb") for name in names}
    assert wanted == {name for name in files if name.endswith(".json")}


def test_uids_and_panel_ids_are_unique(boards: dict[str, dict[str, Any]]) -> None:
    uids = [board["uid"] for board in boards.values()]
    assert len(set(uids)) == len(uids)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,40}", uid) for uid in uids)
    for name, board in boards.items():
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(ids)) == len(ids), name


def test_panels_lie_in_the_grid_and_apart(boards: dict[str, dict[str, Any]]) -> None:
    for name, board in boards.items():
        places = [panel["gridPos"] for panel in board["panels"]]
        assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 and place["h"] > 0 for place in places)
        for one, other in combinations(places, 2):
            beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
            above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
            assert beside or above, f"{name}: {one} and {other} overlap"


def _references(value: Any) -> Iterator[dict[str, str]]:
    if isinstance(value, dict):
        if "datasource" in value:
            yield value["datasource"]
        for part in value.values():
            yield from _references(part)
    elif isinstance(value, list):
        for part in value:
            yield from _references(part)


def test_every_data_source_is_provisioned(files: dict[str, str], boards: dict[str, dict[str, Any]]) -> None:
    known = {(one["type"], one["uid"]) for one in provisioned(files, "datasources")["datasources"]}
    assert known == {
        ("yesoreyeram-infinity-datasource", "gridwatch-infinity"),
        ("griddb-datasource", "gridwatch-griddb"),
    }
    for name, board in boards.items():
        used = {(one["type"], one["uid"]) for one in _references(board)}
        assert used == {one for one in known if one[1].endswith(name.split("/")[1])}, name
    for group in provisioned(files, "alerting")["groups"]:
        for rule in group["rules"]:
            assert [query["datasourceUid"] for query in rule["data"]] == ["gridwatch-infinity", "__expr__"]


def _statements(files: dict[str, str], boards: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield each statement of each file."""

    def found(name: str, target: dict[str, Any]) -> Iterator[tuple[str, str]]:
        if "url_options" in target:
            yield from ((name, one["stmt"]) for one in json.loads(target["url_options"]["data"]))
        elif target["rawQuery"]:
            yield name, target["query"]
        else:
            columns = ", ".join(target["griddbSelectedViewCols"])
            yield name, " ".join(("SELECT", columns, "FROM", target["griddbContainer"]["text"], "WHERE ts"))

    for name, board in boards.items():
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                yield from found(name, target)
        for annotation in board["annotations"]["list"]:
            if "target" in annotation:
                yield from found(name, annotation["target"])
            else:
                columns = f"{annotation['timeColumn']}, {annotation['textColumn']}, {annotation['tagsColumn']}"
                yield name, annotation["query"].replace("*", columns)
    for group in provisioned(files, "alerting")["groups"]:
        for rule in group["rules"]:
            yield from found("alerting", rule["data"][0]["model"])


def test_every_container_and_column_in_a_statement_is_in_the_catalog(
    files: dict[str, str], boards: dict[str, dict[str, Any]], datasets: list[Dataset]
) -> None:
    infos: list[ContainerInfo] = [*FIXED]
    for dataset in datasets:
        infos += [dataset.info, score_info(dataset.symbol), anomaly_info(dataset.symbol)]
    known = {info.name: {column.name for column in info.columns} for info in infos}
    words = set(
        re.findall(
            r"\w+",
            "SELECT FROM WHERE AND GROUP BY RANGE EVERY MILLISECOND ORDER DESC LIMIT COUNT MAX MIN AVG SUM TO_EPOCH_MS "
            "TO_TIMESTAMP_MS FILL NONE NOW COALESCE CASE WHEN THEN ELSE END v n",
        )
    )
    seen = 0
    for name, statement in _statements(files, boards):
        bare = re.sub(r"'[^']*'|\$\{?\w+\}?|\b\d+\b", " ", statement)
        used = set(re.findall(r"\w+", bare)) - words
        containers = used & known.keys()
        assert len(containers) == 1, f"{name}: {statement}"
        [container] = containers
        assert used - containers <= known[container], f"{name}: {statement}"
        seen += 1
    assert seen > 100


def test_a_dashboard_says_when_and_in_which_zone(boards: dict[str, dict[str, Any]], datasets: list[Dataset]) -> None:
    for dataset in datasets:
        board = boards[f"dashboards/infinity/{dataset.name}.json"]
        assert board["timezone"] == dataset.timezone
        assert any(panel["title"].startswith(f"{dataset.value} with") for panel in board["panels"])
        [annotation] = board["annotations"]["list"]
        assert annotation["iconColor"] == "red"
        assert "severity" in annotation["target"]["url_options"]["data"]
    assert boards["dashboards/infinity/aapl_daily.json"]["time"] == {"from": "1104555600000", "to": "1136091599999"}
    assert boards["dashboards/infinity/stocks_ibm_intraday.json"]["time"] == {"from": "now-2d", "to": "now"}


def test_links_lead_to_the_pages_of_gridwatch(datasets: list[Dataset]) -> None:
    board = json.loads(build(datasets, pages="https://watch.example.com/")["dashboards/infinity/aapl_daily.json"])
    assert board["templating"]["list"][0]["query"] == "https://watch.example.com"
    assert board["links"][1]["url"] == "${pages}/anomalies?symbol=AAPL"
    text = json.dumps(board)
    assert "${pages}/anomalies/ANOMALY_AAPL/${__value.raw}" in text


def test_secrets_are_named_and_never_written(files: dict[str, str]) -> None:
    named: set[str] = set()
    for name, text in files.items():
        if name.startswith("provisioning/"):
            named |= set(re.findall(r"\$\{(GRIDWATCH_\w+)\}", text))
    assert named == set(VARIABLES)
    for source in provisioned(files, "datasources")["datasources"]:
        assert source["secureJsonData"] == {"basicAuthPassword": "${GRIDWATCH_GRAFANA_PASSWORD}"}


def test_rules_wait_where_no_rows_are_to_be_expected(files: dict[str, str], datasets: list[Dataset]) -> None:
    [lags, pipeline] = provisioned(files, "alerting")["groups"]
    assert {rule["labels"]["dataset"]: rule["isPaused"] for rule in lags["rules"]} == {
        dataset.name: True for dataset in datasets
    }
    assert [rule["uid"] for rule in pipeline["rules"]] == ["gridwatch-validation", "gridwatch-delivery"]
    live = datasets[-1].model_copy(update={"enabled": True})
    rule = yaml.safe_load(build([live])["provisioning/alerting/gridwatch.yaml"])["groups"][0]["rules"][0]
    assert not rule["isPaused"]
    # An exchange may be closed for four days; an hour or ten rows on top.
    assert rule["data"][1]["model"]["conditions"][0]["evaluator"]["params"] == [4 * 86_400 + 3600]


def test_writing_again_changes_nothing_and_old_dashboards_go(
    tmp_path: Path, files: dict[str, str], datasets: list[Dataset]
) -> None:
    assert len(write(files, tmp_path)) == len(files)
    assert write(files, tmp_path) == []
    (tmp_path / "dashboards" / "infinity" / "aapl_daily.json").write_text("{}", encoding="utf-8")
    (tmp_path / "mine.json").write_text("{}", encoding="utf-8")
    fewer = build(datasets[:1])
    drift = compare(fewer, tmp_path)
    assert "dashboards/infinity/aapl_daily.json" in drift.changed
    assert "dashboards/griddb/buoy_temperature.json" in drift.stale
    write(fewer, tmp_path)
    assert not compare(fewer, tmp_path)
    assert (tmp_path / "mine.json").exists()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, files: dict[str, str]) -> None:
    (tmp_path / "provisioning").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"Cannot write '.*provisioning.*': Not a directory"):
        write(files, tmp_path)


def test_grafanas_own_variables_do_not_stop_gridwatch(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, "x")
    load_settings()
    monkeypatch.setenv("GRIDWATCH_GRAFANAURL", "x")
    with pytest.raises(ConfigError, match="GRIDWATCH_GRAFANAURL is no setting"):
        load_settings()
