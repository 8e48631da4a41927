"""Rows of `ANOMALY_<S>`: what was found, and all that led to it, so that anybody can check and compute it again."""

from __future__ import annotations

import functools
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

from gridwatch.containers.catalog import anomaly_id
from gridwatch.detectors import severity_of, severity_score

if TYPE_CHECKING:
    from gridwatch.detectors import Severity
    from gridwatch.pipeline.judging import Verdicts
    from gridwatch.pipeline.models import Model
    from gridwatch.pipeline.scored import Rule, Scored
    from gridwatch.pipeline.validate import ValidationReport
    from gridwatch.sources.dataset import Dataset
    from gridwatch.tracking import ChampionModel

__all__ = ["Origin", "anomaly_rows", "library_versions", "row_severity"]

_LIBRARIES = ("gridwatch", "numba", "numpy", "onnxruntime", "pandas")
"""Those whose arithmetic a score passes through."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the anomalies of one detection come from.

    Attributes:
        dataset: Whose rows.
        champion: The model that scored them.
        validation: Newest validation of the rows.
        flow_run_id: Prefect flow run that asked for it.
        now_ms: When they were scored, UTC epoch ms; labels that were given before count.
    """

    dataset: Dataset
    champion: ChampionModel
    validation: ValidationReport | None
    flow_run_id: str | None
    now_ms: int


def anomaly_rows(origin: Origin, model: Model, rule: Rule, scored: Scored, verdicts: Verdicts) -> list[dict[str, Any]]:
    """Return the rows of `ANOMALY_<S>`, all columns but `detected_ms`.

    Args:
        origin: Where they come from.
        model: What scored them.
        rule: What made them anomalies.
        scored: The anomalies.
        verdicts: What people have said of alarms like them, one for each.
    """
    source, learnt = origin.champion, origin.champion.learnt
    shared = {
        "detector": model.kind,
        "partition": "",
        "model_uri": source.uri,
        "model_sha256": source.sha256,
        "run_id": source.run_id,
        "validation_id": origin.validation.id if origin.validation else None,
        "flow_run_id": origin.flow_run_id,
        "scored_ms": origin.now_ms,
        "source": origin.dataset.container,
        "source_column": origin.dataset.value,
        "trained_from_ms": learnt.from_ms,
        "trained_to_ms": learnt.to_ms,
        "trained_rows": learnt.rows,
        "trained_sha256": learnt.sha256,
        "provenance": _provenance(origin, rule),
    }
    inputs = _inputs(scored)
    return [{**shared, **_row(origin, model, scored, verdicts, place), **inputs[place]} for place in range(len(scored))]


def _inputs(scored: Scored) -> list[dict[str, Any]]:
    """Return which rows each score was made from: range, number and digest.

    Those of a model that goes through all rows begin alike, and are hashed in one pass: a million rows may have a
    thousand anomalies.
    """
    found: list[dict[str, Any]] = [{} for _ in range(len(scored))]
    for first_ms in np.unique(scored.inputs_from_ms).tolist():
        places = np.flatnonzero(scored.inputs_from_ms == first_ms).tolist()
        rows = scored.inputs(places[-1])
        ends_ms = scored.times_ms[places]
        lengths = np.searchsorted(rows.times_ms, ends_ms, side="right").tolist()
        for place, to_ms, length, sha256 in zip(places, ends_ms.tolist(), lengths, rows.sha256s(lengths), strict=True):
            found[place] = {
                "input_from_ms": first_ms,
                "input_to_ms": to_ms,
                "input_rows": length,
                "input_sha256": sha256,
            }
    return found


def _row(origin: Origin, model: Model, scored: Scored, verdicts: Verdicts, place: int) -> dict[str, Any]:
    """Return what differs from anomaly to anomaly."""
    ts_ms = int(scored.times_ms[place])
    columns = scored.row(place)
    return {
        "id": anomaly_id(origin.dataset.container, model.kind, "", ts_ms),
        "ts": ts_ms,
        **columns,
        "explanation": " ".join(part for part in (scored.explanation(place), verdicts.told(place)) if part),
        "severity": row_severity(columns),
    }


def row_severity(columns: Mapping[str, float | str | None]) -> Severity:
    """Return how bad a scored row is, from its columns; see `gridwatch.detectors.severity`."""
    scores = (columns["score"], columns["anomaly_score"])
    greatest = severity_score(*(one if isinstance(one, float) else None for one in scores))
    return severity_of(greatest or 0.0)


def _provenance(origin: Origin, rule: Rule) -> str:
    """Return what has no column of its own, as JSON."""
    said = {
        "dataset": origin.dataset.name,
        "rule": rule.name,
        "threshold": rule.value,
        "severity_by": "score",
        "libraries": library_versions(),
    }
    return json.dumps(said, sort_keys=True)


@functools.cache
def library_versions() -> dict[str, str]:
    """Return the versions of what computes scores: libraries, `python`, and `machine`, such as `x86_64`."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
