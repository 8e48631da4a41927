"""`/_ml/info`, and what Elasticsearch has and gridwatch has not: refused by name."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from gridwatch.server.ml_api.access import enter
from gridwatch.server.ml_api.asked import Asked
from gridwatch.server.ml_api.endpoint import blueprint, endpoint
from gridwatch.server.ml_api.errors import unfit

__all__: list[str] = []

_JOB = "/_ml/anomaly_detectors/<job_id>"
_ABSENT = {
    "forecasts are": (f"{_JOB}/_forecast",),
    "model snapshots are": (f"{_JOB}/model_snapshots",),
    "categories are": (f"{_JOB}/results/categories",),
    "calendars are": ("/_ml/calendars",),
    "filters are": ("/_ml/filters",),
    "data frame analytics are": ("/_ml/data_frame",),
    "trained models are": ("/_ml/trained_models",),
    "the upgrade mode is": ("/_ml/set_upgrade_mode",),
    "memory statistics of nodes are": ("/_ml/memory",),
    "the schedule of transforms beside their frequency is": ("/_transform/<transform_id>/_schedule_now",),
    "the upgrade of transforms is": ("/_transform/_upgrade",),
    "the deletion of expired data is": ("/_ml/_delete_expired_data",),
    "tables for the eye are": ("/_cat",),
}
"""What is refused, by the addresses it begins at."""


@endpoint("GET", "/_ml/info")
def info(asked: Asked) -> Any:
    """Return defaults and limits."""
    from importlib.metadata import version

    del asked
    return {
        "defaults": {
            "anomaly_detectors": {
                "model_memory_limit": "1gb",
                "categorization_examples_limit": 4,
                "model_snapshot_retention_days": 10,
                "daily_model_snapshot_retention_after_days": 1,
            },
            "datafeeds": {"scroll_size": 1000},
        },
        "upgrade_mode": False,
        "native_code": {"version": f"gridwatch {version('gridwatch')}", "build_hash": ""},
        "limits": {},
    }


def _refusing(what: str) -> Any:
    def refuse(**_path: str) -> Response:
        enter(write=False, heavy=False)
        raise unfit(f"{what} not supported by gridwatch: [{request.method} {request.path}].")

    return refuse


for _what, _paths in _ABSENT.items():
    for _path in _paths:
        for _rule in (_path, f"{_path}/<path:rest>"):
            blueprint.add_url_rule(
                _rule,
                endpoint=f"absent {_rule}".replace(".", "_"),
                view_func=_refusing(_what),
                methods=["GET", "POST", "PUT", "DELETE"],
            )
