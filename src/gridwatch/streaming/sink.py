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
from gridwatch.streaming.batch import Record
from gridwatch.streaming.consumer import Member, topics_pattern
from gridwatch.streaming.dead_letters import write_dead_letters
from gridwatch.streaming.decode import Decoder, parse_record
from gridwatch.streaming.envelope import container_of
from gridwatch.streaming.pace import Pace
from gridwatch.streaming.producer import Producer
from gridwatch.streaming.times import TimeFormat
from gridwatch.streaming.tombstones import doomed
from gridwatch.streaming.values import RecordError

if TYPE_CHECKING:
    import pyarrow as pa
    from confluent_kafka import Message

    from gridwatch.settings import Settings

__all__ = ["Sink", "SinkReport"]

log = structlog.get_logger(__name__)

ROWS_MAX = 10_000
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

    Raises:
        ConfigError: Neither or both of topics and pattern, or a pattern that is no regular expression.
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
        self._pattern = topics_pattern(pattern)
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
            member = Member(self._settings, self._bootstrap, self._topics, pattern=self._pattern)
            try:
                self._loop(member, letters, done, stop)
            finally:
                member.close()
        report = SinkReport(self.rows - rows, self.dead_letters - dead)
        log.info(
            "sink_done",
            rows=report.rows,
            dead_letters=report.dead_letters,
            seconds=round(time.monotonic() - began, 2),
            topics=self._topics or (self._pattern and self._pattern.pattern),
        )
        return report

    def _loop(self, member: Member, letters: Producer, done: Callable[[], bool], stop: threading.Event) -> None:
        failures = 0
        pace = Pace(self._rows_max)
        while not stop.is_set() and not done():
            try:
                batch = member.poll(pace.rows)
            except StreamError as error:
                failures += 1
                self._pause("sink_poll_failed", error, failures, stop)
                continue
            began, size = time.monotonic(), sum(map(len, batch.messages.values()))
            try:
                if batch.messages:
                    self._handle(batch.messages, letters)
            except (StoreError, StreamError, MissingServiceError) as error:
                failures += 1
                # Perhaps a container was dropped or made anew; look again.
                self._decoders.clear()
                member.rewind(batch)
                self._pause("sink_batch_failed", error, failures, stop)
                continue
            finally:
                pace.took(size, time.monotonic() - began)
            failures = 0
            self._commit(member, batch.ends)

    def _pause(self, event: str, error: Exception, failures: int, stop: threading.Event) -> None:
        delay_s = min(_BACK_OFF_MAX_S, 0.1 * 2 ** min(failures, 10)) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        log.warning(event, error=str(error), failures=failures, again_in_s=round(delay_s, 2))
        stop.wait(delay_s)

    def _commit(self, member: Member, ends: dict[tuple[str, int], int]) -> None:
        new = {place: offset for place, offset in ends.items() if self.committed.get(place) != offset}
        try:
            self.committed |= member.commit(new)
        except StreamError as error:
            # The cluster is away: it is tried again. Or the partitions went to another member: the rows are written
            # once more, no harm.
            log.warning("sink_commit_failed", error=str(error))

    def _handle(self, by_topic: dict[str, list[Message]], letters: Producer) -> None:
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
        if not self._settings.kafka.delete_enabled or all(record.value() is not None for record in records):
            return records, []
        return (
            [record for record in records if record.value() is not None],
            [Record.of(record) for record in records if record.value() is None],
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
        keys, bad = doomed(
            info, records, table, [Record.of(record) for record in kept], refused, self._times or TimeFormat()
        )
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
                return [(Record.of(records[0]), str(error))]
            middle = table.num_rows // 2
            return [
                *self._put_halves(topic, table.slice(0, middle), records[:middle]),
                *self._put_halves(topic, table.slice(middle), records[middle:]),
            ]
        return []

    def _decode(self, topic: str, records: list[Any]) -> tuple[Any, list[Any], list[tuple[Any, str]]]:
        """Return a topic's rows as a table, the records that they come from, and the others with their reasons."""
        values = [record.value() for record in records]
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
                    log.info("container_made", container=topic, columns=[column.name for column in info.columns])
                except (SchemaError, ContainerExistsError) as error:
                    # Another member may have made it meanwhile, from records with another schema.
                    info = self._store.container(topic) if isinstance(error, ContainerExistsError) else None
                    if info is None:
                        return None, [], [(Record.of(record), str(error)) for record in records]
            if decoder is None or decoded is None or decoder.info != info:
                decoder = self._decoders[topic] = Decoder(info, self._times)
                decoded = decoder.decode(values)
        kept = [records[position] for position in decoded.positions]
        return decoded.table, kept, [(Record.of(records[position]), reason) for position, reason in decoded.rejected]


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
