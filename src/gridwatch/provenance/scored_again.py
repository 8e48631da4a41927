"""Anomalies of datasets, scored again with the stored model from the stored rows and the labels of that time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gridwatch.containers.catalog import series_name
from gridwatch.detectors import Limit, LstmDetector
from gridwatch.detectors.severity import severity_by_p
from gridwatch.errors import ProvenanceError
from gridwatch.pipeline.anomaly_rows import row_severity
from gridwatch.pipeline.judging import judge
from gridwatch.pipeline.labels import read_labels
from gridwatch.pipeline.models import WindowModel
from gridwatch.pipeline.online import SERIES_JSON, OnlineModel
from gridwatch.pipeline.scored import Rule, Scored
from gridwatch.pipeline.series import Series
from gridwatch.provenance.again import NUMBERS, WORDS, Again
from gridwatch.provenance.model import not_there
from gridwatch.provenance.rows import read_rows

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.detectors.base import Times
    from gridwatch.detectors.labels import Labels
    from gridwatch.provenance.subject import Subject
    from gridwatch.settings import Settings

__all__ = ["scored_again"]


def scored_again(store: Store, settings: Settings, group: Sequence[Subject]) -> dict[str, Again | str]:
    """Return anomalies computed again, by their ids; or why one cannot be.

    Args:
        store: Holds rows and labels.
        settings: MLflow, and the home folder where models are kept.
        group: Anomalies of one series, model, first input row and moment of scoring.

    Raises:
        GridwatchError: None of them can be: the model's bytes or the source are gone.
    """
    first = group[0]
    source = first.source(settings)
    if source is None:
        raise ProvenanceError(
            f"An older gridwatch wrote the row, and no dataset file in {str(settings.datasets_dir)!r} writes to "
            f"{first.container}: nothing says which rows were scored."
        )
    parts = _parts(settings, first)
    from_ms = first["input_from_ms"]
    series = read_rows(store, *source, from_ms, max(one.ts_ms for one in group))
    labels = read_labels(store, series_name(first.series), _scored_ms(first))
    rule = _rule(first, parts)
    scored = _scored(parts, rule, series, labels, first)
    verdicts = judge(scored, rule, labels, now_ms=_scored_ms(first), config=_config(parts))
    found: dict[str, Again | str] = {}
    in_order = sorted(group, key=lambda one: one.ts_ms)
    counts = np.searchsorted(series.times_ms, [one.ts_ms for one in in_order], side="right").tolist()
    for one, count, sha256 in zip(in_order, counts, series.sha256s(counts), strict=True):
        place = int(np.searchsorted(scored.times_ms, one.ts_ms))
        if place == len(scored) or scored.times_ms[place] != one.ts_ms:
            found[one.id] = f"{source[0]}.{source[1]} has no row at its time any more, or too few before it."
            continue
        columns: dict[str, Any] = scored.row(place)
        by_score = "severity_by" in one.said
        columns["severity"] = row_severity(columns) if by_score else severity_by_p(columns["p_value"])
        told = (scored.explanation(place), verdicts.told(place))
        columns["explanation"] = " ".join(part for part in told if part)
        found[one.id] = Again(
            columns,
            (*NUMBERS, *(name for name in WORDS if one[name] is not None)),
            f"Computed from {one['model_uri']} ({str(one['model_sha256'])[:12]}) and {count:,} rows of "
            f"{source[0]}.{source[1]}.",
            count,
            bool(verdicts.flagged[place]),
            _hints(one, count, sha256),
        )
    return found


def _scored_ms(subject: Subject) -> int:
    """Return when it was scored: only labels from before were known."""
    return int(subject["scored_ms"] or subject["detected_ms"] or 0)


def _parts(settings: Settings, subject: Subject) -> Mapping[str, bytes]:
    """Return the model's bytes, from the home folder or MLflow, whichever has the digest of the row.

    Raises:
        ProvenanceError: Neither has.
        TrackingError: MLflow failed.
    """
    from gridwatch import tracking

    sha256 = str(subject["model_sha256"] or "")
    parts = tracking.kept_parts(settings, sha256)
    if parts is not None:
        return parts
    away = not_there(settings)
    if away is not None:
        raise ProvenanceError(f"The home folder keeps no copy of {subject['model_uri']}. {away}")
    found = tracking.recorded_version(settings, str(subject["model_uri"] or ""))
    if found is None or found.parts_sha256 != sha256:
        why = "MLflow has no such version any more" if found is None else found.parts_error or "its bytes have changed"
        raise ProvenanceError(
            f"The bytes of {subject['model_uri']} with the digest {sha256[:12]} are gone: {why}, and the home folder "
            "keeps no copy."
        )
    return found.parts


def _rule(subject: Subject, parts: Mapping[str, bytes]) -> Rule:
    """Return the threshold: that of the row, of older rows that of the model."""
    name, value = subject.said.get("rule"), subject.said.get("threshold")
    if isinstance(name, str) and isinstance(value, int | float):
        return Rule(name, float(value))
    return OnlineModel.load(parts).rule if SERIES_JSON in parts else WindowModel.rule


def _config(parts: Mapping[str, bytes]) -> Any:
    return OnlineModel.load(parts).config if SERIES_JSON in parts else None


def _scored(parts: Mapping[str, bytes], rule: Rule, series: Series, labels: Labels, subject: Subject) -> Scored:
    """Score rows as `Model.say` does: an online model from its beginning, another from the window before a row."""
    if SERIES_JSON not in parts:
        detector = LstmDetector.load(parts).with_limit(Limit(rule.name, rule.value))
        scores = detector.score(series.times_ms, series.values)
        return Scored.of(series.times_ms, scores, series.times_ms)
    model = OnlineModel.load(parts)
    if subject.ts_ms < (model.unseen_from_ms or 0):
        model = model.anew()

    def away(times_ms: Times) -> Any:
        return labels.away(times_ms, _scored_ms(subject))

    return model.update(series.times_ms, series.values, away(series.times_ms))


def _hints(subject: Subject, rows: int, sha256: str) -> tuple[str, ...]:
    """Return what has changed of the rows since."""
    if not subject["input_sha256"] or sha256 == subject["input_sha256"]:
        return ()
    return (f"the rows have changed since: {rows:,} now, {subject['input_rows']:,} then",)
