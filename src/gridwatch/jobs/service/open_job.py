"""A job at hand: its state, and what it writes of what it finds."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from gridwatch.jobs.analysis import Results
from gridwatch.jobs.analysis.rows import Rows
from gridwatch.jobs.anomalies import write_anomalies
from gridwatch.jobs.service.journal import Entry
from gridwatch.jobs.service.states import packed, state_path
from gridwatch.jobs.sizes import counts_json, memory_message, size_json
from gridwatch.jobs.timing import with_buckets

if TYPE_CHECKING:
    import pandas as pd

    from gridwatch.jobs.analysis import Analyzer
    from gridwatch.jobs.bucket_rows import RowsOf
    from gridwatch.jobs.resources import Job
    from gridwatch.jobs.service.running import Running

__all__ = ["OpenJob"]

log = structlog.get_logger(__name__)

_COST_MAX, _ENTRY_COST = 2_000_000, 5_000
"""What posts may cost that a process takes again after a crash, before a state is stored: one for a row or a value that
is judged, some 3 s in all. An entry by itself costs as much as 5,000 of them: 400 small posts share one state."""
_ENTRY_BYTES_MAX = 1 << 20
"""A post as large is a state's own worth, and a row of some stores has no room for it."""
_KEYS = 1_000
"""Keys of posts that are remembered."""


