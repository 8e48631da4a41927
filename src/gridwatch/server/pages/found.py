"""Anomalies as the pages look for them: over series, ranges of time, severities and detectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from gridwatch.alerts.anomaly import PREFIX, SEVERITIES, severity_rank

if TYPE_CHECKING:
    from gridwatch.containers import Store

__all__ = ["Lane", "Wanted", "anomalies_of", "detectors_of", "lanes_of", "worst_of"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which anomalies; None for all.

    Attributes:
        from_ms: First instant, UTC epoch ms.
        to_ms: Last instant.
        severity: As bad as this or worse.
        detector: Name of the detector; of a job's, its job.
    """

    from_ms: int | None = None
    to_ms: int | None = None
    severity: str | None = None
    detector: str | None = None

    def where(self) -> tuple[str, list[Any]]:
        """Return a condition and its values."""
        parts, values = ["ts >= ?"], [_instant(self.from_ms or 0)]
        if self.to_ms is not None:
            parts.append("ts <= ?")
            values.append(_instant(self.to_ms))
        if self.severity:
            words: Sequence[Any] = SEVERITIES[: severity_rank(self.severity) + 1]
            parts.append(f"severity IN ({', '.join('?' * len(words))})")
            values += words
        if self.detector:
            parts.append("detector = ?")
            values.append(self.detector)  # type: ignore[arg-type]
        return " AND ".join(parts), values


@dataclass(frozen=True, slots=True)
class Lane:
    """One series: for each piece of time with anomalies its place, the greatest score, how many, and the worst word."""

    series: str
    places: list[int]
    scores: list[float]
    counts: list[int]
    severities: list[str]


def lanes_of(store: Store, containers: Sequence[str], wanted: Wanted, from_ms: int, piece_ms: int) -> list[Lane]:
    """Return the lanes of some containers, those with anomalies, worst first.

    Args:
        store: Holds them.
        containers: As `anomaly_containers` gives them.
        wanted: Which anomalies.
        from_ms: Where the first piece begins.
        piece_ms: Length of a piece.
    """
    where, values = wanted.where()
    lanes = []
    for name in containers:
        # The rows themselves: a plain statement is compiled in half the time, and most series have few anomalies.
        more = ", anomaly_score" if "anomaly_score" in _columns(store, name) else ""
        rows = store.sql(f'SELECT ts, score, severity{more} FROM "{name}" WHERE {where}', values)  # noqa: S608 - checked
        if rows.num_rows:
            lanes.append(_lane(name[len(PREFIX) :], rows, from_ms, piece_ms))
    return sorted(lanes, key=lambda lane: (-max(lane.scores), -sum(lane.counts), lane.series))


def _lane(series: str, rows: pa.Table, from_ms: int, piece_ms: int) -> Lane:
    times_ms = rows["ts"].cast(pa.timestamp("ms", "UTC")).cast(pa.int64()).to_numpy()
    places, which = np.unique((times_ms - from_ms) // piece_ms, return_inverse=True)
    scores = np.zeros(len(places))
    for column in {"score", "anomaly_score"} & {*rows.column_names}:
        np.maximum.at(scores, which, np.nan_to_num(rows[column].to_numpy().astype(np.float64)))
    ranks = np.full(len(places), len(SEVERITIES))
    np.minimum.at(ranks, which, [severity_rank(word) for word in rows["severity"].to_pylist()])
    words = [*SEVERITIES, ""]
    counts = np.bincount(which, minlength=len(places))
    return Lane(series, places.tolist(), scores.tolist(), counts.tolist(), [words[rank] for rank in ranks])


def detectors_of(store: Store, containers: Sequence[str]) -> list[str]:
    """Return the names of the detectors that found something, sorted."""
    names = {
        row["detector"]
        for name in containers
        for row in store.sql(f'SELECT DISTINCT detector FROM "{name}"').to_pylist()  # noqa: S608 - checked
    }
    return sorted(filter(None, names))


def anomalies_of(store: Store, series: str, wanted: Wanted, *, limit: int) -> tuple[list[dict[str, Any]], int]:
    """Return a series' anomalies with all their columns; see `worst_of`."""
    info = store.container(f"{PREFIX}{series}")
    if info is None:
        return [], 0
    columns = [column.name for column in info.columns if column.name != "ts"]
    return worst_of(store, info.name, wanted, columns, limit=limit)


def worst_of(
    store: Store, container: str, wanted: Wanted, columns: Sequence[str], *, limit: int
) -> tuple[list[dict[str, Any]], int]:
    """Return a series' anomalies, the worst of them where they are too many, oldest first; and how many there are.

    Args:
        store: Holds them.
        container: Where they are.
        wanted: Which.
        columns: What to tell of each besides `ts_ms`, `container` and `severity_score`; None for a column that an old
            container lacks.
        limit: Most rows.

    Raises:
        StoreError: The store refused or failed.
    """
    there = _columns(store, container)
    names = ", ".join(f'"{name}"' for name in columns if name in there)
    greatest = "CASE WHEN score IS NULL OR anomaly_score > score THEN anomaly_score ELSE score END"
    greatest = greatest if "anomaly_score" in there else "score"
    where, values = wanted.where()
    rows = store.sql(
        f'SELECT ts, {names}, {greatest} AS severity_score FROM "{container}" WHERE {where} '  # noqa: S608 - names of a container
        f"ORDER BY severity_score DESC, ts DESC LIMIT {int(limit) + 1}",
        values,
    ).to_pylist()
    total = len(rows)
    if total > limit:
        counted = store.sql(f'SELECT COUNT(*) n FROM "{container}" WHERE {where}', values)  # noqa: S608 - the same
        total = int(counted.column(0)[0].as_py())
    empty = dict.fromkeys(columns)
    found = [{**empty, **row, "ts_ms": _ms(row["ts"]), "container": container} for row in rows[:limit]]
    for row in found:
        del row["ts"]
    return sorted(found, key=lambda row: (row["ts_ms"], row["id"])), total


def _columns(store: Store, container: str) -> set[str]:
    info = store.container(container)
    return {column.name for column in info.columns} if info is not None else set()


def _ms(when: datetime) -> int:
    return round(when.timestamp() * 1000)


def _instant(time_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=time_ms)
