"""The pages that list things: validations, jobs, dead letters, models."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from flask import Flask
from flask.testing import FlaskClient

from gridwatch.containers import ContainerInfo, Store
from gridwatch.containers.catalog import TRAININGS, VALIDATIONS
from gridwatch.jobs.service import JobsService
from gridwatch.jobs.tables import MESSAGES, RECORDS
from gridwatch.settings import KafkaSettings, Settings
from tests.server.conftest import NOW_MS

if TYPE_CHECKING:
    from playwright.sync_api import Page

DAY_MS = 86_400_000


def put(store: Store, info: ContainerInfo, *rows: dict[str, Any]) -> None:
    store.put_container(info)
    full = [{name: row.get(name) for name in info.arrow.names} for row in rows]
    store.put(info.name, pa.Table.from_pylist(full, info.arrow))


def text_of(client: FlaskClient, url: str, status: int = 200) -> str:
    answer = client.get(url, headers={"Accept": "text/html"})
    assert answer.status_code == status, answer.text
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    return answer.text


FAILURE = {
    "expectation": "expect_ohlc_to_be_consistent",
    "column": "high",
    "reason": "high is below low <b>",
    "failing": 2,
    "rows": [{"ts": "2024-05-01T00:00:00Z", "high": 1.5}],
}


@pytest.fixture
def validated(store: Store, settings: Settings) -> Path:
    """120 validations of two datasets, one of which failed; its report is in the Data Docs."""
    report = settings.home / "data_docs/gx/uncommitted/data_docs/local_site/validations/x.html"
    report.parent.mkdir(parents=True)
    report.write_text('<link href="https://cdn.example/x.css"><script>alert(1)</script>report')
    rows = [
        {
            "id": f"v{place:03}", "dataset": "pump" if place % 2 else "aapl", "container": "c", "suite": "ohlcv",
            "run_ms": NOW_MS + place, "success": True, "rows": 1000, "expectations": 9, "failed": 0, "failures": "[]",
        }
        for place in range(119)
    ]  # fmt: skip
    failed = {"success": False, "failed": 1, "failures": json.dumps([FAILURE]), "report": str(report)}
    put(store, VALIDATIONS, *rows, rows[1] | {"id": "bad", "run_ms": NOW_MS + 500} | failed)
    return report


@pytest.mark.usefixtures("validated")
def test_validations_are_paged_and_filtered(app: Flask) -> None:
    client = app.test_client()
    first = text_of(client, "/validations")
    assert "1 to 50 of 120 validations" in first
    assert "expect_ohlc_to_be_consistent on high" in first
    assert '<a rel="next" href="/validations?page=2">Older</a>' in first
    assert "101 to 120 of 120 validations" in text_of(client, "/validations?page=3")
    assert "101 to 120 of 120 validations" in text_of(client, "/validations?page=99"), "the last one there is"
    some = text_of(client, "/validations?dataset=pump&outcome=passed&page=2&rows=20")
    assert "21 to 40 of 59 validations" in some
    assert "/validations?dataset=pump&amp;outcome=passed&amp;rows=20&amp;page=3" in some
    assert "1 to 1 of 1 validations" in text_of(client, "/validations?outcome=failed")
    assert "None of what the filters ask for" in text_of(client, "/validations?to=1970-01-02")
    assert "There is no outcome &#39;odd&#39;" in text_of(client, "/validations?outcome=odd", 400)
    assert "page must be a whole number from 1" in text_of(client, "/validations?page=0", 400)


@pytest.mark.usefixtures("validated")
def test_a_validation_names_what_failed_and_leads_to_its_report(app: Flask) -> None:
    client = app.test_client()
    page = text_of(client, "/validations/bad")
    assert "high is below low &lt;b&gt;" in page
    assert "ts=2024-05-01T00:00:00Z, high=1.5" in page
    assert 'href="/data_docs/validations/x.html"' in page
    report = client.get("/data_docs/validations/x.html")
    assert report.text == "report", "and asks nobody else for anything"
    report.close()
    assert report.headers["Content-Security-Policy"].endswith("sandbox"), "what is in it runs nothing"
    assert "its page is gone" in text_of(client, "/validations/v001")
    assert "There is no validation &#39;nosuch&#39;" in text_of(client, "/validations/nosuch", 404)


@pytest.mark.parametrize("path", ["../../../../store.db", "validations/nosuch.html", "%2e%2e/%2e%2e/secret"])
def test_only_the_data_docs_are_given(app: Flask, validated: Path, path: str) -> None:
    (validated.parents[2] / "secret").write_text("no")
    assert app.test_client().get(f"/data_docs/{path}").status_code == 404


@pytest.mark.usefixtures("validated")
@pytest.mark.parametrize(
    "path",
    ["/validations/%00", "/validations?dataset=%00", "/data_docs/%00", "/pages/data/models/%00",
     "/pages/data/lanes?detector=a&detector=%00"],
)  # fmt: skip
def test_an_address_with_a_nul_is_refused_with_a_sentence(app: Flask, path: str) -> None:
    assert "The address holds a NUL character" in text_of(app.test_client(), path, 400)


def test_a_store_that_has_nothing_says_so(app: Flask) -> None:
    client = app.test_client()
    assert "Nothing was validated so far" in text_of(client, "/validations")
    assert "There are no jobs" in text_of(client, "/jobs")
    assert "Nothing was trained so far" in text_of(client, "/models")
    assert "There is no job &#39;j&#39;" in text_of(client, "/jobs/j", 404)
    assert "There is no validation &#39;v&#39;" in text_of(client, "/validations/v", 404)


@pytest.fixture
def job(store: Store) -> None:
    """A job `temp` with a datafeed, 130 records and some messages, and a closed one."""
    service = JobsService(store, now_ms=lambda: NOW_MS)
    body = {
        "description": "Temperatures <of> rooms",
        "analysis_config": {
            "bucket_span": "1h",
            "detectors": [{"function": "mean", "field_name": "t", "partition_field_name": "room"}],
        },
        "data_description": {"time_field": "ts"},
    }
    service.put_job(body, job_id="temp")
    service.put_job(body | {"description": ""}, job_id="other")
    service.put_datafeed({"datafeed_id": "feed-temp", "job_id": "temp", "indices": ["ROOMS"]})
    service.resources.change_job("temp", state="opened", counts={"processed_record_count": 12345, "bucket_count": 130})
    service.resources.change_datafeed("feed-temp", state="started", error="table is gone")
    records = [
        {
            "id": f"r{place:03}", "job_id": "temp", "ts": NOW_MS - place * 3_600_000, "function": "mean",
            "field_name": "t", "partition_fields": '[["room", "<kitchen>"]]', "actual": 30.0, "typical": 20.0,
            "probability": 1e-7, "record_score": float(place % 100), "is_interim": False,
        }
        for place in range(130)
    ]  # fmt: skip
    put(store, RECORDS, *records)
    put(
        store,
        MESSAGES,
        {"id": "m", "job_id": "temp", "ts": NOW_MS + 1, "level": "warning", "message": "3 rows came late"},
    )


@pytest.mark.usefixtures("job")
def test_jobs_are_listed_with_their_states_and_last_messages(app: Flask) -> None:
    client = app.test_client()
    page = text_of(client, "/jobs")
    assert "12,345" in page
    assert "3 rows came late" in page
    assert "table is gone" in page
    assert "1 to 2 of 2 jobs" in page
    assert "1 to 1 of 1 jobs" in text_of(client, "/jobs?state=opened")
    assert "1 to 1 of 1 jobs" in text_of(client, "/jobs?id=THE")
    assert "There is no state &#39;odd&#39;" in text_of(client, "/jobs?state=odd", 400)


@pytest.mark.usefixtures("job")
def test_a_job_shows_its_records_and_messages(app: Flask, store: Store) -> None:
    client = app.test_client()
    page = text_of(client, "/jobs/temp")
    assert "Temperatures &lt;of&gt; rooms" in page
    assert "room=&lt;kitchen&gt;" in page
    assert "1 to 50 of 130 records" in page
    assert "ROOMS" in page
    assert "<dt>Last search</dt><dd>–, 0 in all" in page
    changes: list[tuple[dict[str, Any], str]]
    changes = [({"searched_ms": NOW_MS}, "08:53:20"), ({"tried_ms": NOW_MS + 60_000}, "08:54:20")]
    for change, told in changes:
        JobsService(store, now_ms=lambda: NOW_MS).resources.change_datafeed("feed-temp", searches=1, **change)
        assert f"{told}, 1 in all" in text_of(client, "/jobs/temp")
    assert "/series/temp" not in page, "there is no series before the first anomaly"
    best = text_of(client, "/jobs/temp?sort=score&score=99")
    assert "1 to 1 of 1 records" in best
    assert "Records are sorted by time or score, not by &#39;x&#39;" in text_of(client, "/jobs/temp?sort=x", 400)
    assert "no records" in text_of(client, "/jobs/temp?to=1970-01-02")
    from gridwatch.containers.catalog import anomaly_info

    put(store, anomaly_info("temp"), {"id": "a" * 32, "ts": NOW_MS, "score": 90.0, "severity": "critical"})
    around = 100 * 3_600_000
    assert f"/series/temp?from={NOW_MS - around}&amp;to={NOW_MS + around}" in text_of(client, "/jobs/temp")


@pytest.fixture
def trained(store: Store) -> None:
    """Sixty trainings of one dataset, every fifth of which became champion."""
    rows = [
        {
            "run_id": f"{place:032x}", "dataset": "pump", "model_version": str(place + 1),
            "model_uri": f"models:/gridwatch-pump/{place + 1}", "champion": place % 5 == 0,
            "trained_ms": NOW_MS + place * DAY_MS, "rows": 1000 + place, "to_ms": NOW_MS, "val_mae": 1.0 + place / 100,
            "champion_mae": 1.5 if place else None, "naive_mae": 2.0, "detector": "<auto>",
        }
        for place in range(60)
    ]  # fmt: skip
    put(store, TRAININGS, *rows)


@pytest.mark.usefixtures("trained")
def test_models_and_their_trainings(app: Flask) -> None:
    client = app.test_client()
    page = text_of(client, "/models")
    assert "version 56" in page, "the champion"
    assert "version 60, not better" in page
    assert "&lt;auto&gt;" in page
    one = text_of(client, "/models/pump")
    assert "1 to 50 of 60 trainings" in one
    assert "Version 60" in one
    assert "There is no dataset file of pump any more" in one
    assert "Version 7<" in text_of(client, "/models/pump?version=7")
    drawn: Any = client.get("/pages/data/models/pump").json
    assert drawn["val_mae"][0] == 1.0, "oldest first"
    assert (drawn["champion_mae"][:2], len(drawn["trained_ms"])) == ([None, 1.5], 60)
    assert "No model of a dataset &#39;x&#39; was trained" in text_of(client, "/models/x", 404)
    refused = client.get("/pages/data/models/pump/99/curves", headers={"Accept": "application/json"})
    assert refused.status_code == 404
    assert "Version '99' of a model of dataset 'pump' was never trained." in refused.text
    gone = client.get("/pages/data/models/pump/1/sides", headers={"Accept": "application/json"})
    assert (gone.status_code, "There is no dataset file of 'pump' any more" in gone.text) == (404, True)


def test_a_kafka_that_is_away_is_told(make_app: Any, make_settings: Any) -> None:
    client = make_app(make_settings()).test_client()
    assert "No Kafka broker runs: the letters are kept" in text_of(client, "/dead-letters")
    # Nobody listens there, and nobody else can take it.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        kafka = KafkaSettings(bootstrap_servers=f"127.0.0.1:{port}", request_timeout_s=1)
        client = make_app(make_settings(kafka=kafka)).test_client()
        assert f"Kafka at 127.0.0.1:{port} does not answer" in text_of(client, "/dead-letters")
    assert "There is no state &#39;odd&#39;" in text_of(client, "/dead-letters?state=odd", 400)


PAGES = ("/validations", "/validations/bad", "/jobs", "/jobs/temp", "/dead-letters", "/models", "/models/pump")


def show_a_version(page: Page, url: str) -> None:
    """Draw what MLflow and the detectors would say; that they say it is tested where they are."""
    sides = {
        "champion": "56", "chosen": "7", "value": "close", "from_ms": NOW_MS, "unseen": 3, "naive_mae": 2.0,
        "times_ms": [NOW_MS, NOW_MS + 60_000, NOW_MS + 120_000], "actual": [1.0, 2.0, 3.0],
        "versions": [
            {"version": "56", "detector": "auto", "expected": [1.5, None, 2.5], "mae": 0.5, "flagged": 0},
            {"version": "7", "detector": "lstm", "expected": [1.0, 2.5, 3.5], "mae": 0.25, "flagged": 1},
        ],
    }  # fmt: skip
    epochs = {
        "loss": {"epochs": [1, 2, 3], "values": [3.0, 2.0, 1.0]},
        "val_loss": {"epochs": [1, 3], "values": [3, 2]},
    }
    page.route("**/sides", lambda route: route.fulfill(json=sides))
    page.route("**/curves", lambda route: route.fulfill(json=epochs))
    page.goto(url)
    page.get_by_role("button", name="Against the champion").click()
    page.get_by_text("The newest 3 of 3 rows that neither has learnt.").wait_for()
    page.get_by_role("row", name="champion, version 56 auto 0.5 0").wait_for()
    assert page.locator("#sides canvas").count() == 1
    page.get_by_role("button", name="How it was trained").click()
    page.get_by_text("3 epochs; the last: loss 1, val_loss 2.").wait_for()
    page.locator("#epochs").focus()
    page.locator("#epochs").press("ArrowRight")
    page.locator("#epochs .u-legend").get_by_text("epoch 1").wait_for(state="attached")


@pytest.mark.usefixtures("validated", "job", "trained")
@pytest.mark.parametrize("how", [{}, {"dark": True, "width": 360, "touch": True}], ids=["light", "dark phone"])
def test_the_pages_in_a_browser(serving: Any, settings: Settings, open_page: Callable[..., Page], how: Any) -> None:
    settings.datasets_dir.mkdir()
    known = {"name": "pump", "symbol": "pump", "source": {"kind": "sample", "series": "AAPL"}}
    (settings.datasets_dir / "pump.json").write_text(json.dumps(known), encoding="utf-8")
    url = serving(settings)
    page = open_page(f"{url}/overview", **how)
    for path in PAGES:
        page.goto(f"{url}{path}")
        page.get_by_role("heading", level=1).wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= how.get("width", 1200), path
    page.get_by_text("The newest 60 trainings; 12 became champion.").wait_for()
    chart = page.locator("#trainings")
    chart.focus()
    chart.press("ArrowRight")
    page.locator("#trainings .u-legend").get_by_text("2025-10-09 08:53:20 UTC").wait_for(state="attached")
    chart.press("+")
    chart.press("Home")
    show_a_version(page, f"{url}/models/pump?version=7")
    page.goto(f"{url}/validations?dataset=&outcome=failed")
    page.get_by_label("Dataset").select_option("pump")
    page.get_by_role("button", name="Show").click()
    # Empty fields are left out.
    page.wait_for_url(f"{url}/validations?dataset=pump&outcome=failed")
    page.get_by_text("1 to 1 of 1 validations").wait_for()
    page.get_by_role("link", name="Reset").click()
    page.get_by_role("link", name="Older").click()
    page.get_by_text("51 to 100 of 120 validations").wait_for()
    page.goto(f"{url}/jobs")
    page.get_by_role("link", name="temp", exact=True).click()
    page.get_by_label("Score from").fill("98")
    page.get_by_role("button", name="Show").click()
    page.get_by_text("1 to 2 of 2 records").wait_for()
