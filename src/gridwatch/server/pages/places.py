"""Series as the pages show them: what there is, where its rows are, and how far they reach."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gridwatch.containers import ContainerType
from gridwatch.containers.catalog import anomaly_container, score_container
from gridwatch.server.pages.rows import COLUMNS, Source

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.server.state import State

__all__ = ["Place", "place_of", "places_of"]

_SCORE = score_container("")
_ANOMALY = anomaly_container("")


@dataclass(frozen=True, slots=True)
class Place:
    """One series.

    Attributes:
        name: The `<S>` of container names.
        source: Where the rows to draw are; None for a series that only has anomalies, as a job's.
        anomalies: Its container of anomalies, None without one.
        value: What the value is called, such as `close`.
        dataset: Name of its dataset, empty without one.
    """

    name: str
    source: Source | None
    anomalies: str | None
    value: str
    dataset: str

    def span(self, store: Store) -> tuple[int, int] | None:
        """Return the times of the first and last row, UTC epoch ms; of the anomalies where there are no rows."""
        ends: list[Any] = []
        if self.source is not None:
            # Each end by itself is one step in the index.
            ends = [store.aggregate(self.source.container, which, self.source.time) for which in ("MINIMUM", "MAXIMUM")]
        if self.anomalies is not None and None in (ends or [None]):
            statement = f'SELECT MIN(ts) a, MAX(ts) b FROM "{self.anomalies}"'  # noqa: S608 - a container's name
            [row] = store.sql(statement).to_pylist()
            ends = [row["a"], row["b"]]
        if None in (ends or [None]):
            return None
        return round(ends[0].timestamp() * 1000), round(ends[1].timestamp() * 1000)


def places_of(parts: State) -> dict[str, Place]:
    """Return all series by their names in small letters, sorted: those scored, those with anomalies."""
    names: dict[str, dict[str, str]] = {}
    for container in parts.store.containers():
        match = re.fullmatch(r"(SCORE_|ANOMALY_)([A-Za-z0-9_]+)", container, re.IGNORECASE)
        if match:
            names.setdefault(match[2].lower(), {})[match[1].upper()] = container
    found = {name: _place(parts, containers) for name, containers in sorted(names.items())}
    return {name: place for name, place in found.items() if place is not None}


def place_of(parts: State, name: str) -> Place | None:
    """Return the series of this name, read without case, or None."""
    if not re.fullmatch(r"[A-Za-z0-9_]+", name):
        return None
    found = {prefix: parts.store.container(f"{prefix}{name}") for prefix in (_SCORE, _ANOMALY)}
    return _place(parts, {prefix: info.name for prefix, info in found.items() if info is not None})


def _place(parts: State, containers: dict[str, str]) -> Place | None:
    scores, anomalies = containers.get(_SCORE), containers.get(_ANOMALY)
    info = None if scores is None else parts.store.container(scores)
    kept = None if anomalies is None else parts.store.container(anomalies)
    name = (scores or anomalies or "").partition("_")[2]
    dataset = parts.address_book.dataset(anomaly_container(name))
    source = None
    if info is not None and info.type is ContainerType.TIME_SERIES and {*COLUMNS} <= _columns(info):
        source = Source(info.name, info.columns[0].name, COLUMNS)
    elif dataset is not None:
        rows = parts.store.container(dataset.container)
        if rows is not None and rows.type is ContainerType.TIME_SERIES and dataset.value in _columns(rows):
            source = Source(rows.name, rows.columns[0].name, (dataset.value, None, None, None))
    if kept is not None and not {"id", "ts", "score", "severity"} <= _columns(kept):
        anomalies = None
    if source is None and anomalies is None:
        return None
    value = dataset.value if dataset is not None else "value"
    return Place(name, source, anomalies, value, dataset.name if dataset is not None else "")


def _columns(info: Any) -> set[str]:
    return {column.name for column in info.columns}
