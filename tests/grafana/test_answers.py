"""Every request that the dashboards and alerts make both plugins send is answered, and as they can read it."""

from __future__ import annotations

from typing import Any

from gridwatch.grafana.alerting import rules
from gridwatch.grafana.dashboards import overview, series_dashboard
from gridwatch.grafana.infinity import Infinity
from gridwatch.grafana.panels import Source
from gridwatch.sources import Dataset
from tests.grafana import plugins
from tests.grafana.plugins import Login, View

DAY_MS = 86_400_000
YEAR_2005 = View(1_104_537_600_007, 1_136_073_600_000, DAY_MS)
ALL = View(946_684_800_000, 1_700_000_001_007, 12 * DAY_MS)
PAGES = "http://127.0.0.1:8090"


def targets_of(dashboard: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(panel["title"], target) for panel in dashboard["panels"] for target in panel.get("targets", [])]


def boards(datasets: list[Dataset], source: Source) -> dict[str, dict[str, Any]]:
    made = {dataset.name: series_dashboard(dataset, source, pages=PAGES) for dataset in datasets}
    return {**made, "overview": overview(datasets, source, pages=PAGES)}


def test_infinity_reads_every_panel(datasets: list[Dataset], login: Login) -> None:
    for name, board in boards(datasets, Infinity()).items():
        for title, target in targets_of(board):
            frame = plugins.infinity_frame(target, plugins.send_infinity(target, login, ALL))
            wanted = {column["text"] for column in target["columns"]}
            assert set(frame) in (wanted, set()), f"{name}: {title}"
            if name in {"aapl_daily", "buoy_temperature"}:
                assert frame, f"{name}: {title} shows nothing"


def test_alerts(datasets: list[Dataset], login: Login) -> None:
    for group in rules(datasets)["groups"]:
        for rule in group["rules"]:
            model = rule["data"][0]["model"]
            answer = plugins.send_infinity(model, login, ALL, browser=False)
            frame = plugins.infinity_frame(model, answer)
            assert frame, rule["title"]
