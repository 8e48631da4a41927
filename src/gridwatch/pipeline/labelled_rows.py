"""The scored rows that labels speak of: how surprising each was, and what kind of alarm it would be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from gridwatch.containers.catalog import score_container
from gridwatch.detectors.calibration import surprise_of
from gridwatch.detectors.labels import Kinds, Label, kinds_of, level_of

if TYPE_CHECKING:
    from gridwatch.containers.store import Store
    from gridwatch.detectors.base import Floats, Times

__all__ = ["ScoredRows", "scored_rows"]

_COLUMNS = frozenset({"ts", "actual", "expected", "p_value", "detector", "driver", "anomaly_score", "surprise"})


@dataclass(frozen=True, slots=True, eq=False)
class ScoredRows:
    """Rows of `SCORE_<S>`, oldest first.

    Attributes:
        times_ms: int64 (n,), UTC epoch ms.
        levels: Surprise in decades, float64 (n,); NaN in a row without a score.
        kinds: Of the alarm that each would be, object (n,).
    """

    times_ms: Times
    levels: Floats
    kinds: Kinds


def scored_rows(store: Store, series: str, labels: Sequence[Label]) -> ScoredRows | None:
    """Return the scored rows in the ranges of labels, each once; None where nothing has been scored.

    The surprise is the one that was written down; of rows without, that of the alarm, else that of the p-value.

    Args:
        store: May hold `SCORE_<S>`.
        series: The `<S>`.
        labels: Whose ranges; may overlap.
    """
    info = store.container(score_container(series)) if labels else None
    if info is None:
        return None
    columns = [column.name for column in info.columns if column.name in _COLUMNS]
    instants = sorted({one.from_ms for one in labels if one.from_ms == one.to_ms})
    parts = [store.get(info.name, instants).select(columns)] if instants else []
    parts += [store.read(info.name, first_ms, last_ms, columns=columns) for first_ms, last_ms in _joined(labels)]
    table = pa.concat_tables(parts)
    times, first = np.unique(table["ts"].cast(pa.int64()).to_numpy(), return_index=True)
    table = table.take(pa.array(first))
    alarm = level_of(np.nan_to_num(_numbers(table, "anomaly_score")))
    levels = np.where(alarm > 0.0, alarm, surprise_of(_numbers(table, "p_value")))
    told = _numbers(table, "surprise")
    kinds = kinds_of(_drivers(table), _numbers(table, "actual"), _numbers(table, "expected"))
    return ScoredRows(times.astype(np.int64), np.where(np.isfinite(told), told, levels), kinds)


def _joined(labels: Sequence[Label]) -> list[tuple[int, int]]:
    """Return the ranges of labels that are more than an instant, those that touch as one."""
    joined: list[tuple[int, int]] = []
    for first_ms, last_ms in sorted((one.from_ms, one.to_ms) for one in labels if one.from_ms < one.to_ms):
        if joined and first_ms <= joined[-1][1] + 1:
            joined[-1] = joined[-1][0], max(last_ms, joined[-1][1])
        else:
            joined.append((first_ms, last_ms))
    return joined


def _numbers(table: pa.Table, name: str) -> Floats:
    """Return a column, float64 (n,), NaN where it has nothing or the container lacks it."""
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    column: Floats = table[name].cast(pa.float64()).to_numpy().astype(np.float64)
    return column


def _drivers(table: pa.Table) -> list[str]:
    """Return what drove each row; the detector where that is not told."""
    detectors = table["detector"].to_pylist()
    drivers = table["driver"].to_pylist() if "driver" in table.column_names else [None] * table.num_rows
    return [driver or detector or "" for driver, detector in zip(drivers, detectors, strict=True)]
