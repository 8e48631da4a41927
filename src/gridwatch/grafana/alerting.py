"""Grafana's alert rules: rows that stay away, a validation that fails, a mail that is given up."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gridwatch.containers.catalog import DELIVERIES, VALIDATIONS
from gridwatch.grafana.dashboards import uid_of
from gridwatch.grafana.infinity import Infinity, alert_model
from gridwatch.grafana.queries import Field, Kind

if TYPE_CHECKING:
    from gridwatch.sources import Dataset

__all__ = ["lag_limit_s", "rules"]

_DAY_S = 86_400


def lag_limit_s(dataset: Dataset) -> int:
    """Return how far the newest row may lie back, in seconds: an hour or ten rows, 4 days more with an exchange.

    An exchange is closed over nights, weekends and at most two holidays in a row.
    """
    rows_s = max(3600, 10 * dataset.interval_ms // 1000)
    return rows_s + (4 * _DAY_S if dataset.calendar else 0)


def rules(datasets: Sequence[Dataset]) -> dict[str, Any]:
    """Return the content of Grafana's provisioning file of alerts.

    A rule on the lag of a dataset is paused where no rows are to be expected: a sample, or one that is not enabled.
    """
    lags = [_lag(dataset) for dataset in datasets]
    group = {"orgId": 1, "folder": Infinity.title, "interval": "1m"}
    return {
        "apiVersion": 1,
        "groups": [
            *([{**group, "name": "gridwatch ingestion", "rules": lags}] if lags else []),
            {**group, "name": "gridwatch pipeline", "rules": [_validation(), _delivery()]},
        ],
    }


def _rule(
    uid: str, title: str, statement: str, fields: tuple[Field, ...], above: float, **parts: Any
) -> dict[str, Any]:
    span = {"from": _DAY_S, "to": 0}
    compare = {
        "refId": "B",
        "type": "threshold",
        "expression": "A",
        "datasource": {"type": "__expr__", "uid": "__expr__"},
        "conditions": [{"evaluator": {"type": "gt", "params": [above]}}],
    }
    return {
        "uid": uid,
        "title": title,
        "condition": "B",
        "data": [
            {
                "refId": "A",
                "relativeTimeRange": span,
                "datasourceUid": Infinity.ref["uid"],
                "model": alert_model(statement, fields, "A"),
            },
            {"refId": "B", "relativeTimeRange": span, "datasourceUid": "__expr__", "model": compare},
        ],
        "noDataState": "OK",
        "execErrState": "Error",
        "isPaused": False,
        **parts,
    }


def _lag(dataset: Dataset) -> dict[str, Any]:
    statement = f'SELECT (TO_EPOCH_MS(NOW()) - TO_EPOCH_MS(MAX("ts"))) / 1000 FROM "{dataset.container}"'
    digest = hashlib.sha256(dataset.name.encode()).hexdigest()[:16]
    return _rule(
        f"gridwatch-lag-{digest}",
        f"Rows of {dataset.name} stay away",
        statement,
        (Field("lag_s"),),
        lag_limit_s(dataset),
        isPaused=not dataset.enabled or dataset.source.kind == "sample",
        dashboardUid=uid_of(Infinity(), dataset.name),
        panelId=2,
        **{"for": "5m"},
        labels={"dataset": dataset.name, "service": "gridwatch"},
        annotations={"summary": f"The newest row of {dataset.container} is too old; see gridwatch doctor."},
    )


def _validation() -> dict[str, Any]:
    newest = f"(SELECT dataset, MAX(run_ms) run_ms FROM {VALIDATIONS.name} GROUP BY dataset)"
    statement = (
        f"SELECT v.dataset, SUM(CASE WHEN v.success THEN 0 ELSE 1 END) FROM {VALIDATIONS.name} v, {newest} n "
        "WHERE v.dataset = n.dataset AND v.run_ms = n.run_ms GROUP BY v.dataset ORDER BY v.dataset"
    )
    return _rule(
        "gridwatch-validation",
        "The newest validation failed",
        statement,
        (Field("dataset", Kind.TEXT), Field("failed")),
        0,
        **{"for": "0s"},
        labels={"service": "gridwatch"},
        annotations={"summary": "The newest validation of {{ .Labels.dataset }} failed; training and scoring wait."},
    )


def _delivery() -> dict[str, Any]:
    statement = (
        f"SELECT COUNT(*) FROM {DELIVERIES.name} WHERE status = 'dead' "
        "AND last_ms >= ${__timeFrom} AND last_ms <= ${__timeTo}"
    )
    return _rule(
        "gridwatch-delivery",
        "A notification was given up",
        statement,
        (Field("dead"),),
        0,
        **{"for": "0s"},
        labels={"service": "gridwatch"},
        annotations={"summary": "Mails were given up within a day; gridwatch anomalies names them."},
    )
