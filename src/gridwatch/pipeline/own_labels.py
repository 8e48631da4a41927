"""A dataset's own series with what people said of it, as detectors are judged on it."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridwatch.containers.catalog import series_name
from gridwatch.detectors.evaluation import probation_rows
from gridwatch.detectors.features import feature
from gridwatch.errors import ConfigError
from gridwatch.pipeline.label_targets import instant
from gridwatch.pipeline.labels import read_labels
from gridwatch.pipeline.series import Series, read_series
from gridwatch.sources.labelled import LabelledSeries

if TYPE_CHECKING:
    from gridwatch.containers.store import Store
    from gridwatch.sources.dataset import Dataset

__all__ = ["own_labelled"]


def own_labelled(
    dataset: Dataset, store: Store, *, now_ms: int, from_ms: int | None = None, to_ms: int | None = None
) -> LabelledSeries:
    """Return the rows of a dataset, with windows where something was wrong.

    Ranges called true are the windows; rows of ranges called expected are not judged; all others that somebody looked
    at are ordinary. Somebody looked at what lies between the first and the last label, unless a range is given. Rows
    before that are seen by the detector, and count for nothing; those after it are left out.

    Args:
        dataset: Whose rows; what is judged is its feature, such as the returns of prices.
        store: Holds rows and labels.
        now_ms: The present, UTC epoch ms; the labels are those in force.
        from_ms: First instant that somebody looked at, UTC epoch ms.
        to_ms: Last such instant.

    Raises:
        ConfigError: Nobody has labelled anything, or there are no rows in the range.
        ContainerNotFoundError: Nothing has been loaded.
    """
    # What was said in this very millisecond is in force as well.
    at_ms = now_ms + 1
    labels = read_labels(store, series_name(dataset.symbol), at_ms)
    series = _feature(dataset, read_series(dataset, store, None, to_ms))
    force = labels.in_force(series.times_ms, at_ms)
    said = [labels.labels[place] for place in np.unique(force[force >= 0]).tolist()]
    if not said:
        raise ConfigError(
            f"No row of dataset {dataset.name!r} has a label to judge a detector by; say first what was right and what "
            f"wrong, such as `gridwatch label true {dataset.name} --from TIME --to TIME`."
        )
    first_ms = min(label.from_ms for label in said) if from_ms is None else from_ms
    last_ms = max(label.to_ms for label in said) if to_ms is None else to_ms
    first, end = np.searchsorted(series.times_ms, [first_ms, last_ms + 1]).tolist()
    if first >= end:
        raise ConfigError(
            f"Dataset {dataset.name!r} has no rows from {instant(first_ms)} to {instant(last_ms)}; give another range."
        )
    verdicts = np.array([*(label.verdict for label in labels.labels), ""], dtype=object)[force[:end]]
    inside = np.arange(end) >= first
    times = series.times_ms[:end]
    return LabelledSeries(
        name=f"labels/{dataset.name}.csv",
        timestamps=tuple(str(text).replace("T", " ") for text in times.astype("datetime64[ms]")),
        times_ms=times,
        values=series.values[:end],
        windows=_runs((verdicts == "true") & inside),
        lead=_lead(first, end),
        unjudged=_runs((verdicts == "expected") & inside),
    )


def _feature(dataset: Dataset, series: Series) -> Series:
    """Return what a detector looks at, the times of rows that have none left out."""
    values = feature(dataset.feature, series.times_ms, series.values) if len(series) else series.values
    return Series(series.times_ms[len(series) - len(values) :], values)


def _runs(marked: npt.NDArray[np.bool_]) -> tuple[tuple[int, int], ...]:
    """Return first and last row of each run of marked rows.

    >>> _runs(np.array([True, False, True, True]))
    ((0, 0), (2, 3))
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marked, [False]]).astype(int)))
    return tuple((int(first), int(end) - 1) for first, end in list(pairwise(edges.tolist()))[::2])


def _lead(first: int, end: int) -> int:
    """Return how many rows to leave out, so that probation ends where the judged rows begin, or as near as may be.

    >>> lead = _lead(1000, 1850)
    >>> lead, lead + probation_rows(1850 - lead)
    (850, 1000)
    """
    for lead in range(max(first - 750, 0), first + 1):
        if lead + probation_rows(end - lead) >= first:
            return lead
    return first
