"""One detector at work: rows of some buckets to values a series and bucket, judged, and the odd ones made records."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridwatch.jobs.analysis import scoring
from gridwatch.jobs.analysis.evened import COUNTS, as_given, evened
from gridwatch.jobs.analysis.gaps import day_buckets
from gridwatch.jobs.analysis.influence import influences
from gridwatch.jobs.analysis.models import Judged, Models
from gridwatch.jobs.analysis.reduce import reduce
from gridwatch.jobs.analysis.results import ModelPlot, Record
from gridwatch.jobs.analysis.rows import Rows
from gridwatch.jobs.analysis.series import SeriesIndex

if TYPE_CHECKING:
    from gridwatch.detectors.online.config import AutoConfig
    from gridwatch.jobs.config import Detector
    from gridwatch.jobs.functions import Metric

__all__ = ["Found", "Grid", "RunningDetector", "spaced"]

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

_ADDITIVE = frozenset({"count", "distinct_count", "sum"})


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Some buckets and the rows in them.

    Attributes:
        starts: int64 (b,), starts of the buckets, UTC epoch ms.
        rows: Rows, those of a bucket in the order in which they came.
        buckets: int64 (n,), the bucket of each row, from 0.
    """

    starts: Ints
    rows: Rows
    buckets: Ints


@dataclass(frozen=True, slots=True)
class Found:
    """What one detector found in some buckets.

    Attributes:
        records: In the order of time.
        least: float64 (b,), the least probability in each bucket, 1 where nothing was judged.
        judged: int64 (b,), how many values were judged in each.
        plots: The band, where it is asked for.
        refused: Series that there was no room for.
    """

    records: list[Record]
    least: Floats
    judged: Ints
    plots: list[ModelPlot]
    refused: int


