"""What Prometheus reads: requests and rows counted, deliveries and ingestion lag as the store has them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from gridwatch.containers import Store
from gridwatch.containers.catalog import DELIVERIES, series_info

NOW_MS = 1_760_000_000_000
BASE = "/griddb/v2/gridwatch/dbs/public"


def lines(client: Any) -> dict[str, float]:
    """Return the samples by name and labels."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain")
    rows = [line for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (row.rpartition(" ") for row in rows)}


def test_requests_rows_and_errors_are_counted(app: Any) -> None:
    client = app.test_client()
    columns = [{"name": "k", "type": "INTEGER"}]
    made = {"container_name": "c", "container_type": "COLLECTION", "rowkey": True, "columns": columns}
    assert client.post(f"{BASE}/containers", json=made).status_code == 201
    client.put(f"{BASE}/containers/c/rows", json=[[1], [2]])
    client.post(f"{BASE}/sql", json=[{"stmt": "select k from c"}])
    client.post(f"{BASE}/sql", json=[{"stmt": "select nope from c"}])
    client.get(f"{BASE}/nowhere")
    found = lines(client)
    assert found['gridwatch_webapi_rows_total{direction="in"}'] == 2
    assert found['gridwatch_webapi_rows_total{direction="out"}'] == 2
    assert found['gridwatch_requests_total{endpoint="griddb_webapi.run_sql",method="POST",status="400"}'] == 1
    assert found['gridwatch_requests_total{endpoint="none",method="GET",status="404"}'] == 1
    assert found['gridwatch_request_seconds_count{endpoint="griddb_webapi.put_rows"}'] == 1
    assert sum(value for name, value in found.items() if name.startswith("gridwatch_store_errors_total")) == 1


def test_a_made_up_method_makes_no_series_of_its_own(app: Any) -> None:
    client = app.test_client()
    for number in range(3):
        client.open("/inbox", method=f"MADE{number}")
    client.open("/inbox", method="TRACE")
    counted = {name: value for name, value in lines(client).items() if name.startswith("gridwatch_requests_total")}
    assert not any("MADE" in name for name in counted)
    assert {name.split('method="')[1].split('"')[0]: value for name, value in counted.items()} == {
        "other": 3,
        "TRACE": 1,
    }


def test_lag_and_backlog_come_from_the_store(make_app: Any, make_settings: Any, store: Store) -> None:
    settings = make_settings()
    settings.datasets_dir.mkdir()
    dataset = {"name": "pump", "symbol": "PUMP", "container": "PUMP", "source": {"kind": "sample", "series": "AAPL"}}
    (settings.datasets_dir / "pump.json").write_text(json.dumps(dataset))
    client = make_app(settings).test_client()
    assert not any("lag" in name or "deliveries" in name for name in lines(client))
    store.put_container(DELIVERIES)
    store.put(DELIVERIES.name, pd.DataFrame([{"id": "a", "status": "pending"}, {"id": "b", "status": "sent"}]))
    info = series_info("PUMP")
    store.put_container(info)
    store.put("PUMP", pd.DataFrame({"ts": [datetime.fromtimestamp(NOW_MS / 1000 - 90, UTC)], "close": [1.0]}))
    found = lines(client)
    assert found['gridwatch_deliveries{status="pending"}'] == 1
    assert found['gridwatch_ingestion_lag_seconds{container="PUMP"}'] == 90


def test_metrics_are_not_for_strangers(app: Any) -> None:
    assert app.test_client().get("/metrics", environ_base={"REMOTE_ADDR": "192.0.2.7"}).status_code == 403
