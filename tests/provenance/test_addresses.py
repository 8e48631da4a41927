"""Where links lead, and that no password goes into a page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gridwatch.provenance import Subject, addresses
from gridwatch.settings import Settings
from gridwatch.sources.dataset import Dataset


def settings(**groups: dict[str, Any]) -> Settings:
    return Settings(_env_file=None, **groups)  # type: ignore[arg-type]


WITH = {
    "mlflow": settings(links={"mlflow_url": "https://ml.example/"}),
    "server": settings(mlflow={"tracking_uri": "http://127.0.0.1:5000"}),
    "secret": settings(mlflow={"tracking_uri": "http://anna:secret@ml.example"}),
    "none": settings(),
}


@pytest.mark.parametrize(
    ("which", "base"),
    [("mlflow", "https://ml.example"), ("server", "http://127.0.0.1:5000"), ("secret", None), ("none", None)],
)
def test_mlflow(which: str, base: str | None) -> None:
    run = addresses.run_url(WITH[which], "1", "ab c")
    model = addresses.model_url(WITH[which], "models:/gridwatch-x/3")
    assert run == (base and f"{base}/#/experiments/1/runs/ab%20c")
    assert model == (base and f"{base}/#/models/gridwatch-x/versions/3")
    assert addresses.model_url(WITH[which], "jobs:/visits") is None


def test_prefect() -> None:
    own = settings(prefect={"api_url": "http://127.0.0.1:4200/api"})
    assert addresses.flow_run_url(own, "f-1") == "http://127.0.0.1:4200/runs/flow-run/f-1"
    assert addresses.flow_run_url(own, None) is None
    assert addresses.flow_run_url(settings(), "f-1") is None


def test_data_docs_and_grafana() -> None:
    where = settings(links={"data_docs_url": "https://docs.example/", "grafana_url": "https://g.example"})
    report = "/home/x/data_docs/gx/uncommitted/data_docs/local_site/validations/a b.html"
    assert addresses.data_docs_url(where, report) == "https://docs.example/validations/a%20b.html"
    assert addresses.data_docs_url(where, "/elsewhere/a.html") is None
    assert addresses.data_docs_url(settings(), report) is None
    source = {"kind": "sample", "series": "AAPL"}
    dataset = Dataset.model_validate({"name": "aapl", "symbol": "AAPL", "source": source, "interval": "1D"})
    subject = Subject.of("ANOMALY_AAPL", {"id": "x", "ts": datetime(2005, 2, 28, tzinfo=UTC)})
    url = addresses.grafana_url(where, dataset, subject)
    around = 100 * 86_400_000
    assert url == f"https://g.example/d/gridwatch-inf-aapl?from={subject.ts_ms - around}&to={subject.ts_ms + around}"
    assert addresses.grafana_url(where, None, subject) is None
