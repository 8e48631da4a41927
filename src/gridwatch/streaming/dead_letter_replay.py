"""Dead letters back to their topics, each once, whatever dies in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import structlog

from gridwatch.errors import StreamError
from gridwatch.streaming.clients import connect
from gridwatch.streaming.dead_letter_marks import (
    MARKS_TOPIC,
    Replayed,
    ensure_marks_topic,
    mark,
    read_marks,
    topic_ids,
)
from gridwatch.streaming.dead_letter_reader import Fetcher, Repeats, letter_consumer, read_letters
from gridwatch.streaming.dead_letters import DeadLetter, Place
from gridwatch.streaming.producer import dlq_topic
from gridwatch.streaming.values import RecordError

if TYPE_CHECKING:
    from gridwatch.settings import Settings

__all__ = ["Outgoing", "Replay", "ReplayReport", "prepared", "replay_dead_letters"]

log = structlog.get_logger(__name__)

_TRANSACTIONAL_ID = "gridwatch-dlq-replay"
_BATCH_LETTERS = 500
_BATCH_BYTES = 8 << 20
_REASONS_MAX = 1000
_RECORD_BYTES_MAX = 256 << 20


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record that goes back to its topic.

    Args:
        letter: Where it comes from.
        topic: Where it goes.
        key: As it goes.
        value: As it goes.
        headers: As they go.
    """

    letter: DeadLetter
    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


Change = Callable[[Outgoing], Outgoing]
"""Gives a record as it shall go; raises RecordError when it shall stay."""


@dataclass(slots=True)
class ReplayReport:
    """What a replay did.

    Args:
        sent: Records sent.
        repeated: Letters left out because they are of a record that was sent already.
        kept: Letters that were not sent.
        reasons: Why, for the first thousand of those.
    """

    sent: int = 0
    repeated: int = 0
    kept: int = 0
    reasons: list[tuple[Place, str]] = field(default_factory=list)

    def keep(self, place: Place, reason: str) -> None:
        """Note a letter that is not sent."""
        self.kept += 1
        if len(self.reasons) < _REASONS_MAX:
            self.reasons.append((place, reason))


def prepared(fetcher: Fetcher, letter: DeadLetter, change: Change | None = None) -> Outgoing:
    """Return a letter's record as it goes back to its topic.

    Args:
        fetcher: Brings the whole of a record that was too large to be a letter.
        letter: Which.
        change: What is changed in it.

    Raises:
        RecordError: It cannot be changed so, nobody says which topic it came from, or it is no longer there whole.
    """
    full = _whole(fetcher, letter)
    record = Outgoing(letter, letter.topic, full.key, full.value, full.headers)
    if change is not None:
        record = change(record)
    if not record.topic:
        raise RecordError(
            "nothing says where it came from (is the connector's errors.deadletterqueue.context.headers.enable on?); "
            "name the topic with --to"
        )
    return record


