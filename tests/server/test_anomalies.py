"""The pages of the anomalies."""

from __future__ import annotations

from typing import Any

import pytest

from gridwatch.alerts.anomaly import SEVERITIES


def test_the_list_and_its_json(app: Any, key: str) -> None:
    client = app.test_client()
    page = client.get("/anomalies").text
    for word in ("AAPL", "critical", "44.86", "88.80", "pending", f"/anomalies/ANOMALY_AAPL/{key}"):
        assert word in page
    (row,) = client.get("/anomalies.json?symbol=AAPL").json
    assert (row["id"], row["mail"], row["time"]) == (key, "pending", "2005-02-28T05:00:00Z")
    assert client.get("/anomalies.json?symbol=IBM").json == []
    assert len(client.get("/anomalies.json?series=aapl&severity=critical").json) == 1
    assert "None of these were found." in client.get("/anomalies?series=IBM").text
    assert "There is no severity" in client.get("/anomalies.json?severity=odd").json["error"]
    assert client.get("/").headers["Location"] == "/overview"


def test_each_severity_has_its_colour(app: Any) -> None:
    with app.test_client().get("/static/gridwatch.css") as answer:
        style = answer.text
    for word in SEVERITIES:
        assert f".{word} {{ color: var(--{word}); }}" in style
        assert style.count(f"--{word}: #") == 2  # light and dark


def test_none_yet(app: Any) -> None:
    assert "None found so far." in app.test_client().get("/anomalies").text


def test_one_anomaly_has_a_page_that_runs_nothing(app: Any, key: str) -> None:
    client = app.test_client()
    page = client.get(f"/anomalies/anomaly_aapl/{key}")
    assert "AAPL: critical anomaly 2005-02-28 05:00 UTC" in page.text
    frame = client.get(f"/anomalies/ANOMALY_AAPL/{key}/html")
    assert "&lt;b&gt;lstm&lt;/b&gt;" in frame.text
    assert "sandbox allow-popups" in frame.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["ANOMALY_AAPL/none", "ANOMALY_NONE/x", "deliveries/x", "ANOMALY_%22/x"])
def test_what_is_no_anomaly_is_a_404(app: Any, key: str, path: str) -> None:
    answer = app.test_client().get(f"/anomalies/{path}")
    assert answer.status_code == 404
    assert "There is no anomaly" in answer.json["error"]