class OpenJob:
    """A job whose state is at hand.

    Attributes:
        job: As it is stored.
        analyzer: Its state.
        fed_to_ms: First instant whose rows have not been analysed, None before the first.
        sha256: Of the stored state that the analyzer went on from, None where there is none.
        uncommitted: Rows of a datafeed that the analyzer has seen and the stored state has not.
        posted: Number of the newest post that is in the journal and not in the stored state, 0 for none.
        keys: Of the newest posts that had one.
    """

    def __init__(self, running: Running, job: Job, analyzer: Analyzer, fed_to_ms: int | None, version: str) -> None:
        self.job = job
        self.analyzer = analyzer
        self.fed_to_ms = fed_to_ms
        self.version = version
        self.sha256: str | None = None
        self.uncommitted = 0
        self.posted = self._posted_cost = 0
        self.keys: deque[str] = deque(maxlen=_KEYS)
        self._running = running
        self._interim = True  # nobody knows what a process before this one left

    def commit(
        self, results: Results, fed_to_ms: int | None, *, source: str = "", rows_of: RowsOf | None = None
    ) -> None:
        """Write results, then the state that they led to.

        Args:
            results: Finished buckets since the last commit.
            fed_to_ms: First instant whose rows the state has not seen.
            source: Containers that the rows came from.
            rows_of: Gives the rows of a bucket again, where they are kept.

        Raises:
            JobsConflictError: Another process has taken the job over.
        """
        parts = self._running
        parts.renew(self.job.id)
        self._write(results, source, rows_of)
        self.fed_to_ms = fed_to_ms
        with packed(self.analyzer, fed_to_ms, self.keys) as file:
            info = parts.objects.put(state_path(self.job.id), file)
        self.version, self.sha256 = info.object_id, info.sha256
        self.uncommitted = 0
        if self.posted:
            # What dies before this leaves entries that follow no state there is: nobody reads them.
            parts.journal.drop(self.job.id)
            self.posted = self._posted_cost = 0
        self.tell_counts()

    def post(self, frame: pd.DataFrame, *, key: str | None, invalid: int, input_bytes: int) -> None:
        """Analyse rows that were posted, write what they led to, and keep them: in the journal, or in the next state.

        Args:
            frame: The time field int64 ms, and the job's fields.
            key: What the poster calls them; a post of the same key does nothing.
            invalid: Rows beside them whose time could not be read.
            input_bytes: What they took as they were posted.

        Raises:
            JobsConflictError: Another process has taken the job over.
        """
        if key is not None and key in self.keys:
            return
        parts, network = self._running, self.analyzer.network
        parts.renew(self.job.id)
        entry = Entry(self.posted + 1, key, Rows.of(frame, self.analyzer.columns), invalid, input_bytes)
        content = entry.rows.to_bytes()
        results = self._take(entry)
        cost = self._posted_cost + _ENTRY_COST + len(entry.rows) + sum(one.series for one in results.buckets)
        # A network is trained once; rows of a datafeed come before those that are posted after them.
        kept = self.uncommitted or self.analyzer.network is not network
        if kept or cost >= _COST_MAX or len(content) >= _ENTRY_BYTES_MAX:
            self.commit(results, self.fed_to_ms)
            return
        self._write(results, "")
        parts.journal.add(self.job.id, self.version, entry, content)
        # Who has taken the job over meanwhile may not have seen the entry.
        parts.renew(self.job.id)
        self.posted, self._posted_cost = entry.number, cost
        self.tell_counts()

    def repeat(self, entries: Sequence[Entry]) -> None:
        """Take posts of the journal again, whose results are written already."""
        for entry in entries:
            results = self._take(entry)
            self._posted_cost += _ENTRY_COST + len(entry.rows) + sum(one.series for one in results.buckets)
            self.posted = entry.number
        # How long these took was told by who took them first.
        self.analyzer.took()

    def settle(self) -> None:
        """Store a state that has all posts."""
        if self.posted:
            self.commit(Results(), self.fed_to_ms)

    def _take(self, entry: Entry) -> Results:
        results = self.analyzer.push(entry.rows.to_frame(self.analyzer.columns))
        counts = self.analyzer.counts
        counts.input_record_count += entry.invalid
        counts.invalid_date_count += entry.invalid
        counts.input_bytes += entry.input_bytes
        if entry.key is not None:
            self.keys.append(entry.key)
        return results

    def _write(self, results: Results, source: str, rows_of: RowsOf | None = None) -> None:
        """Write results and anomalies."""
        parts = self._running
        if results.buckets and self._interim:
            parts.results.drop_interim(self.job.id)
            self._interim = False
        parts.results.write(self.job.config, results)
        found = write_anomalies(
            parts.store, self.job.config, results.records, source=source or self.job.id, model_sha256=self.sha256,
            now_ms=parts.now_ms(), network=self.analyzer.network, rows_of=rows_of,
        )  # fmt: skip
        if results.buckets:
            log.info(
                "buckets_analysed", job=self.job.id, buckets=len(results.buckets), records=len(results.records),
                anomalies=found,
            )  # fmt: skip

    def note(self, fed_to_ms: int, rows: int) -> None:
        """Remember that rows have been fed, here alone: whoever goes on from the stored state reads them again."""
        self.fed_to_ms = fed_to_ms
        self.uncommitted += rows
        self.tell_counts()

    def tell_counts(self) -> None:
        """Write how the job fares, and say so where its memory is in another state than before."""
        parts, before = self._running, self.job.size
        size = size_json(self.analyzer, parts.now_ms(), before)
        self.job = parts.resources.change_job(
            self.job.id,
            counts=counts_json(self.analyzer, parts.now_ms()),
            size=size,
            timing=with_buckets(self.job.timing, self.analyzer.took()),
            analysed_to_ms=self.analyzer.next_bucket,
        )
        if size["memory_status"] != before.get("memory_status", "ok"):
            parts.messages.say(self.job.id, *memory_message(size))

    def tell_interim(self, start_ms: int | None = None, end_ms: int | None = None) -> None:
        """Write what can be said of the open buckets; it is replaced when they are finished.

        Args:
            start_ms: First instant of the buckets wanted, UTC epoch ms; None for all.
            end_ms: First instant not wanted any more.
        """
        results = self.analyzer.interim().between(start_ms, end_ms)
        parts = self._running.results
        if self._interim:
            parts.drop_interim(self.job.id)
        parts.write(self.job.config, results)
        self._interim = bool(results.buckets)
