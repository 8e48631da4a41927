"""One run of upkeep: look at each container that has a retention, delete what may go, give the space back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from gridwatch.alerts.anomalies import anomaly_containers
from gridwatch.containers.catalog import DELIVERIES, LEASES, VALIDATIONS, score_container
from gridwatch.containers.lease import Lease
from gridwatch.containers.sqlite import SqliteStore
from gridwatch.jobs.tables import BUCKETS, INFLUENCERS, MESSAGES, MODEL_PLOT, RECORDS
from gridwatch.upkeep import keyed
from gridwatch.upkeep.needs import Need, needs_of_rows, needs_of_scores, scored_again
from gridwatch.upkeep.spans import delete_span, free_spans, rows_of, time_key
from gridwatch.upkeep.sweeps import DAY_MS, Kind, Sweep, UpkeepReport, days_of

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.settings import Settings
    from gridwatch.sources import Dataset

__all__ = ["run_upkeep"]

log = structlog.get_logger(__name__)

LEASE_MS = 60_000

Progress = Callable[[int, int | None], None]


def run_upkeep(
    store: Store,
    settings: Settings,
    datasets: Iterable[Dataset],
    *,
    clock: Callable[[], int],
    dry_run: bool = False,
    progress: Progress | None = None,
) -> UpkeepReport:
    """Delete what has been kept long enough and what nothing needs; others may go on reading and writing.

    Rows go in pieces, oldest first, so that a run that is broken off has done a part of its work and the next one does
    the rest. One run at a time works on a store.

    Args:
        store: Any backend.
        settings: How long things are kept.
        datasets: All that there are; each may say so for its own.
        clock: UTC epoch ms.
        dry_run: Only count.
        progress: Told the rows deleted so far.

    Raises:
        StoreError: The store failed; what was deleted before is gone, and to do it again is safe.
    """
    run = _Run(store, settings, list(datasets), clock(), dry_run, progress or (lambda _done, _total: None), None)
    if dry_run:
        return UpkeepReport(True, list(run.sweeps()))
    store.put_container(LEASES)
    run.lease = lease = Lease(store, "upkeep", clock=clock, lasts_ms=LEASE_MS)
    if not lease.hold():
        return UpkeepReport(False, note="another upkeep is at work with this store")
    before = _size(store)
    try:
        sweeps = list(run.sweeps())
        if isinstance(store, SqliteStore):
            store.compact()
    finally:
        lease.release()
    after = _size(store)
    report = UpkeepReport(False, sweeps, None if before is None or after is None else max(before - after, 0))
    log.info("upkeep_done", rows=report.rows, freed_bytes=report.freed_bytes)
    return report


def _size(store: Store) -> int | None:
    if not isinstance(store, SqliteStore):
        return None
    store.compact()
    return Path(store.path).stat().st_size


@dataclass(slots=True)
class _Run:
    store: Store
    settings: Settings
    datasets: list[Dataset]
    now_ms: int
    dry_run: bool
    progress: Progress
    lease: Lease | None
    done: int = 0

    def sweeps(self) -> Iterator[Sweep]:
        """Do one container after the other.

        Rows go before their scores: a row without one would be scored again. Anomalies go before their deliveries: an
        anomaly without one would be told of again.
        """
        for dataset in self.datasets:
            yield from self._rows(dataset)
        for name in self.store.containers():
            if name.upper().startswith("SCORE_"):
                yield from self._scores(name)
        told = [sweep for name in anomaly_containers(self.store) for sweep in self._anomalies(name)]
        yield from told
        if told:
            yield from self._deliveries(min(told, key=lambda one: one.days))
        keep = self.settings.retention
        if keep.validations_days is not None and self.store.container(VALIDATIONS.name) is not None:
            before_ms = self._before(keep.validations_days)
            found = keyed.old_validations(self.store, before_ms)
            yield self._keyed(VALIDATIONS.name, "validations", keep.validations_days, before_ms, found)
        if keep.results_days is not None and self.store.container(BUCKETS.name) is not None:
            # The buckets last: their newest says how old the others are.
            for info in (RECORDS, INFLUENCERS, MODEL_PLOT, BUCKETS):
                if self.store.container(info.name) is not None:
                    found = keyed.old_results(self.store, info.name, keep.results_days)
                    yield self._keyed(info.name, "results", keep.results_days, self._before(keep.results_days), found)
        if keep.messages_days is not None and self.store.container(MESSAGES.name) is not None:
            before_ms = self._before(keep.messages_days)
            found = keyed.old_messages(self.store, before_ms)
            yield self._keyed(MESSAGES.name, "messages", keep.messages_days, before_ms, found)

    def _rows(self, dataset: Dataset) -> Iterator[Sweep]:
        days = days_of("rows", dataset, self.settings)
        if days is not None:
            yield from self._series(dataset.container, "rows", days, needs_of_rows(dataset, self.store))

    def _scores(self, name: str) -> Iterator[Sweep]:
        dataset = self._dataset(name)
        days = days_of("scores", dataset, self.settings)
        if days is not None:
            again = scored_again(dataset, self.store) if dataset else None
            needs = needs_of_scores(name[len("SCORE_") :], self.store, again)
            yield from self._series(name, "scores", days, needs)

    def _anomalies(self, name: str) -> Iterator[Sweep]:
        days = days_of("anomalies", self._dataset(score_container(name[len("ANOMALY_") :])), self.settings)
        if days is not None:
            before_ms = self._before(days)
            yield self._keyed(name, "anomalies", days, before_ms, keyed.old_anomalies(self.store, name, before_ms))

    def _deliveries(self, least: Sweep) -> Iterator[Sweep]:
        if self.store.container(DELIVERIES.name) is not None:
            found = keyed.orphan_deliveries(self.store, least.before_ms)
            yield self._keyed(DELIVERIES.name, "deliveries", least.days, least.before_ms, found)

    def _dataset(self, scores: str) -> Dataset | None:
        return next((one for one in self.datasets if score_container(one.symbol).lower() == scores.lower()), None)

    def _before(self, days: int) -> int:
        return max(self.now_ms - days * DAY_MS, 0)

    def _series(self, container: str, kind: Kind, days: int, needs: list[Need]) -> Iterator[Sweep]:
        key = time_key(self.store, container)
        if key is None:
            return
        before_ms = self._before(days)
        old = rows_of(self.store, container, key, (0, before_ms - 1)) if before_ms else 0
        spans = free_spans(before_ms, needs)
        free = sum(rows_of(self.store, container, key, span) for span in spans) if old else 0
        if not self.dry_run and free:
            for span in spans:
                delete_span(self.store, container, key, span, go_on=self._go_on)
        why = {need.why: None for need in needs if need.from_ms < before_ms} if old > free else {}
        yield Sweep(container, kind, days, before_ms, free, old - free, tuple(why))

    def _keyed(self, container: str, kind: Kind, days: int, before_ms: int, batches: Iterable[keyed.Batch]) -> Sweep:
        deleted, kept = 0, Counter[str]()
        for keys, staying in batches:
            kept.update(staying)
            deleted += len(keys) if self.dry_run else self.store.delete(container, keys) if keys else 0
            if not self.dry_run and not self._go_on(len(keys)):
                break
        why = tuple(f"{reason}: {rows:,}" for reason, rows in kept.items() if rows)
        return Sweep(container, kind, days, before_ms, deleted, kept.total(), why)

    def _go_on(self, rows: int) -> bool:
        self.done += rows
        self.progress(self.done, None)
        # Whoever has lost the lease, as over a pause of the machine, leaves the rest to the one who has it.
        return self.lease is None or self.lease.hold()
