"""Batches of a source through Kafka into the container, and a record of each batch that has arrived."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING

import pyarrow as pa
import structlog

from gridwatch.containers.catalog import DELIVERIES, LOADS, TRAININGS, VALIDATIONS
from gridwatch.errors import SourceError, StreamError

if TYPE_CHECKING:
    from gridwatch.containers.schema import ContainerInfo
    from gridwatch.containers.store import Store
    from gridwatch.settings import Settings
    from gridwatch.sources import Dataset, SourceBatch
    from gridwatch.streaming import Producer

__all__ = ["LoadReport", "LoadedBatches", "Progress", "carry", "loaded_batches"]

log = structlog.get_logger(__name__)

Progress = Callable[[int, int | None], None]
"""Told how much is done, and of how much where that is known."""

_PENDING_ROWS_MAX = 200_000
_PENDING_S_MAX = 20.0
_DRAIN_TIMEOUT_S = 300.0
_REASONS_MAX = 10


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a load did.

    Args:
        dataset: Name of the dataset.
        batches: Batches that were carried.
        rows: Rows that were sent; all but those that the container refused have been written.
        rejected: Lines that were no rows, and rows that the container refused; they are on the dead-letter topic with
            their reasons.
        skipped_batches: Batches that an earlier load had recorded.
        from_ms: Time of the first row carried, UTC epoch ms; None without rows.
        to_ms: Time of the last.
        reasons: The first rejected lines, as `batch, line N: reason`.
    """

    dataset: str
    batches: int
    rows: int
    rejected: int
    skipped_batches: int
    from_ms: int | None
    to_ms: int | None
    reasons: list[str] = field(default_factory=list)


class LoadedBatches(Collection[str]):
    """Keys of the batches of a dataset that are recorded as loaded; remembers which of them were asked for."""

    def __init__(self, keys: Collection[str]) -> None:
        self._keys = frozenset(keys)
        self.skipped: set[str] = set()

    def __contains__(self, key: object) -> bool:
        if key not in self._keys:
            return False
        self.skipped.add(str(key))
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


def loaded_batches(dataset: Dataset, store: Store) -> LoadedBatches:
    """Return the keys of the batches that are recorded as loaded; none when the container they went to is gone."""
    if store.container(LOADS.name) is None or store.container(dataset.container) is None:
        return LoadedBatches(())
    rows = store.sql("SELECT batch FROM loads WHERE dataset = ?", [dataset.name])
    return LoadedBatches(rows["batch"].to_pylist())


def carry(
    dataset: Dataset,
    batches: Iterable[SourceBatch],
    store: Store,
    settings: Settings,
    *,
    now_ms: int,
    done: LoadedBatches,
    progress: Progress | None = None,
    jars_progress: Progress | None = None,
) -> LoadReport:
    """Send batches, wait until they are written, record them. No broker is started when there is nothing to send.

    A batch is recorded only after its rows are in the container. Small ones wait for each other: settling each of
    hundreds by itself would take longer than the rows do.

    Raises:
        SourceError: The source failed; the batches before are written and recorded.
        StreamError: Kafka failed, the sink did not finish in time, or its rows are not in the store.
    """
    new = (batch for batch in batches if batch.key not in done)
    first = next(new, None)
    tally = _Tally()
    if first is not None:
        from gridwatch.streaming import Producer, broker_for

        for info in (_info(dataset, store), LOADS, VALIDATIONS, TRAININGS):
            store.put_container(info)
        # Dashboards and alert rules ask for these from the first load on.
        store.put_container(DELIVERIES, modifiable=True)
        with broker_for(settings, progress=jars_progress) as bootstrap, Producer(settings, bootstrap) as producer:
            producer.ensure_topics([dataset.container])
            with _sink(dataset, store, settings, bootstrap, jars_progress) as sink:
                carrier = _Carrier(dataset, store, now_ms, producer, sink, tally, progress)
                try:
                    for batch in chain([first], new):
                        carrier.send(batch)
                except SourceError:
                    # What came before the failure has cost requests; the next load shall not ask for it again.
                    carrier.settle()
                    raise
                carrier.settle()
    log.info("loaded", dataset=dataset.name, batches=tally.batches, rows=tally.rows, rejected=tally.rejected)
    return LoadReport(
        dataset=dataset.name,
        batches=tally.batches,
        rows=tally.rows,
        rejected=tally.rejected,
        skipped_batches=len(done.skipped),
        from_ms=tally.from_ms,
        to_ms=tally.to_ms,
        reasons=tally.reasons,
    )


def _info(dataset: Dataset, store: Store) -> ContainerInfo:
    """Return what the container of a dataset is made as; only a new one, on GridDB, gets partitions that expire."""
    if not dataset.retention.expire or not store.url.startswith("griddb://") or store.container(dataset.container):
        return dataset.info
    return dataset.expiring_info


@dataclass(frozen=True, slots=True)
class _Writer:
    """Who brings records into the container.

    Args:
        name: For messages.
        arrived: Waits until all that was sent is written, and returns how many records were refused.
    """

    name: str
    arrived: Callable[[], int]


