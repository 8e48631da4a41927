"""Records to containers: a consumer group that upserts whole batches and commits its offsets afterwards.

Rows are keyed, so a batch that is written again after a crash changes nothing. Records that are no rows go to the
topic's dead letters before the offsets are committed; nothing is dropped.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from gridwatch.containers import ContainerInfo, Store
from gridwatch.errors import (
    ConfigError,
    ContainerExistsError,
    MissingServiceError,
    SchemaError,
    StoreError,
    StreamError,
    ValueRefusedError,
)
from gridwatch.streaming.clients import connect
from gridwatch.streaming.dead_letters import write_dead_letters
from gridwatch.streaming.decode import Decoder, parse_record
from gridwatch.streaming.envelope import container_of
from gridwatch.streaming.producer import DLQ_SUFFIX, Producer
from gridwatch.streaming.times import TimeFormat
from gridwatch.streaming.tombstones import doomed
from gridwatch.streaming.values import RecordError

if TYPE_CHECKING:
    import pyarrow as pa

    from gridwatch.settings import Settings

__all__ = ["Sink", "SinkReport"]

log = structlog.get_logger(__name__)

ROWS_MAX = 10_000
_POLL_MS = 300
_BACK_OFF_MAX_S = 10.0


@dataclass(frozen=True, slots=True)
class SinkReport:
    """How many records became rows, or deleted one where they may, and how many became dead letters."""

    rows: int
    dead_letters: int


class Sink:
    """One member of the consumer group. One instance serves one thread.

    A topic's records go to the container of the topic's name. One that is missing is made from the records' schema.

    Args:
        settings: Login, group and time limits.
        bootstrap: `host:port,...` of the cluster.
        store: Where the containers are.
        topics: Topics to read, or
        pattern: a regular expression for their names; new topics are found within seconds.
        times: How times that come as text are written.
        rows_max: Most records of one batch.
    """

    def __init__(
        self,
        settings: Settings,
        bootstrap: str,
        store: Store,
        topics: Collection[str] = (),
        *,
        pattern: str | None = None,
        times: TimeFormat | None = None,
        rows_max: int = ROWS_MAX,
    ) -> None:
        if bool(topics) == bool(pattern):
            raise ConfigError(f"A sink wants topics or a pattern, got topics {sorted(topics)} and pattern {pattern!r}.")
        self._settings = settings
        self._bootstrap = bootstrap
        self._store = store
        self._topics = sorted(topics)
        self._pattern = pattern
        self._times = times
        self._rows_max = rows_max
        self._decoders: dict[str, Decoder] = {}
        self._letter_topics: set[str] = set()
        self.rows = 0
        self.dead_letters = 0
        self.committed: dict[tuple[str, int], int] = {}
        """Next offset of each partition that this member has read, as last committed."""

    def run(self, stop: threading.Event) -> SinkReport:
        """Read until `stop` is set; a store or cluster that is away is waited for.

        Raises:
            MissingServiceError: Kafka does not answer at the beginning.
        """
        return self.run_until(stop.is_set, stop=stop)

    def run_until(self, done: Callable[[], bool], *, stop: threading.Event | None = None) -> SinkReport:
        """Read until `done()`, which is asked after each batch and each poll without one (some tenths of a second).

        Raises:
            MissingServiceError: Kafka does not answer at the beginning.
        """
        stop = stop or threading.Event()
        began, rows, dead = time.monotonic(), self.rows, self.dead_letters
        with Producer(self._settings, self._bootstrap) as letters:
            consumer = self._consumer()
            try:
                self._loop(consumer, letters, done, stop)
            finally:
                consumer.close(autocommit=False, timeout_ms=5000)
        report = SinkReport(self.rows - rows, self.dead_letters - dead)
        log.info(
            "sink_done",
            rows=report.rows,
            dead_letters=report.dead_letters,
            seconds=round(time.monotonic() - began, 2),
            topics=self._topics or self._pattern,
        )
        return report

    def _consumer(self) -> Any:
        from kafka import KafkaConsumer

        consumer = connect(
            KafkaConsumer,
            self._settings,
            self._bootstrap,
            group_id=self._settings.kafka.group_id,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            allow_auto_create_topics=False,
            max_poll_records=self._rows_max,
            max_partition_fetch_bytes=8 << 20,
            fetch_max_wait_ms=200,
            # A killed member holds its partitions until this is over.
            session_timeout_ms=6000,
            heartbeat_interval_ms=1500,
            metadata_max_age_ms=5000,
        )
        if self._pattern:
            # Dead letters match most patterns for topics; read again as rows they would only go round in circles.
            consumer.subscribe(pattern=f"(?:{self._pattern})(?<!{DLQ_SUFFIX.replace('.', '[.]')})$")
        else:
            consumer.subscribe(topics=self._topics)
        return consumer

    def _loop(self, consumer: Any, letters: Producer, done: Callable[[], bool], stop: threading.Event) -> None:
        from kafka.errors import KafkaError

        failures = 0
        while not stop.is_set() and not done():
            try:
                batch = consumer.poll(timeout_ms=_POLL_MS)
            except KafkaError as error:
                failures += 1
                self._pause("sink_poll_failed", error, failures, stop)
                continue
            if not batch:
                self._commit_positions(consumer)
                continue
            try:
                self._handle(batch, letters)
            except (StoreError, StreamError, MissingServiceError) as error:
                failures += 1
                # Perhaps a container was dropped or made anew; look again.
                self._decoders.clear()
                self._rewind(consumer, batch)
                self._pause("sink_batch_failed", error, failures, stop)
                continue
            failures = 0
            self._commit(consumer, {part: records[-1].offset + 1 for part, records in batch.items()})

    def _pause(self, event: str, error: Exception, failures: int, stop: threading.Event) -> None:
        delay_s = min(_BACK_OFF_MAX_S, 0.1 * 2 ** min(failures, 10)) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        log.warning(event, error=str(error), failures=failures, again_in_s=round(delay_s, 2))
        stop.wait(delay_s)

    def _rewind(self, consumer: Any, batch: dict[Any, list[Any]]) -> None:
        """Read the batch again at the next poll; nothing of it was committed."""
        assigned = consumer.assignment()
        for part, records in batch.items():
            if part in assigned:
                consumer.seek(part, records[0].offset)

    def _commit(self, consumer: Any, offsets: dict[Any, int]) -> None:
        from kafka import OffsetAndMetadata
        from kafka.errors import KafkaError

        try:
            consumer.commit({part: OffsetAndMetadata(offset, "", -1) for part, offset in offsets.items()})
        except KafkaError as error:
            # The partitions went to another member, or the cluster is away: the rows are written once more, no harm.
            log.warning("sink_commit_failed", error=str(error))
            return
        self.committed |= {(part.topic, part.partition): offset for part, offset in offsets.items()}

    def _commit_positions(self, consumer: Any) -> None:
        """Commit past what is no record, such as the marks at the end of transactions and what was taken back.

        Nothing is under way here: all that was read is written, or will be read again.
        """
        from kafka.errors import KafkaError

        try:
            places = {part: consumer.position(part, timeout_ms=0) for part in consumer.assignment()}
        except KafkaError as error:
            log.debug("sink_position_unknown", error=str(error))
            return
        ahead = {
            part: place
            for part, place in places.items()
            if place is not None and place > self.committed.get((part.topic, part.partition), -1)
        }
        if ahead:
            self._commit(consumer, ahead)

    def _handle(self, batch: dict[Any, list[Any]], letters: Producer) -> None:
        by_topic: dict[str, list[Any]] = {}
        for part, records in batch.items():
            by_topic.setdefault(part.topic, []).extend(records)
        tables: dict[str, pa.Table] = {}
        rejected: list[tuple[Any, str]] = []
        sources: dict[str, list[Any]] = {}
        tombstones: dict[str, list[Any]] = {}
        for topic, records in by_topic.items():
            values, tombstones[topic] = self._without_tombstones(records)
            table, kept, bad = self._decode(topic, values)
            rejected += bad
            if kept:
                tables[topic], sources[topic] = table, kept
        rows = sum(table.num_rows for table in tables.values())
        try:
            self._store.put_many(tables)
        except (ValueRefusedError, SchemaError):
            changed = [topic for topic in tables if self._store.container(topic) != self._decoders[topic].info]
            if changed:
                raise StoreError(f"Container {changed[0]!r} has changed while its rows were on their way.") from None
            for topic, table in tables.items():
                refused = self._put_halves(topic, table, sources[topic])
                rejected += refused
                rows -= len(refused)
        for topic, records in tombstones.items():
            if records:
                bad = self._delete(topic, records, tables.get(topic), sources.get(topic, []), rejected)
                rejected += bad
                rows += len(records) - len(bad)
        self._send_letters(letters, rejected)
        self.rows += rows
        self.dead_letters += len(rejected)
        log.debug("sink_batch", rows=rows, dead_letters=len(rejected), topics=sorted(by_topic))

    def _without_tombstones(self, records: list[Any]) -> tuple[list[Any], list[Any]]:
        """Return the records that may be rows, and those that delete some; without leave to delete, there are none."""
        if not self._settings.kafka.delete_enabled or all(record.value is not None for record in records):
            return records, []
        return (
            [record for record in records if record.value is not None],
            [record for record in records if record.value is None],
        )

    def _delete(
        self, topic: str, records: list[Any], table: pa.Table | None, kept: list[Any], rejected: list[tuple[Any, str]]
    ) -> list[tuple[Any, str]]:
        """Delete the rows of the tombstones' keys; return those that name none, with their reasons."""
        info = self._store.container(topic)
        if info is None:
            # Nothing is there to be deleted.
            return []
        refused = {(record.partition, record.offset) for record, _ in rejected if record.topic == topic}
        keys, bad = doomed(info, records, table, kept, refused, self._times or TimeFormat())
        if keys:
            self._store.delete(topic, keys)
        return bad

    def _send_letters(self, letters: Producer, rejected: list[tuple[Any, str]]) -> None:
        # A topic that others made has no dead-letter topic yet.
        new = {record.topic for record, _ in rejected} - self._letter_topics
        if new:
            letters.ensure_topics(sorted(new))
            self._letter_topics |= new
        write_dead_letters(letters, rejected)

    def _put_halves(self, topic: str, table: pa.Table, records: list[Any]) -> list[tuple[Any, str]]:
        """Write what the store takes, and return the records that it refuses; by halving, so a few cost little."""
        try:
            self._store.put(topic, table)
        except (ValueRefusedError, SchemaError) as error:
            if table.num_rows == 1:
                return [(records[0], str(error))]
            middle = table.num_rows // 2
            return [
                *self._put_halves(topic, table.slice(0, middle), records[:middle]),
                *self._put_halves(topic, table.slice(middle), records[middle:]),
            ]
        return []

    def _decode(self, topic: str, records: list[Any]) -> tuple[Any, list[Any], list[tuple[Any, str]]]:
        """Return a topic's rows as a table, the records that they come from, and the others with their reasons."""
        values = [record.value for record in records]
        if not values:
            return None, [], []
        decoder = self._decoders.get(topic)
        decoded = decoder.decode(values) if decoder is not None else None
        if decoder is None or decoded is None or decoded.rejected:
            # Perhaps the container is new, or has got more columns since it was looked at.
            info = self._store.container(topic)
            if info is None:
                try:
                    info = self._store.put_container(_info_from_records(topic, values))
                except (SchemaError, ContainerExistsError) as error:
                    return None, [], [(record, str(error)) for record in records]
                log.info("container_made", container=topic, columns=[column.name for column in info.columns])
            if decoder is None or decoded is None or decoder.info != info:
                decoder = self._decoders[topic] = Decoder(info, self._times)
                decoded = decoder.decode(values)
        kept = [records[position] for position in decoded.positions]
        return decoded.table, kept, [(records[position], reason) for position, reason in decoded.rejected]


def _info_from_records(topic: str, values: list[bytes | None]) -> ContainerInfo:
    """Return the container that the first record with the schema of a time series describes.

    Raises:
        SchemaError: None has a schema, or none of them describes a time series.
    """
    first: SchemaError | None = None
    for value in values:
        try:
            schema, _ = parse_record(value)
            if schema is not None:
                return container_of(topic, schema)
        except RecordError:
            continue
        except SchemaError as error:
            # A bad record must not take its good neighbours with it.
            first = first or error
    raise first or SchemaError(f"there is no container {topic!r}, and the record has no schema to make it from")
