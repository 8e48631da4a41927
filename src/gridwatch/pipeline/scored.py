"""Rows that have been scored: one form for all detectors, and the rule that says which of them are anomalies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gridwatch.detectors import Scores, explain
from gridwatch.pipeline.series import Series

if TYPE_CHECKING:
    from gridwatch.detectors.base import Floats, Times

__all__ = ["STREAMS", "Rule", "Scored"]

STREAMS = ("anomaly_score", "segment_score", "surprise")
"""Columns of detectors that learn as they go; others have none."""

_COLUMNS = (*(item.name for item in fields(Scores) if item.name != "method"), *STREAMS)


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Scored rows, oldest first.

    Attributes:
        times_ms: int64 (n,), UTC epoch ms.
        columns: float64 (n,) by name: those of `Scores` and `STREAMS`; NaN in a stream that the detector has not.
        drivers: str (n,), what drove each score.
        inputs_from_ms: int64 (n,), first row that the score was made from, beyond the model's bytes.
        seen: Rows that were gone through, those that the scores were made from among them.
    """

    times_ms: Times
    columns: dict[str, Floats]
    drivers: npt.NDArray[np.object_]
    inputs_from_ms: Times
    seen: tuple[Series, ...] = ()

    def __len__(self) -> int:
        return len(self.times_ms)

    @classmethod
    def of(cls, times_ms: Times, scores: Scores, inputs_from_ms: Times) -> Self:
        """Take what a detector said of rows; those without a score are left out."""
        unknown = np.full(len(scores), np.nan)
        columns = scores.columns() | {name: getattr(scores, name, unknown) for name in STREAMS}
        drivers = np.array(scores.driver_names(), dtype=object)
        return cls(times_ms, columns, drivers, inputs_from_ms).pick(scores.scored)

    @classmethod
    def joined(cls, parts: Sequence[Scored]) -> Self:
        """Put parts one after another; none make no rows."""
        none = np.empty(0, np.int64)
        return cls(
            np.concatenate([none, *(part.times_ms for part in parts)]),
            {name: np.concatenate([np.empty(0), *(part.columns[name] for part in parts)]) for name in _COLUMNS},
            np.concatenate([np.empty(0, dtype=object), *(part.drivers for part in parts)]),
            np.concatenate([none, *(part.inputs_from_ms for part in parts)]),
            tuple(series for part in parts for series in part.seen),
        )

    def pick(self, rows: npt.NDArray[np.bool_]) -> Self:
        """Return some of the rows, bool (n,)."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        return type(self)(self.times_ms[rows], columns, self.drivers[rows], self.inputs_from_ms[rows], self.seen)

    def having_seen(self, series: Series) -> Self:
        """Return them with the rows that they were made from."""
        return replace(self, seen=(series,))

    def inputs(self, place: int) -> Series:
        """Return the rows that one score was made from, its own included; none where nobody said which were seen."""
        first_ms, last_ms = int(self.inputs_from_ms[place]), int(self.times_ms[place])
        for series in self.seen:
            first, last = np.searchsorted(series.times_ms, [first_ms, last_ms]).tolist()
            if last < len(series) and (series.times_ms[first], series.times_ms[last]) == (first_ms, last_ms):
                return Series(series.times_ms[first : last + 1], series.values[first : last + 1])
        return Series.none()

    def at(self, times_ms: Times) -> Self:
        """Return the rows of these times."""
        return self.pick(np.isin(self.times_ms, times_ms))

    def row(self, place: int) -> dict[str, float | str | None]:
        """Return the columns of one row as plain values, what is not there as None."""
        numbers = {name: float(column[place]) for name, column in self.columns.items()}
        return {name: value if np.isfinite(value) else None for name, value in numbers.items()} | {
            "driver": str(self.drivers[place])
        }

    def explanation(self, place: int) -> str:
        """Return in words what stood out in one row, and what would have been normal."""
        said = {name: float(self.columns[name][place]) for name in ("actual", "expected", "lower", "upper", "p_value")}
        return explain(str(self.drivers[place]), **said).sentence()

    def table(self, schema: pa.Schema, detector: str, model_version: str) -> pa.Table:
        """Return the rows as `SCORE_<S>` takes them."""
        arrays = {
            "ts": pa.array(self.times_ms, pa.int64()).cast(schema.field("ts").type),
            **{name: pa.array(column, mask=np.isnan(column)) for name, column in self.columns.items()},
            "detector": pa.array([detector] * len(self), pa.string()),
            "model_version": pa.array([model_version] * len(self), pa.string()),
            "driver": pa.array(self.drivers.tolist(), pa.string()),
        }
        return pa.table([arrays[name] for name in schema.names], schema=schema)


@dataclass(frozen=True, slots=True)
class Rule:
    """What is an anomaly.

    Attributes:
        name: `alarm` judges `anomaly_score`, `score` and `loss` the column of that name.
        value: At or above which.
    """

    name: str
    value: float

    def flags(self, scored: Scored) -> npt.NDArray[np.bool_]:
        """Return bool (n,): which rows are anomalies."""
        return scored.columns["anomaly_score" if self.name == "alarm" else self.name] >= self.value
