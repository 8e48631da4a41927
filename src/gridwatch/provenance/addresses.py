"""Where an anomaly's links can be looked at in other programs: MLflow, Prefect, Grafana, Data Docs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from gridwatch.provenance.subject import Subject
    from gridwatch.settings import Settings
    from gridwatch.sources.dataset import Dataset

__all__ = ["data_docs_url", "flow_run_url", "grafana_url", "model_url", "run_url"]

_AROUND = 100
"""Rows before and after an anomaly that Grafana is opened with."""

_SITE = "/local_site/"


def model_url(settings: Settings, uri: str | None) -> str | None:
    """Return the page of a model version in MLflow's UI; None where no UI is known.

    Args:
        settings: Where it is.
        uri: `models:/<name>/<version>`.
    """
    base = _mlflow(settings)
    name, _, number = (uri or "").removeprefix("models:/").rpartition("/")
    return f"{base}/#/models/{quote(name, safe='')}/versions/{number}" if base and name and number.isdigit() else None


def run_url(settings: Settings, experiment_id: str | None, run_id: str | None) -> str | None:
    """Return the page of a run in MLflow's UI; None where no UI or no such run is known."""
    base = _mlflow(settings)
    if not base or not experiment_id or not run_id:
        return None
    return f"{base}/#/experiments/{quote(experiment_id, safe='')}/runs/{quote(run_id, safe='')}"


def flow_run_url(settings: Settings, run_id: str | None) -> str | None:
    """Return the page of a flow run in Prefect's UI; None where no UI is known."""
    api = settings.prefect.api_url
    base = settings.links.prefect_url or (api.rstrip("/").removesuffix("/api") if api and _is_web(api) else None)
    return f"{base.rstrip('/')}/runs/flow-run/{quote(run_id, safe='')}" if base and run_id else None


def grafana_url(settings: Settings, dataset: Dataset | None, subject: Subject) -> str | None:
    """Return the dashboard of the series around the anomaly; None where no Grafana is set, or it has no dashboard."""
    base = settings.links.grafana_url
    if not base or dataset is None:
        return None
    from gridwatch.grafana.dashboards import uid_of
    from gridwatch.grafana.infinity import Infinity

    around_ms = _AROUND * dataset.interval_ms
    span = f"from={max(subject.ts_ms - around_ms, 0)}&to={subject.ts_ms + around_ms}"
    return f"{base.rstrip('/')}/d/{quote(uid_of(Infinity(), dataset.name), safe='')}?{span}"


def data_docs_url(settings: Settings, report: Any) -> str | None:
    """Return the page of a validation's report; None where the Data Docs are not served, or there is none."""
    base = settings.links.data_docs_url
    if not base or not isinstance(report, str) or _SITE not in report:
        return None
    return f"{base.rstrip('/')}/{quote(report.rpartition(_SITE)[2])}"


def _mlflow(settings: Settings) -> str | None:
    found = settings.links.mlflow_url or (settings.tracking_uri if _is_web(settings.tracking_uri) else None)
    # A tracking URI may carry a password, and a page is no place for it.
    return None if found is None or "@" in found else found.rstrip("/")


def _is_web(address: str) -> bool:
    return address.startswith(("http://", "https://"))
