"""The analysis of one job: rows in, buckets, records and influencers out.

Rows of a bucket are kept until the bucket is complete; then each detector reduces them to one value a series, has
them judged by its models and learnt. However the rows are cut into frames, the finished results are the same.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridwatch.jobs.analysis import scoring, stored
from gridwatch.jobs.analysis.detector import Found, Grid, RunningDetector, spaced
from gridwatch.jobs.analysis.gaps import Gaps
from gridwatch.jobs.analysis.lstm_course import Course
from gridwatch.jobs.analysis.lstm_models import models_of, sizes_of
from gridwatch.jobs.analysis.results import Bucket, InfluencerResult, Record, Results
from gridwatch.jobs.analysis.rows import Rows, columns_of
from gridwatch.jobs.analysis.series import SERIES_BYTES
from gridwatch.jobs.analysis.silence import Silence
from gridwatch.jobs.timing import whole_ms

if TYPE_CHECKING:
    import zipfile

    from gridwatch.detectors.online.config import AutoConfig
    from gridwatch.jobs.analysis.lstm_learning import Teacher
    from gridwatch.jobs.analysis.lstm_network import Network
    from gridwatch.jobs.config import JobConfig

__all__ = ["Analyzer", "Counts"]

Ints: TypeAlias = npt.NDArray[np.int64]

_PRUNES = 16
"""Looks for series to forget in one `model_prune_window`."""

_FOREVER_MS = np.iinfo(np.int64).max

_CELLS_MAX = 2_000_000
"""Values a matrix of series by buckets may have: 16 MB a column of results."""


@dataclass(slots=True)
class Counts:
    """What became of the rows: `data_counts`."""

    input_record_count: int = 0
    input_bytes: int = 0
    invalid_date_count: int = 0
    processed_record_count: int = 0
    processed_field_count: int = 0
    missing_field_count: int = 0
    out_of_order_timestamp_count: int = 0
    bucket_count: int = 0
    empty_bucket_count: int = 0
    bucket_allocation_failures_count: int = 0
    pruned_series_count: int = 0
    earliest_record_timestamp: int | None = None
    latest_record_timestamp: int | None = None
    latest_bucket_timestamp: int | None = None


@dataclass(slots=True)
class _Open:
    """Rows of buckets that are not complete."""

    parts: list[Rows] = field(default_factory=list)

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in self.parts)


class Analyzer:
    """The state of one job's analysis.

    Args:
        job: The job.
        model: Members and constants of the models.
        threads: How many threads share the work.
        teacher: Trains the network of a job that names one.
    """

    def __init__(self, job: JobConfig, model: AutoConfig, threads: int = 1, teacher: Teacher | None = None) -> None:
        self.job = job
        self.course = Course(job, teacher) if job.model.type == "lstm" else None
        self.model = model
        self.columns = columns_of(job)
        self.counts = Counts()
        series_max = _series_max(job, model)
        running = partial(RunningDetector, make=models_of(job))
        span_ms = job.bucket_span_ms
        self.detectors = [running(one, job.influencers, model, series_max, threads, span_ms) for one in job.detectors]
        self.next_bucket: int | None = None
        self._open = _Open()
        self._took: list[tuple[int, float]] = []

    @property
    def nbytes(self) -> int:
        """Memory of models and keys, bytes: what the job's limit bounds."""
        return sum(detector.nbytes for detector in self.detectors)

    @property
    def open_nbytes(self) -> int:
        """Memory of the rows of open buckets, bytes."""
        return self._open.nbytes

    @property
    def network(self) -> Network | None:
        """What judges the series, where the job's model is an LSTM that has been trained."""
        return None if self.course is None else self.course.network

    @property
    def full(self) -> bool:
        """Whether a detector has no room for another series."""
        return any(len(one.series) >= one.series_max for one in self.detectors)

    def push(self, frame: pd.DataFrame) -> Results:
        """Take rows, and return what the buckets that they complete hold.

        A bucket is complete once a row comes that lies after its end and the job's latency. Rows before the oldest
        open bucket are too late: counted, not analysed.

        Args:
            frame: The time field int64 ms UTC, and the job's fields; any order within the latency.
        """
        rows = Rows.of(frame, self.columns)
        self.counts.input_record_count += len(rows)
        if not len(rows):
            return Results()
        rows = self._in_time(rows)
        if not len(rows):
            return Results()
        self._count(rows, frame)
        self._open.parts.append(rows)
        return self._finish(int(self.counts.latest_record_timestamp or 0) - self.job.latency_ms)

    def advance(self, to_ms: int) -> Results:
        """Return what the buckets that end at `to_ms` or before hold: no more rows will come for them."""
        if self.next_bucket is None:
            return Results()
        return self._finish(to_ms)

    def skip(self, to_ms: int) -> None:
        """Go on at `to_ms` as if nothing had been there before: no results, nothing learnt, open buckets dropped."""
        self._open = _Open()
        self.next_bucket = self._floor(to_ms)

    def interim(self) -> Results:
        """Return what can be said of open buckets, without learning; too little of what adds up is not told yet."""
        rows = self.open_rows()
        if self.next_bucket is None or not len(rows):
            return Results()
        began = time.monotonic()
        last = self._floor(int(rows.times.max()))
        grid = self._grid(rows, self.next_bucket, last + self.job.bucket_span_ms)
        results = self._results(grid, [detector.preview(grid) for detector in self.detectors])
        each_ms = whole_ms((time.monotonic() - began) * 1000.0, len(results.buckets))
        return Results(
            [replace(bucket, is_interim=True, processing_ms=each_ms) for bucket in results.buckets],
            results.records,
            [replace(one, is_interim=True) for one in results.influencers],
        )

    def took(self) -> list[tuple[int, float]]:
        """Return pieces of buckets that were finished since the last call: how many, and in how many ms."""
        found, self._took = self._took, []
        return found

    def save(self) -> dict[str, bytes]:
        """Return the state as named bytes."""
        return stored.save(self)

    def write(self, archive: zipfile.ZipFile) -> None:
        """Write the state into an archive, part by part as `save` names them."""
        stored.write(self, archive)

    @classmethod
    def load(
        cls,
        job: JobConfig,
        model: AutoConfig,
        parts: Mapping[str, bytes],
        threads: int = 1,
        teacher: Teacher | None = None,
    ) -> Self:
        """Return the analyzer that goes on from a saved state.

        Raises:
            JobsRequestError: The state is damaged, or of another job or version.
        """
        analyzer = cls(job, model, threads, teacher)
        stored.restore(analyzer, parts)
        return analyzer

    def open_rows(self) -> Rows:
        """Return the rows of buckets that are not complete."""
        return Rows.joined(self._open.parts) if self._open.parts else Rows.none(self.columns)

    def keep(self, rows: Rows) -> None:
        """Add rows to those of open buckets, as they were saved."""
        self._open.parts.append(rows)

    def _in_time(self, rows: Rows) -> Rows:
        """Return the rows that are not too late, in the order of time where there is no latency."""
        if self.next_bucket is None:
            self.next_bucket = self._floor(int(rows.times.min()))
        late = rows.times < self.next_bucket
        if late.any():
            self.counts.out_of_order_timestamp_count += int(late.sum())
            rows = rows.take(~late)
        return rows

    def _count(self, rows: Rows, frame: pd.DataFrame) -> None:
        counts, times = self.counts, rows.times
        counts.processed_record_count += len(rows)
        missing = sum(int(np.isnan(column).sum()) for column in rows.numbers.values())
        missing += sum(int(np.asarray(column == "").sum()) for column in rows.keywords.values())
        counts.missing_field_count += missing
        fields = len({*rows.numbers, *rows.keywords})
        counts.processed_field_count += len(rows) * fields - missing
        first, last = int(times.min()), int(times.max())
        counts.earliest_record_timestamp = min(first, counts.earliest_record_timestamp or first)
        counts.latest_record_timestamp = max(last, counts.latest_record_timestamp or last)

    def _finish(self, known_ms: int) -> Results:
        """Finish the buckets that end at `known_ms` or before."""
        results = Results()
        end = self._floor(known_ms)
        start = self.next_bucket
        if start is None or end <= start:
            return results
        rows = self.open_rows()
        left = rows.between(end, _FOREVER_MS)
        self._open = _Open([left] if len(left) else [])
        self.next_bucket = end
        rows = rows.between(start, end)
        for first, last in self._pieces(start, end, len(rows)):
            began = time.monotonic()
            grid = self._grid(rows, first, last)
            found = self._results(grid, self._judge(grid))
            if self.course is not None:
                self.course.passed(last, self.detectors)
            took_ms = (time.monotonic() - began) * 1000.0
            self._took.append((len(grid.starts), took_ms))
            each_ms = whole_ms(took_ms, len(grid.starts))
            found.buckets[:] = [replace(bucket, processing_ms=each_ms) for bucket in found.buckets]
            results.extend(found)
            if last % self._prune_every_ms == 0:
                self.counts.pruned_series_count += sum(
                    one.prune(last - self.job.prune_window_ms) for one in self.detectors
                )
        return results

    @property
    def _prune_every_ms(self) -> int:
        """How often is looked for series to forget, ms: whole buckets, at the same instants however the rows come."""
        span = self.job.bucket_span_ms
        return max(self.job.prune_window_ms // _PRUNES // span, 1) * span

    def _pieces(self, start: int, end: int, rows: int) -> Iterator[tuple[int, int]]:
        """Yield spans of whole buckets that fit into memory and end where series may be forgotten."""
        span, every = self.job.bucket_span_ms, self._prune_every_ms
        series = max((len(one.series) for one in self.detectors), default=1)
        step = max(_CELLS_MAX // max(series + rows // 100, 1), 1) * span
        while start < end:
            last = min(start + step, start // every * every + every, end)
            last = last if self.course is None else self.course.end(start, last)
            yield start, last
            start = last

    def _judge(self, grid: Grid) -> list[Found]:
        plot = self.job.model_plot_config
        terms = None if not plot.enabled else frozenset((plot.terms or "").split(",")) - {""}
        found = [detector.finish(grid, terms) for detector in self.detectors]
        counts = self.counts
        counts.bucket_allocation_failures_count += sum(one.refused for one in found)
        counts.bucket_count += len(grid.starts)
        counts.empty_bucket_count += int(np.sum(np.bincount(grid.buckets, minlength=len(grid.starts)) == 0))
        counts.latest_bucket_timestamp = int(grid.starts[-1])
        return found

    def _results(self, grid: Grid, found: list[Found]) -> Results:
        least = np.min([one.least for one in found], axis=0)
        judged = np.sum([one.judged for one in found], axis=0)
        records = sorted((record for one in found for record in one.records), key=lambda record: record.timestamp)
        events = np.bincount(grid.buckets, grid.rows.weights, len(grid.starts))
        probability = scoring.together(least, judged.astype(np.float64))
        scores = scoring.score_of(probability)
        blamed = _influencers(records)
        by_bucket: defaultdict[int, dict[str, float]] = defaultdict(dict)
        for one in blamed:
            fields = by_bucket[one.timestamp]
            fields[one.field_name] = max(one.score, fields.get(one.field_name, 0.0))
        buckets = [
            Bucket(start, int(count), int(many), float(chance), float(score), tuple(sorted(by_bucket[start].items())))
            for start, count, many, chance, score in zip(
                grid.starts.tolist(), events.tolist(), judged.tolist(), probability.tolist(), scores.tolist(),
                strict=True,
            )
        ]  # fmt: skip
        plots = sorted((one for each in found for one in each.plots), key=lambda plot: plot.timestamp)
        return Results(buckets, records, blamed, plots)

    def _grid(self, rows: Rows, first: int, last: int) -> Grid:
        starts = np.arange(first, last, self.job.bucket_span_ms, dtype=np.int64)
        rows = rows.between(first, last)
        return Grid(starts, rows, (rows.times - first) // self.job.bucket_span_ms)

    def _floor(self, time_ms: int) -> int:
        return time_ms // self.job.bucket_span_ms * self.job.bucket_span_ms


def _series_max(job: JobConfig, model: AutoConfig) -> int:
    """Return how many series each detector may have within the job's memory, all detectors sharing it alike."""
    from gridwatch.detectors.online.bank import Bank

    more, fixed = sizes_of(job)
    bank = Bank(model, 1).nbytes + more
    size = 0
    for detector in job.detectors:
        slots, zeros_span_ms, _ = spaced(detector, job.bucket_span_ms)
        each = bank + Gaps(1, slots).nbytes + Silence(1, zeros_span_ms).nbytes
        size += len(detector.spec.metrics) * each + SERIES_BYTES
    metrics = sum(len(detector.spec.metrics) for detector in job.detectors)
    return max((job.memory_limit - fixed * metrics) // size, 1)


def _influencers(records: list[Record]) -> list[InfluencerResult]:
    """Return each entity that is to blame in a bucket, with the least probability of its records there."""
    least: dict[tuple[int, str, str], tuple[float, int]] = {}
    for record in records:
        for influence in record.influencers:
            for value in influence.values:
                key = (record.timestamp, influence.field_name, value)
                lowest, many = least.get(key, (1.0, 0))
                least[key] = (min(lowest, record.probability), many + 1)
    found = []
    for (timestamp, name, value), (lowest, _) in sorted(least.items()):
        score = float(scoring.score_of(np.array([lowest]))[0])
        found.append(InfluencerResult(timestamp, name, value, lowest, score))
    return found
