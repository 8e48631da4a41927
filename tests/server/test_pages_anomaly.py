"""The page of one anomaly: what it says, who may label it, and its chain checked."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pytest

from gridwatch.containers import Store
from gridwatch.containers.catalog import DELIVERIES, anomaly_id, anomaly_info, score_info
from gridwatch.jobs.tables import BUCKETS, MODEL_PLOT, RECORDS
from gridwatch.pipeline.labels import list_labels
from gridwatch.server.pages import anomaly
from gridwatch.server.pages.anomaly import REPLAYED_ROWS_MAX
from gridwatch.server.pages.login_links import make_link
from tests.server.conftest import NOW_MS, SPLIT

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture
def scored(store: Store, key: str) -> str:
    """Rows around the anomaly, and its delivery."""
    days = [SPLIT + timedelta(days=day) for day in range(-40, 40)]
    frame = pd.DataFrame({"ts": days, "actual": [88.0 if day <= SPLIT else 44.0 for day in days]})
    frame["expected"], frame["lower"], frame["upper"] = frame["actual"], frame["actual"] - 5, frame["actual"] + 5
    store.put_container(score_info("AAPL"))
    store.put("SCORE_AAPL", frame)
    sent = {
        "id": f"{key}:email", "anomaly_id": key, "channel": "email", "status": "sent", "recipients": "ops@example.com",
        "message_id": "msg-7", "attempts": 1, "last_ms": NOW_MS,
    }  # fmt: skip
    store.put_container(DELIVERIES)
    store.put(DELIVERIES.name, pd.DataFrame([sent]))
    return key


def signed_in(app: Any, settings: Any) -> tuple[Any, str]:
    """Return a client that is signed in, and its CSRF token."""
    client = app.test_client()
    client.get(f"/login/{make_link(settings.home, 'anna', now_ms=NOW_MS)}")
    page = client.get("/anomalies").text
    return client, re.search(r'name="csrf-token" content="([^"]+)"', page)[1]  # type: ignore[index]


def test_the_page_says_why_and_who_was_told(app: Any, scored: str) -> None:
    page = app.test_client().get(f"/anomalies/ANOMALY_AAPL/{scored}").text
    for word in (
        "44.86",
        "88.80",
        "about one in 1,200 rows",
        "&lt;b&gt;lstm&lt;/b&gt;",
        "to ops@example.com",
        "msg-7",
    ):
        assert word in page
    assert 'data-rows="/pages/data/series/AAPL"' in page
    assert "Sign in</a> to say whether it was right" in page
    assert '<form method="post" action="/anomalies' not in page


def test_without_scored_rows_there_is_no_plot(app: Any, key: str) -> None:
    page = app.test_client().get(f"/anomalies/ANOMALY_AAPL/{key}").text
    assert 'id="plot"' not in page
    assert "Nobody yet." in page


def test_a_label_needs_a_login_and_the_token_of_the_page(app: Any, settings: Any, key: str, store: Store) -> None:
    path = f"/anomalies/ANOMALY_AAPL/{key}/label"
    assert app.test_client().post(path, data={"verdict": "false"}).status_code == 403
    client, token = signed_in(app, settings)
    assert client.post(path, data={"verdict": "false"}).status_code == 403
    assert list_labels(store) == []
    answer = client.post(path, data={"verdict": "false", "note": " backup ", "csrf_token": token})
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/anomalies/ANOMALY_AAPL/{key}#label")
    [label] = list_labels(store)
    assert (label.verdict, label.note, label.author, label.anomaly_id) == ("false", "backup", "anna", key)
    page = client.get(f"/anomalies/ANOMALY_AAPL/{key}").text
    assert "says anna: backup." in page
    client.post(path, data={"verdict": "removed", "csrf_token": token})
    assert list_labels(store) == []


def test_a_label_that_is_refused_says_why(app: Any, settings: Any, key: str) -> None:
    client, token = signed_in(app, settings)
    client.post(f"/anomalies/ANOMALY_AAPL/{key}/label", data={"verdict": "<maybe>", "csrf_token": token})
    page = client.get(f"/anomalies/ANOMALY_AAPL/{key}").text
    assert "There is no label &#39;&lt;maybe&gt;&#39;; there are true, false, expected." in page


def test_the_chain_of_an_old_row_names_what_is_not_recorded(app: Any, key: str) -> None:
    chain = app.test_client().get(f"/pages/data/anomalies/ANOMALY_AAPL/{key}/chain").json
    found = {link["name"]: link["status"] for link in chain["links"]}
    assert found["input rows"] == found["model bytes"] == found["flow run"] == "not recorded"
    assert chain["sound"] is True
    done = app.test_client().get(f"/pages/data/anomalies/ANOMALY_AAPL/{key}/replay").json
    assert done["verdict"] == "not replayed"
    assert "no dataset file" in done["text"]


def test_one_check_runs_at_a_time(app: Any, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anomaly, "WAIT_S", 0.01)
    lock = app.extensions["gridwatch_provenance"] = threading.Lock()
    with lock:
        answer = app.test_client().get(f"/pages/data/anomalies/ANOMALY_AAPL/{key}/chain")
    assert (answer.status_code, "Another anomaly is being checked" in answer.json["error"]) == (503, True)
    assert app.test_client().get(f"/pages/data/anomalies/ANOMALY_AAPL/{key}/chain").status_code == 200


@pytest.mark.parametrize(
    ("columns", "why"),
    [({"model_uri": "jobs:/visits"}, "all rows of its job"), ({"input_rows": REPLAYED_ROWS_MAX + 1}, "500,001 rows")],
)
def test_what_takes_long_is_left_to_the_command_line(app: Any, store: Store, columns: dict[str, Any], why: str) -> None:
    key = anomaly_id("long", "auto", "", 0)
    store.put_container(anomaly_info("LONG"))
    store.put("ANOMALY_LONG", pd.DataFrame([{"id": key, "ts": SPLIT, "detector": "auto", **columns}]))
    done = app.test_client().get(f"/pages/data/anomalies/ANOMALY_LONG/{key}/replay").json
    assert done["text"] == f"That goes through {why}: `gridwatch replay {key}` does it."


def test_links_lead_to_other_programs(make_app: Any, make_settings: Any, store: Store) -> None:
    key = anomaly_id("linked", "auto", "", 0)
    provenance = json.dumps({"libraries": {"numpy": "2.4"}, "threshold": 96.98})
    row = {
        "id": key, "ts": SPLIT, "detector": "auto", "model_uri": "models:/gridwatch-a/3", "flow_run_id": "f-1",
        "anomaly_score": 99.0, "provenance": provenance,
    }  # fmt: skip
    store.put_container(anomaly_info("LINKED"))
    store.put("ANOMALY_LINKED", pd.DataFrame([row]))
    links = {"mlflow_url": "https://mlflow.example/", "prefect_url": "https://prefect.example"}
    page = make_app(make_settings(links=links)).test_client().get(f"/anomalies/ANOMALY_LINKED/{key}").text
    assert 'href="https://mlflow.example/#/models/gridwatch-a/versions/3"' in page
    assert 'href="https://prefect.example/runs/flow-run/f-1"' in page
    assert "numpy 2.4" in page
    assert "told from 96.98 on" in page


def test_in_a_browser(serving: Any, settings: Any, scored: str, open_page: Callable[..., Page], store: Store) -> None:
    url = serving(settings)
    where = f"/anomalies/ANOMALY_AAPL/{scored}"
    page = open_page(
        f"{url}/login/{make_link(settings.home, 'anna', now_ms=NOW_MS)}?next={where}", width=360, dark=True
    )
    plot = page.locator("#plot[data-ready]")
    plot.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    plot.focus()
    with page.expect_response(lambda answer: "/pages/data/series/AAPL?from=" in answer.url) as zoomed:
        page.keyboard.press("+")
    near = zoomed.value.json()
    with page.expect_response(lambda answer: "/pages/data/series/AAPL?from=" in answer.url) as moved:
        page.keyboard.press("ArrowRight")
    assert moved.value.json()["from_ms"] > near["from_ms"]
    page.get_by_role("button", name="Check each link").click()
    page.get_by_text("Sound: nothing has changed or is missing.").wait_for()
    assert page.locator('tr[data-link="email receipt"] td').first.inner_text() == "ok"
    page.get_by_role("button", name="Compute it again").click()
    page.get_by_text("nothing says which rows were scored").wait_for()
    page.get_by_label("Note").fill("the split")
    page.get_by_role("button", name="Expected", exact=True).click()
    page.get_by_text("says anna: the split").wait_for()
    assert [label.verdict for label in list_labels(store)] == ["expected"]


@pytest.mark.parametrize("banded", [True, False])
def test_an_anomaly_of_a_job_is_drawn_with_its_band_or_its_scores(app: Any, store: Store, banded: bool) -> None:
    hour_ms = 3_600_000
    start_ms = int(SPLIT.timestamp() * 1000)
    hours = [SPLIT + timedelta(hours=hour) for hour in range(-100, 100)]
    entity = {"partition_fields": '[["host", "a"]]', "partition_value": "a", "by_field": None, "by_value": None}
    own = {"job_id": "visits", "detector_index": 0, "function": "count", **entity}
    row = {
        "id": anomaly_id("visits", "visits/0/count", "host=a", start_ms), "ts": SPLIT, "detector": "visits/0/count",
        "partition": "host=a", "actual": 9.0, "score": 99.0, "severity": "high", "model_uri": "jobs:/visits",
        "input_from_ms": start_ms, "input_to_ms": start_ms + hour_ms - 1,
    }  # fmt: skip
    other = {**row, "id": "0" * 32, "partition": "host=b"}
    tables = {
        RECORDS: [{"id": "r", "ts": SPLIT, **own}],
        BUCKETS: [
            {"id": f"b{n}", "job_id": "visits", "ts": ts, "anomaly_score": float(n)} for n, ts in enumerate(hours)
        ],
        MODEL_PLOT: [
            {"id": f"{host}{n}", "ts": ts, **own, "partition_value": host, "actual": 5.0, "median": 4.0, "lower": 1.0}
            for host in "ab"
            for n, ts in enumerate(hours if banded else [])
        ],
        anomaly_info("visits"): [row, other],
    }
    for info, rows in tables.items():
        store.put_container(info)
        if rows:
            store.put(info.name, pa.Table.from_pylist(rows, schema=info.arrow))
    client, path = app.test_client(), f"ANOMALY_visits/{row['id']}"
    page = client.get(f"/anomalies/{path}").text
    assert f'data-rows="/pages/data/anomalies/{path}/around"' in page
    assert f'data-from="{start_ms - 60 * hour_ms}"' in page
    drawn = client.get(f"/pages/data/anomalies/{path}/around").json
    assert len(drawn["times_ms"]) == 121
    assert drawn["span"] == [start_ms - 100 * hour_ms, start_ms + 99 * hour_ms]
    assert (drawn["value"], drawn["expected"][0]) == (("actual", 4.0) if banded else ("score of the bucket", None))
    assert [one["actual"] for one in drawn["anomalies"]] == ([9.0] if banded else [99.0, 99.0])
    assert client.get(f"/pages/data/anomalies/{path}/around?from=9&to=8").status_code == 400


def test_an_anomaly_of_a_dataset_is_drawn_from_its_series(app: Any, key: str) -> None:
    answer = app.test_client().get(f"/pages/data/anomalies/ANOMALY_AAPL/{key}/around")
    assert (answer.status_code, "from their series" in answer.json["error"]) == (404, True)
