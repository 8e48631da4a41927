"""GET /metrics for Prometheus: requests, rows in and out, store errors, deliveries, how far behind each series is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import structlog
from flask import Blueprint, Flask, Response, current_app, g, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client import generate_latest as text_of
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gridwatch.containers import ContainerType
from gridwatch.containers.catalog import DELIVERIES
from gridwatch.errors import GridwatchError
from gridwatch.server.state import state

if TYPE_CHECKING:
    from gridwatch.server.state import State

__all__ = ["Metrics", "blueprint", "count_rows", "count_store_error", "watch"]

log = structlog.get_logger(__name__)

blueprint = Blueprint("metrics", __name__)

# Anybody may make up a method; each would be a series of its own.
_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """What one application counts; a registry of its own, so that two in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "gridwatch_requests", "Requests by endpoint.", ["endpoint", "method", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "gridwatch_request_seconds", "Time to answer.", ["endpoint"], buckets=_SECONDS, registry=self.registry
        )
        self.rows = Counter(
            "gridwatch_webapi_rows", "Rows put (in) and answered (out).", ["direction"], registry=self.registry
        )
        self.store_errors = Counter(
            "gridwatch_store_errors", "Refusals and failures of the store, by GridDB's number.", ["code"],
            registry=self.registry,
        )  # fmt: skip
        ProcessCollector(registry=self.registry)


def watch(app: Flask) -> None:
    """Count every request of an application."""
    parts = state(app)
    parts.metrics.registry.register(_StoreCollector(parts))
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    g.begun_s = time.perf_counter()


def _end(answer: Response) -> Response:
    metrics = state(current_app).metrics
    # The endpoint, not the address: a container's name would make a series of its own.
    endpoint = request.endpoint or "none"
    method = request.method if request.method in _METHODS else "other"
    metrics.requests.labels(endpoint, method, answer.status_code).inc()
    metrics.seconds.labels(endpoint).observe(time.perf_counter() - g.pop("begun_s", time.perf_counter()))
    return answer


def count_rows(direction: str, rows: int) -> None:
    """Count rows that came `in` or went `out` over the Web API."""
    state(current_app).metrics.rows.labels(direction).inc(rows)


def count_store_error(code: int | None) -> None:
    """Count a refusal or failure of the store."""
    state(current_app).metrics.store_errors.labels(code or 0).inc()


@blueprint.get("/metrics")
def metrics() -> Response:
    """Answer in Prometheus' text format."""
    return Response(text_of(state(current_app).metrics.registry), content_type=CONTENT_TYPE_LATEST)


class _StoreCollector(Collector):
    """What the store itself tells, read when it is asked for."""

    def __init__(self, parts: State) -> None:
        self._parts = parts

    def describe(self) -> Iterator[Metric]:
        """Name the metrics without reading the store, as the registry asks when this is registered."""
        yield self._deliveries()
        yield self._lag()

    def collect(self) -> Iterator[Metric]:
        """Read the metrics; a store that fails leaves them out."""
        for read in (self._read_deliveries, self._read_lag):
            try:
                yield read()
            except GridwatchError as error:
                log.warning("metric_unreadable", metric=read.__name__, error=str(error))

    @staticmethod
    def _deliveries() -> GaugeMetricFamily:
        return GaugeMetricFamily(
            "gridwatch_deliveries", "Mails by status; those that are pending or sending wait.", labels=["status"]
        )

    @staticmethod
    def _lag() -> GaugeMetricFamily:
        return GaugeMetricFamily(
            "gridwatch_ingestion_lag_seconds",
            "Age of the newest row of each dataset's container.",
            labels=["container"],
        )

    def _read_deliveries(self) -> Metric:
        family = self._deliveries()
        store = self._parts.store
        if store.container(DELIVERIES.name) is None:
            return family
        counted = store.sql(f"SELECT status, COUNT(*) n FROM {DELIVERIES.name} GROUP BY status")  # noqa: S608
        for row in counted.to_pylist():
            family.add_metric([row["status"] or "pending"], row["n"])
        return family

    def _read_lag(self) -> Metric:
        family = self._lag()
        store, now_ms = self._parts.store, self._parts.clock()
        for name in sorted(self._parts.address_book.containers()):
            info = store.container(name)
            if info is None or info.type is not ContainerType.TIME_SERIES:
                continue
            # The newest key is one step in the tree, however many rows there are.
            newest = store.sql(f'SELECT MAX("{info.columns[0].name}") newest FROM "{info.name}"')  # noqa: S608
            moment = newest.column(0)[0].as_py()
            if moment is not None:
                family.add_metric([info.name], (now_ms - moment.timestamp() * 1000) / 1000)
        return family