class Replay:
    """Sends letters and their marks in Kafka transactions; use it as a context manager.

    There is one replay at a time for a cluster: a second one ends the first.

    Args:
        settings: Login and time limits.
        bootstrap: `host:port,...` of the cluster.

    Raises:
        MissingServiceError: Kafka does not answer.
        StreamError: It refuses transactions.
    """

    def __init__(self, settings: Settings, bootstrap: str) -> None:
        from kafka import KafkaProducer
        from kafka.errors import KafkaError

        ensure_marks_topic(settings, bootstrap)
        self._settings = settings
        self._bootstrap = bootstrap
        limit_ms = int(settings.kafka.request_timeout_s * 1000)
        self._producer = connect(
            KafkaProducer,
            settings,
            bootstrap,
            transactional_id=_TRANSACTIONAL_ID,
            acks="all",
            compression_type="gzip",
            max_block_ms=limit_ms,
            delivery_timeout_ms=2 * limit_ms,
            allow_auto_create_topics=False,
            # The topic's own limit decides; what came in once has to go in again.
            max_request_size=_RECORD_BYTES_MAX,
        )
        try:
            # Whatever an earlier replay left open is taken back, so what the marks say now is all that was sent.
            self._producer.init_transactions()
        except KafkaError as error:
            self._producer.close(timeout=1)
            raise StreamError(f"Kafka at {bootstrap} lets nobody replay: {error}.") from error
        self.replayed: Replayed = read_marks(settings, bootstrap)
        self._ids = topic_ids(settings, bootstrap)

    def send(self, records: list[Outgoing], done: list[Place]) -> None:
        """Send records and mark letters as replayed, all or nothing.

        Args:
            records: What is sent.
            done: Letters that need not be sent any more: those of the records and their repetitions.

        Raises:
            StreamError: One was refused, or another replay took over; nothing is sent then.
        """
        from kafka.errors import KafkaError

        try:
            self._producer.begin_transaction()
            futures = [self._send(record) for record in records]
            futures += [self._producer.send(MARKS_TOPIC, value) for value in mark(done, self._ids)]
            self._producer.flush(timeout=2 * self._settings.kafka.request_timeout_s)
            for future in futures:
                future.get(timeout=0)
            self._producer.commit_transaction()
        except (KafkaError, ValueError) as error:
            self._abort()
            raise StreamError(
                f"Nothing of {len(records)} records was replayed to Kafka at {self._bootstrap}: {_told(error)}"
            ) from error
        for place in done:
            self.replayed.add(place.topic, place.partition, place.offset, place.offset)

    def _send(self, record: Outgoing) -> Any:
        letter = record.letter
        known = self._producer.partitions_for(record.topic)
        # To the partition that it came from, among its neighbours.
        partition = letter.partition if letter.topic == record.topic and letter.partition in known else None
        # Kafka's client takes no record without key and value. The time is that of now, or retention might take it.
        key = b"" if record.key is None and record.value is None else record.key
        return self._producer.send(
            record.topic, record.value, key=key, headers=list(record.headers), partition=partition
        )

    def _abort(self) -> None:
        from kafka.errors import KafkaError

        try:
            self._producer.abort_transaction()
        except KafkaError as error:
            log.debug("dlq_abort_failed", error=str(error))

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *_: object) -> None:
        self._producer.close(timeout=self._settings.kafka.request_timeout_s)

    def run(
        self,
        letters: Iterable[DeadLetter],
        change: Change | None = None,
        *,
        again: bool = False,
        on_sent: Callable[[int], None] | None = None,
    ) -> ReplayReport:
        """Send letters, some hundred at a time.

        Args:
            letters: Which.
            change: Gives each record as it shall go, or raises RecordError when it shall stay.
            again: Send those as well that were replayed before.
            on_sent: Told how many are sent so far.

        Raises:
            StreamError: Kafka refused some; what was sent before them stays sent and marked.
        """
        report = ReplayReport()
        records: list[Outgoing] = []
        done: list[Place] = []
        size = 0
        for letter, record in self._wanted(letters, change, again, report):
            done.append(letter.place)
            if record is not None:
                records.append(record)
                size += len(record.value or b"") + len(record.key or b"")
            if len(done) >= _BATCH_LETTERS or size >= _BATCH_BYTES:
                self._flush(records, done, report, on_sent)
                records, done, size = [], [], 0
        if done:
            self._flush(records, done, report, on_sent)
        log.info("dead_letters_replayed", records=report.sent, repeated=report.repeated, kept=report.kept)
        return report

    def _flush(
        self, records: list[Outgoing], done: list[Place], report: ReplayReport, on_sent: Callable[[int], None] | None
    ) -> None:
        self.send(records, done)
        report.sent += len(records)
        report.repeated += len(done) - len(records)
        if on_sent is not None:
            on_sent(report.sent)

    def _wanted(
        self, letters: Iterable[DeadLetter], change: Change | None, again: bool, report: ReplayReport
    ) -> Iterator[tuple[DeadLetter, Outgoing | None]]:
        """Give the letters to mark, each with its record, or with None when that record was sent by another letter."""
        repeats = Repeats()
        kept = Replayed()
        with letter_consumer(self._settings, self._bootstrap) as consumer:
            fetcher = Fetcher(consumer)
            for letter in letters:
                first = repeats.first(letter)
                if letter.place in self.replayed and not again:
                    continue
                if first is not None:
                    if first not in kept:
                        yield letter, None
                    continue
                try:
                    record = self._record(fetcher, letter, change)
                except RecordError as error:
                    kept.add(letter.place.topic, letter.place.partition, letter.place.offset, letter.place.offset)
                    report.keep(letter.place, str(error))
                else:
                    yield letter, record

    def _record(self, fetcher: Fetcher, letter: DeadLetter, change: Change | None) -> Outgoing:
        record = prepared(fetcher, letter, change)
        if record.topic not in self._ids:
            raise RecordError(f"there is no topic {record.topic!r}; make it first, or name another with --to")
        return record


def _told(error: Exception) -> str:
    from kafka.errors import MessageSizeTooLargeError

    # What was sent behind the record that is too large fails with that error inside of another.
    if any(isinstance(one, MessageSizeTooLargeError) for one in (error, *error.args)):
        return "a record is too large for its topic. Raise the topic's max.message.bytes."
    return f"{error}."


def _whole(fetcher: Fetcher, letter: DeadLetter) -> DeadLetter:
    """Return a letter with its whole record; one that was too large to be a letter is fetched from its own place.

    Raises:
        RecordError: It is no longer there.
    """
    if letter.whole_bytes is None:
        return letter
    record = fetcher.record(letter.origin) if letter.origin is not None else None
    if record is None or len(record.value or b"") != letter.whole_bytes:
        raise RecordError(
            f"only the beginning of its {letter.whole_bytes} bytes is here, and the whole is no longer at "
            f"{letter.origin}; it has to be sent again from its source"
        )
    headers = tuple((str(name), value or b"") for name, value in record.headers or ())
    return replace(letter, key=record.key, value=record.value, headers=headers, whole_bytes=None)


def replay_dead_letters(settings: Settings, bootstrap: str, topic: str) -> int:
    """Send a topic's dead letters to the topic again, as they came, those that were not sent before.

    Those that still are no rows come back as new letters, with a new reason.

    Returns:
        How many were sent.

    Raises:
        MissingServiceError: Kafka does not answer.
        StreamError: It refused some.
    """
    with Replay(settings, bootstrap) as replay:
        return replay.run(read_letters(settings, bootstrap, [dlq_topic(topic)])).sent