@contextmanager
def _sink(
    dataset: Dataset, store: Store, settings: Settings, bootstrap: str, jars_progress: Progress | None
) -> Iterator[_Writer]:
    """Give Kafka Connect where it is configured, else gridwatch's own sink; the rows are the same."""
    if not settings.connect.enabled:
        from gridwatch.streaming import drain

        topic, limit_s = dataset.container, _DRAIN_TIMEOUT_S
        name = f"consumer group {settings.kafka.group_id!r}"
        yield _Writer(name, lambda: drain(settings, bootstrap, store, [topic], timeout_s=limit_s).dead_letters)
        return
    from gridwatch.sources import topics_pattern
    from gridwatch.streaming.connect_drain import ConnectDrain
    from gridwatch.streaming.connect_for import connect_for

    topics = topics_pattern([dataset.container])
    with connect_for(settings, bootstrap, topics=topics, progress=jars_progress) as told:
        waiting = ConnectDrain(told, bootstrap, [dataset.container])
        name = f"connector {settings.connect.connector!r}"
        yield _Writer(name, lambda: waiting.settle(timeout_s=_DRAIN_TIMEOUT_S).dead_letters)


@dataclass(slots=True)
class _Tally:
    batches: int = 0
    rows: int = 0
    rejected: int = 0
    from_ms: int | None = None
    to_ms: int | None = None
    reasons: list[str] = field(default_factory=list)

    def add(self, batch: SourceBatch) -> None:
        self.batches += 1
        self.rows += len(batch.frame)
        self.rejected += len(batch.rejected)
        room = _REASONS_MAX - len(self.reasons)
        self.reasons += [f"{batch.key}, line {row.line}: {row.reason}" for row in batch.rejected[:room]]
        from_ms, to_ms = _span(batch)
        if from_ms is not None and to_ms is not None:
            self.from_ms = from_ms if self.from_ms is None else min(self.from_ms, from_ms)
            self.to_ms = to_ms if self.to_ms is None else max(self.to_ms, to_ms)


@dataclass(slots=True)
class _Carrier:
    """Sends batches, and keeps those that are not yet known to be written."""

    dataset: Dataset
    store: Store
    now_ms: int
    producer: Producer
    sink: _Writer
    tally: _Tally
    progress: Progress | None
    pending: list[SourceBatch] = field(default_factory=list)
    settled_s: float = field(default_factory=time.monotonic)

    def send(self, batch: SourceBatch) -> None:
        """Send one batch; settle when much is pending or the last time is long ago."""
        topic, sent = self.dataset.container, self.tally.rows
        progress = None
        if self.progress is not None:
            told = self.progress
            progress = lambda done, _total: told(sent + done, None)  # noqa: E731 - a closure over this batch
        self.producer.send(topic, batch.frame, self.dataset.info, ingested_ms=self.now_ms, progress=progress)
        for row in batch.rejected:
            where = {"dataset": self.dataset.name, "batch": batch.key, "line": str(row.line)}
            self.producer.dead_letter(topic, row.text.encode(), row.reason, key=batch.key.encode(), headers=where)
        self.producer.flush()
        self.tally.add(batch)
        self.pending.append(batch)
        rows = sum(len(waiting.frame) for waiting in self.pending)
        if rows >= _PENDING_ROWS_MAX or time.monotonic() - self.settled_s >= _PENDING_S_MAX:
            self.settle()

    def settle(self) -> None:
        """Wait until all that was sent is written, and record it."""
        if not self.pending:
            return
        refused = self.sink.arrived()
        self._check_written(refused)
        if refused:
            self.tally.reasons.append(f"{refused} records that the container refused; see its dead letters")
            self.tally.rejected += refused
        rows = [self._row(batch) for batch in self.pending if batch.complete]
        if rows:
            self.store.put(LOADS.name, pa.Table.from_pylist(rows, schema=LOADS.arrow))
        self.pending.clear()
        self.settled_s = time.monotonic()

    def _check_written(self, refused: int) -> None:
        """Look for the last row of each batch: who reads the topic may write into another store or container.

        Raises:
            StreamError: More of them are missing than were refused.
        """
        name = self.dataset.container
        info = self.store.container(name)
        if info is not None and info.partitioning is not None and info.partitioning.expiration:
            # Rows may be gone as soon as they are written.
            return
        ends = {end_ms for batch in self.pending if (end_ms := _span(batch)[1]) is not None}
        missing = [ms for ms in sorted(ends) if info is None or not self.store.read(name, ms, ms).num_rows]
        if len(missing) > refused:
            time_of = datetime.fromtimestamp(missing[0] / 1000, UTC).isoformat()
            raise StreamError(
                f"The {self.sink.name} has read all of topic {name!r}, but container {name!r} of this store has no row "
                f"of {time_of}: it writes elsewhere. GRIDWATCH_STORE_URL and what it writes to (of a connector "
                "connection.url and container.name.format) have to be the same; what was sent waits in Kafka.",
                container=name,
            )

    def _row(self, batch: SourceBatch) -> dict[str, str | int | None]:
        from_ms, to_ms = _span(batch)
        return {
            "dataset": self.dataset.name,
            "batch": batch.key,
            "rows": len(batch.frame),
            "rejected": len(batch.rejected),
            "from_ms": from_ms,
            "to_ms": to_ms,
            "loaded_ms": self.now_ms,
        }


def _span(batch: SourceBatch) -> tuple[int | None, int | None]:
    """Return the first and last time of a batch, UTC epoch ms."""
    if batch.frame.empty:
        return None, None
    first, last = batch.frame["ts"].iloc[0], batch.frame["ts"].iloc[-1]
    return round(first.timestamp() * 1000), round(last.timestamp() * 1000)
