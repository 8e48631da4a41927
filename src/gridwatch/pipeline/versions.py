"""Versions of a model on the same rows, which none of them has learnt: what each expects, and how far off it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridwatch.pipeline.models import load_model, rule_of
from gridwatch.pipeline.series import read_series, rows_before

if TYPE_CHECKING:
    from gridwatch.containers.store import Store
    from gridwatch.detectors.base import Floats, Times
    from gridwatch.sources.dataset import Dataset

__all__ = ["ROWS_MAX", "SameRows", "VersionSaid", "same_rows"]

ROWS_MAX = 500
"""Newest rows that are looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class VersionSaid:
    """What one version says of the rows.

    Attributes:
        version: Its name.
        kind: Of its detector.
        expected: float64 (n,); NaN in a row that it cannot judge.
        flagged: How many of the rows it flags.
        mae: Mean absolute error on the rows that all versions judge, in the value's own units; None without any.
    """

    version: str
    kind: str
    expected: Floats
    flagged: int
    mae: float | None


@dataclass(frozen=True, slots=True, eq=False)
class SameRows:
    """Versions side by side.

    Attributes:
        times_ms: int64 (n,), UTC epoch ms.
        actual: float64 (n,).
        from_ms: The first ms that none of them has learnt.
        unseen: How many rows there are since.
        naive_mae: Mean absolute error of expecting the value of the row before; None without rows.
        said: One a version.
    """

    times_ms: Times
    actual: Floats
    from_ms: int
    unseen: int
    naive_mae: float | None
    said: tuple[VersionSaid, ...]


def same_rows(
    dataset: Dataset,
    store: Store,
    versions: Mapping[str, Mapping[str, bytes]],
    *,
    now_ms: int,
    rows_max: int = ROWS_MAX,
) -> SameRows:
    """Have versions score the newest rows that none of them has learnt; nothing is written.

    Args:
        dataset: Whose rows.
        store: Holds them.
        versions: The files of each version that score, by its name.
        now_ms: The present, UTC epoch ms; later rows do not count.
        rows_max: Most rows, the newest.

    Raises:
        ContainerNotFoundError: Nothing has been loaded.
        DetectorError: A version that cannot be read, or rows that cannot be scored.
    """
    models = {name: load_model(parts, dataset) for name, parts in versions.items()}
    from_ms = max((model.unseen_from_ms or 0 for model in models.values()), default=0)
    series = read_series(dataset, store, from_ms, now_ms)
    wanted = np.arange(len(series)) >= len(series) - rows_max
    times, actual = series.times_ms[wanted], series.values[wanted]
    expected, flagged = {}, {}
    for name, model in models.items():
        scored = model.say(dataset, store, series, wanted).at(times)
        expected[name] = np.full(len(times), np.nan)
        expected[name][np.searchsorted(times, scored.times_ms)] = scored.columns["expected"]
        flagged[name] = int(rule_of(dataset, model).flags(scored).sum())
    judged = np.logical_and.reduce([np.isfinite(one) for one in expected.values()] or [np.zeros(len(times), bool)])
    before = rows_before(dataset, store, int(times[0]), 1).values if len(times) else np.empty(0)
    naive = np.abs(np.diff(np.concatenate([before, actual])))
    return SameRows(
        times,
        actual,
        from_ms,
        len(series),
        float(naive.mean()) if len(naive) else None,
        tuple(
            VersionSaid(
                name,
                model.kind,
                expected[name],
                flagged[name],
                float(np.abs(actual - expected[name])[judged].mean()) if judged.any() else None,
            )
            for name, model in models.items()
        ),
    )