class RunningDetector:
    """The state of one detector of a job.

    Args:
        config: The detector.
        influencers: Fields whose values may be to blame.
        model: Members and constants of its models.
        series_max: How many series it may have.
        threads: How many threads share the work.
        span_ms: The length of a bucket.
        make: Makes its models.
    """

    def __init__(
        self,
        config: Detector,
        influencers: Sequence[str],
        model: AutoConfig,
        series_max: int,
        threads: int = 1,
        span_ms: int = 0,
        make: Callable[..., Models] = Models,
    ) -> None:
        self.config = config
        self.influencers = tuple(influencers)
        self.series_max = series_max
        by = config.by_field_name
        self.series = SeriesIndex(config.split_fields, frozenset({by} if by and not config.use_null else ()))
        self.models: dict[Metric, Models] = {
            metric: make(model, threads, series_max, *spaced(config, span_ms)) for metric in config.spec.metrics
        }
        self.first_bucket = np.zeros(0, np.int64)
        self.last_bucket = np.zeros(0, np.int64)

    @property
    def nbytes(self) -> int:
        """Memory of models and keys, bytes."""
        return sum(models.nbytes for models in self.models.values()) + self.series.nbytes

    def finish(self, grid: Grid, plot: frozenset[str] | None) -> Found:
        """Judge and learn buckets that are complete.

        Args:
            grid: The buckets, after those of the call before.
            plot: Values of split fields whose band is wanted, empty for all; None for no band.
        """
        places, refused = self.series.places(grid.rows.keywords, len(grid.rows), self.series_max)
        self._note_seen(grid, places)
        parts = []
        for metric, models in self.models.items():
            values = self._values(metric, grid, places)
            judged = models.update(grid.starts, evened(metric, grid.starts, values))
            parts.append((metric, values, as_given(metric, judged)))
        return self._found(grid, places, np.arange(len(self.series)), parts, plot, refused)

    def preview(self, grid: Grid) -> Found:
        """Judge buckets that are not complete, without learning: the series that have rows in them."""
        places, _ = self.series.places(grid.rows.keywords, len(grid.rows), len(self.series))
        known = np.unique(places[(places >= 0) & (places < min(models.room for models in self.models.values()))])
        parts = []
        for metric, models in self.models.items():
            values = self._values(metric, grid, places)[known]
            judged = as_given(metric, models.preview(grid.starts, evened(metric, grid.starts, values), known))
            if metric in _ADDITIVE:
                # What is still coming can only add to it: too little so far says nothing.
                judged = replace(judged, surprise=np.where(values > judged.expected, judged.surprise, 0.0))
            parts.append((metric, values, judged))
        found = self._found(grid, places, known, parts, None, 0)
        return replace(found, records=[replace(record, is_interim=True) for record in found.records])

    def prune(self, before_ms: int) -> int:
        """Forget the series without rows in any bucket that starts at `before_ms` or later; return how many.

        A detector that splits by nothing forgets nothing.
        """
        kept = np.flatnonzero(self.last_bucket >= before_ms)
        forgotten = len(self.series) - len(kept)
        if not forgotten or not self.config.split_fields:
            return 0
        self.series = self.series.kept(kept.tolist())
        self.first_bucket, self.last_bucket = self.first_bucket[kept], self.last_bucket[kept]
        for models in self.models.values():
            models.keep(kept)
        return forgotten

    def _note_seen(self, grid: Grid, places: Ints) -> None:
        """Remember in which bucket each series came first, before which there is no zero, and last."""
        series, new = len(self.series), len(self.series) - len(self.first_bucket)
        there = places >= 0
        starts = grid.starts[grid.buckets[there]]
        if new:
            firsts = np.full(series, np.iinfo(np.int64).max)
            np.minimum.at(firsts, places[there], starts)
            self.first_bucket = np.concatenate([self.first_bucket, firsts[-new:]])
        lasts = np.concatenate([self.last_bucket, np.zeros(new, np.int64)])
        np.maximum.at(lasts, places[there], starts)
        self.last_bucket = lasts

    def _values(self, metric: Metric, grid: Grid, places: Ints) -> Floats:
        """Return the metric (s, b), NaN where it is no observation."""
        series, buckets = len(self.series), len(grid.starts)
        there = np.flatnonzero(places >= 0)
        groups = places[there] * buckets + grid.buckets[there]
        weights = None if grid.rows.weights is None else grid.rows.weights[there]
        values = reduce(metric, groups, series * buckets, self._measured(grid.rows, there), weights)
        values = values.reshape(series, buckets)
        if metric in {"count", "distinct_count"} and not self.config.spec.empty_is_zero:
            values[values == 0] = np.nan
        if self.config.spec.empty_is_zero:
            values[np.isnan(values)] = 0.0
            values[grid.starts[None, :] < self.first_bucket[:, None]] = np.nan
        return values

    def _measured(self, rows: Rows, which: Ints) -> Floats | pd.Categorical | None:
        name = self.config.field_name
        if name is None:
            return None
        return rows.keywords[name][which] if "distinct_count" in self.models else rows.numbers[name][which]

    def _found(
        self,
        grid: Grid,
        places: Ints,
        series: Ints,
        parts: Iterable[tuple[Metric, Floats, Judged]],
        plot: frozenset[str] | None,
        refused: int,
    ) -> Found:
        least = np.ones(len(grid.starts))
        count = np.zeros(len(grid.starts), np.int64)
        records: list[Record] = []
        plots: list[ModelPlot] = []
        for metric, values, judged in parts:
            probability = self._probability(values, judged)
            least = np.minimum(least, np.min(probability, axis=0, initial=1.0))
            count += np.count_nonzero(np.isfinite(values), axis=0)
            records += self._records(grid, metric, series, values, judged, probability)
            if plot is not None:
                plots += self._plots(grid, metric, series, values, judged, plot)
        records.sort(key=lambda record: record.timestamp)
        plots.sort(key=lambda one: one.timestamp)
        if self.influencers and records:
            records = influences(records, grid, places, self)
        return Found(records, least, count, plots, refused)

    def _probability(self, values: Floats, judged: Judged) -> Floats:
        """Return the probability of each value, 1 where there is none or it is odd on the side not asked for."""
        side = self.config.spec.side
        surprise = np.where(np.isfinite(values), judged.surprise, 0.0)
        if side != "both":
            above = values > judged.expected
            surprise = np.where(above if side == "high" else ~above, surprise, 0.0)
        return np.clip(10.0**-surprise, scoring.LEAST_P, 1.0)

    def _records(
        self, grid: Grid, metric: Metric, series: Ints, values: Floats, judged: Judged, probability: Floats
    ) -> list[Record]:
        rows, buckets = np.nonzero(probability <= scoring.RECORD_P)
        columns = (values, judged.expected, judged.lower, judged.upper, probability)
        told = zip(
            (self._entities(number) for number in series[rows].tolist()),
            grid.starts[buckets].tolist(),
            judged.driver[rows, buckets].tolist(),
            scoring.score_of(probability[rows, buckets]).tolist(),
            zip(*(column[rows, buckets].tolist() for column in columns), strict=True),
            strict=True,
        )
        name = metric if len(self.models) > 1 else self.config.function
        index, field = self.config.detector_index or 0, self.config.field_name
        return [
            Record(
                start,
                index,
                name,
                field,
                partition,
                by,
                actual,
                typical,
                lower,
                upper,
                chance,
                score,
                judged.members[driver] if driver >= 0 else "",
            )
            for (partition, by), start, driver, score, (actual, typical, lower, upper, chance) in told
        ]

    def _plots(
        self, grid: Grid, metric: Metric, series: Ints, values: Floats, judged: Judged, terms: frozenset[str]
    ) -> list[ModelPlot]:
        name = metric if len(self.models) > 1 else self.config.function
        index, starts = self.config.detector_index or 0, grid.starts
        plots = []
        for row, number in enumerate(series.tolist()):
            if terms and terms.isdisjoint(self.series.keys[number]):
                continue
            entities = self._entities(number)
            which = np.flatnonzero(np.isfinite(judged.expected[row]))
            columns = (values, judged.lower, judged.expected, judged.upper)
            numbers = zip(*(column[row, which].tolist() for column in columns), strict=True)
            plots += [
                ModelPlot(start, index, name, *entities, actual if math.isfinite(actual) else None, *band)
                for start, (actual, *band) in zip(starts[which].tolist(), numbers, strict=True)
            ]
        return plots

    def _entities(self, number: int) -> tuple[tuple[tuple[str, str], ...], tuple[str, str] | None]:
        """Return (field, value) of the partition, and of the by field."""
        named = list(zip(self.series.fields, self.series.keys[number], strict=True))
        return (tuple(named[:-1]), named[-1]) if self.config.by_field_name else (tuple(named), None)


def spaced(config: Detector, span_ms: int) -> tuple[int, int, int]:
    """Return what `Models` takes of buckets of a length.

    Buckets of a day where gaps are filled, or the length of one where runs of zeros are judged, else 0 each; and what
    a zero is below.
    """
    below = 0 if COUNTS.isdisjoint(config.spec.metrics) else 1
    return (0, span_ms, below) if config.spec.empty_is_zero else (day_buckets(span_ms), 0, below)
