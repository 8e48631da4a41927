"""What of a series somebody still needs, however old it is: rows to be scored, to learn from, or to tell of.

Each need is an instant from which on rows stay, or a range of time that stays, with a few words that say why.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gridwatch.alerts.anomalies import anomaly_containers
from gridwatch.alerts.receipt import FINISHED
from gridwatch.containers.catalog import (
    DELIVERIES,
    DETECTIONS,
    LABELS,
    TRAININGS,
    anomaly_container,
    score_container,
)
from gridwatch.upkeep.reading import instant, ms, quoted
from gridwatch.upkeep.sweeps import DAY_MS

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.sources import Dataset

__all__ = ["Need", "needs_of_rows", "needs_of_scores", "scored_again", "unfinished"]

_MODEL = "the model goes on from there"
_HELD_ROWS_MIN = 5
"""Fewest rows that a training keeps for comparison."""

_PLOT_ROWS = 60
"""Scored rows on each side of an anomaly that its mail shows."""


@dataclass(frozen=True, slots=True)
class Need:
    """A stretch of a series that has to stay, from `from_ms` to `to_ms` (UTC epoch ms, both included), and why."""

    from_ms: int
    to_ms: int | None
    why: str


def needs_of_rows(dataset: Dataset, store: Store) -> list[Need]:
    """Return what the rows of a dataset are still needed for."""
    scored = [*_unscored(dataset, store), *_unread(dataset.container, store)]
    margin = dataset.model.window + 1
    # A window model begins with the rows before the first one that it scores, a return with the row before.
    before = [Need(_rows_back(store, dataset.container, need.from_ms, margin), need.to_ms, need.why) for need in scored]
    return [*before, *_to_learn(dataset, store)]


def needs_of_scores(series: str, store: Store, rows: Need | None) -> list[Need]:
    """Return what the scores of a series are still needed for.

    Args:
        series: The `<S>` of `SCORE_<S>`.
        store: Holds it.
        rows: The rows that the next detection looks at: one without a score would be scored again, and told of again.
    """
    found = [*([rows] if rows else []), *_unread(score_container(series), store)]
    found += [Need(first, last, "labels learn from them") for first, last in _labelled(series, store)]
    oldest = _oldest_unfinished(series, store)
    if oldest is not None:
        first = _rows_back(store, score_container(series), oldest, _PLOT_ROWS)
        found.append(Need(first, None, "an alert that is not finished shows them"))
    return found


def _unscored(dataset: Dataset, store: Store) -> Iterator[Need]:
    detection = _one(store, DETECTIONS.name, "dataset = ?", [dataset.name])
    trained = _rows(store, TRAININGS.name, "dataset = ?", [dataset.name])
    if detection and detection["scored_to_ms"] is not None:
        yield Need(detection["scored_to_ms"] + 1, None, "not scored yet")
    used = detection["model_uri"] if detection else None
    champions = sorted((one for one in trained if one["champion"]), key=lambda one: int(one["trained_ms"] or 0))
    for one in [*(one for one in trained if one["model_uri"] == used), *champions[-1:]]:
        if one["to_ms"] is not None:
            # The newest rows were kept from it: it goes on from those. Twice as many, for the file may have said
            # another share when it was trained.
            kept = 2 * max(round((one["rows"] or 0) * dataset.model.validation_fraction), _HELD_ROWS_MIN)
            yield Need(_rows_back(store, dataset.container, one["to_ms"] + 1, kept), None, _MODEL)


def _to_learn(dataset: Dataset, store: Store) -> Iterator[Need]:
    """Yield the rows that the next training learns: days that the file names, else the months before the newest row."""
    start_ms, end_ms = dataset.range_ms(dataset.training)
    if start_ms is None and dataset.train_months is not None:
        ends = _ends(dataset.container, store)
        newest_ms = None if ends is None else min(ends[1], ends[1] if end_ms is None else end_ms)
        start_ms = None if newest_ms is None else max(newest_ms - 31 * DAY_MS * dataset.train_months, 0)
    if start_ms is not None or end_ms is not None:
        yield Need(start_ms or 0, end_ms, "the next training learns them")


def scored_again(dataset: Dataset, store: Store) -> Need | None:
    """Return where the next detection begins to look for rows without a score; None where nothing was ever scored."""
    start_ms, _ = dataset.range_ms(dataset.scoring)
    unseen = [need.from_ms for need in _unscored(dataset, store) if need.why == _MODEL]
    begins = start_ms if start_ms is not None else min(unseen, default=None)
    ends = _ends(dataset.container, store)
    if begins is None or ends is None:
        return None
    return Need(max(begins, ends[0]), None, "their rows would be scored again")


def _ends(container: str, store: Store) -> tuple[int, int] | None:
    """Return the times of the first and the last row of a time series; None without rows."""
    info = store.container(container)
    if info is None:
        return None
    key = quoted(info.row_key[0])
    # Each end by itself is one step in the index.
    found = [
        store.sql(f"SELECT {end}({key}) AS t FROM {quoted(info.name)}").column(0)[0].as_py() for end in ("MIN", "MAX")
    ]
    return None if found[0] is None else (ms(found[0]), ms(found[1]))


def _unread(container: str, store: Store) -> Iterator[Need]:
    """Yield what started datafeeds and transforms have not read yet."""
    from gridwatch.jobs.resources import Resources
    from gridwatch.jobs.tables import DATAFEEDS, TRANSFORMS
    from gridwatch.jobs.transform.resources import Transforms

    if store.container(DATAFEEDS.name) is not None:
        for feed in Resources(store, make=False).datafeeds():
            if feed.state != "stopped" and _names(feed.config.index_names, container):
                first = feed.fed_to_ms if feed.fed_to_ms is not None else feed.start_ms
                yield Need(first or 0, None, f"datafeed {feed.id} has not read them")
    if store.container(TRANSFORMS.name) is not None:
        for one in Transforms(store, make=False).find():
            if one.state != "stopped" and _names(one.config.source.index_names, container):
                yield Need(one.done_to_ms or 0, None, f"transform {one.id} has not read them")


def _names(patterns: list[str], container: str) -> bool:
    return any(fnmatch.fnmatchcase(container.lower(), pattern.lower()) for pattern in patterns)


def _labelled(series: str, store: Store) -> list[tuple[int, int]]:
    if store.container(LABELS.name) is None:
        return []
    from gridwatch.pipeline.labels import list_labels

    return [(one.from_ms, one.to_ms) for one in list_labels(store, series) if one.verdict in {"true", "false"}]


def unfinished(store: Store, container: str) -> list[dict[str, Any]]:
    """Return `id` and `ts` of the anomalies of a container that people have not been told of yet."""
    name = quoted(container)
    if store.container(DELIVERIES.name) is None:
        return list(store.sql(f"SELECT id, ts FROM {name}").to_pylist())
    words = ", ".join("?" * len(FINISHED))
    none = f"SELECT a.id, a.ts FROM {name} a LEFT JOIN {DELIVERIES.name} d ON a.id = d.anomaly_id WHERE d.id IS NULL"
    some = (
        f"SELECT a.id, a.ts FROM {DELIVERIES.name} d JOIN {name} a ON a.id = d.anomaly_id "
        f"WHERE d.status IS NULL OR d.status NOT IN ({words})"
    )
    return [*store.sql(none).to_pylist(), *store.sql(some, list(FINISHED)).to_pylist()]


def _oldest_unfinished(series: str, store: Store) -> int | None:
    wanted = anomaly_container(series).lower()
    names = [name for name in anomaly_containers(store) if name.lower() == wanted]
    found = [ms(row["ts"]) for name in names for row in unfinished(store, name) if row["ts"] is not None]
    return min(found, default=None)


def _rows_back(store: Store, container: str, from_ms: int, rows: int) -> int:
    """Return the time of the row so many rows before an instant; of the first one where there are fewer."""
    info = store.container(container)
    if info is None:
        return from_ms
    key = quoted(info.row_key[0])
    found = store.sql(
        f"SELECT {key} AS t FROM {quoted(info.name)} WHERE {key} < ? ORDER BY {key} DESC LIMIT {rows}",
        [instant(from_ms)],
    ).to_pylist()
    return ms(found[-1]["t"]) if found else from_ms


def _rows(store: Store, container: str, where: str, values: list[Any]) -> list[dict[str, Any]]:
    if store.container(container) is None:
        return []
    rows: list[dict[str, Any]] = store.sql(f"SELECT * FROM {container} WHERE {where}", values).to_pylist()
    return rows


def _one(store: Store, container: str, where: str, values: list[Any]) -> dict[str, Any] | None:
    return next(iter(_rows(store, container, where, values)), None)
