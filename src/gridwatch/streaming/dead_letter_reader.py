"""Dead letters are read as a stream: a topic may hold more of them than memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from zlib import crc32

from gridwatch.errors import StreamError
from gridwatch.streaming.clients import admin, connect
from gridwatch.streaming.connect_apply import dead_letter_names
from gridwatch.streaming.dead_letters import DeadLetter, Place, letter_of
from gridwatch.streaming.producer import DLQ_SUFFIX, dlq_topic

if TYPE_CHECKING:
    from gridwatch.settings import Settings

__all__ = [
    "Fetcher",
    "Repeats",
    "dead_letter_topics",
    "fetch_dead_letters",
    "letter_consumer",
    "read_dead_letters",
    "read_letters",
    "read_topics",
]

_POLL_MS = 500
_EMPTY_POLLS_MAX = 20
_SEEN_MAX = 100_000


def dead_letter_topics(settings: Settings, bootstrap: str) -> list[str]:
    """Return the names of all topics that end in `.dlq`, and of others that a connector here names as its own; sorted.

    Raises:
        MissingServiceError: Kafka does not answer.
    """
    named = dead_letter_names(settings)
    with admin(settings, bootstrap) as client:
        return sorted(name for name in client.list_topics() if name.endswith(DLQ_SUFFIX) or name in named)


def read_letters(
    settings: Settings,
    bootstrap: str,
    topics: Iterable[str],
    *,
    newest: int | None = None,
    older: Callable[[str, int], None] | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Iterator[DeadLetter]:
    """Give the dead letters that are in these topics now, one topic after the other, each partition oldest first.

    Args:
        settings: Login and time limits.
        bootstrap: `host:port,...` of the cluster.
        topics: Dead-letter topics; one that does not exist holds nothing.
        newest: Only those among the newest so many offsets of each partition; None for all.
        older: Told of each topic how many offsets `newest` leaves out.
        progress: Told how far it is and how far it has to go, in offsets.

    Raises:
        MissingServiceError: Kafka does not answer.
        StreamError: It stops answering before the end.
    """
    return map(letter_of, read_topics(settings, bootstrap, topics, newest=newest, older=older, progress=progress))


def read_topics(
    settings: Settings,
    bootstrap: str,
    topics: Iterable[str],
    *,
    newest: int | None = None,
    older: Callable[[str, int], None] | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Iterator[Any]:
    """Give the committed records that are in these topics now, as kafka-python consumes them; see `read_letters`."""
    topics = list(topics)
    if not topics:
        return
    with admin(settings, bootstrap) as client:
        found = {topic["name"]: topic["partitions"] for topic in client.describe_topics(topics)}
    with letter_consumer(settings, bootstrap) as consumer:
        parts = {name: _parts(name, found.get(name, ())) for name in topics}
        everything = [part for of_topic in parts.values() for part in of_topic]
        if not everything:
            return
        begins, ends = consumer.beginning_offsets(everything), consumer.end_offsets(everything)
        if newest is not None:
            first, begins = begins, {part: max(begins[part], ends[part] - newest) for part in everything}
            if older is not None:
                for name, of_topic in parts.items():
                    older(name, sum(begins[part] - first[part] for part in of_topic))
        total = sum(ends[part] - begins[part] for part in everything)
        done = 0
        for name, of_topic in parts.items():
            consumer.assign(of_topic)
            for part in of_topic:
                consumer.seek(part, begins[part])
            yield from _until(consumer, name, of_topic, ends, _teller(progress, begins, done, total))
            done += sum(ends[part] - begins[part] for part in of_topic)


def _teller(
    progress: Callable[[int, int | None], None] | None, begins: dict[Any, int], done: int, total: int
) -> Callable[[dict[Any, int]], None]:
    def tell(positions: dict[Any, int]) -> None:
        if progress is not None:
            progress(done + sum(position - begins[part] for part, position in positions.items()), total)

    return tell


def _until(
    consumer: Any, name: str, parts: list[Any], ends: dict[Any, int], tell: Callable[[dict[Any, int]], None]
) -> Iterator[Any]:
    empty = 0
    while any(consumer.position(part) < ends[part] for part in parts):
        batch = consumer.poll(timeout_ms=_POLL_MS)
        empty = 0 if batch else empty + 1
        if empty > _EMPTY_POLLS_MAX:
            raise StreamError(f"Topic {name!r} stopped giving records before its end; ask again.", topic=name)
        for part, records in batch.items():
            yield from (record for record in records if record.offset < ends[part])
        tell({part: min(consumer.position(part), ends[part]) for part in parts})


def fetch_dead_letters(settings: Settings, bootstrap: str, places: Iterable[Place]) -> Iterator[DeadLetter]:
    """Give single dead letters by their places, in that order.

    Raises:
        MissingServiceError: Kafka does not answer.
        StreamError: There is none at a place, or no longer.
    """
    with letter_consumer(settings, bootstrap) as consumer:
        fetcher = Fetcher(consumer)
        for place in places:
            record = fetcher.record(place)
            if record is None:
                raise StreamError(f"There is no dead letter {str(place)!r}, or no longer.", topic=place.topic)
            yield letter_of(record)


class Fetcher:
    """Fetches single records; neighbours one after the other cost no round trip each.

    Args:
        consumer: One without a group.
    """

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._bounds: dict[Any, tuple[int, int]] = {}

    def record(self, place: Place) -> Any | None:
        """Return the record at a place, or None when there is none or retention has taken it."""
        part = self._part(place)
        if part is None:
            return None
        consumer = self._consumer
        if consumer.assignment() != {part}:
            consumer.assign([part])
            consumer.seek(part, place.offset)
        elif consumer.position(part) != place.offset:
            consumer.seek(part, place.offset)
        for _ in range(_EMPTY_POLLS_MAX):
            records = consumer.poll(timeout_ms=_POLL_MS, max_records=1).get(part)
            if records:
                return records[0] if records[0].offset == place.offset else None
            if consumer.position(part) > place.offset:
                return None
        return None

    def _part(self, place: Place) -> Any | None:
        """Return the partition of a place, or None when the place is outside of what it holds."""
        from kafka import TopicPartition

        part = TopicPartition(place.topic, place.partition)
        if part not in self._bounds:
            if place.partition not in (self._consumer.partitions_for_topic(place.topic) or ()):
                return None
            begin, end = self._consumer.beginning_offsets([part]), self._consumer.end_offsets([part])
            self._bounds[part] = begin[part], end[part]
        begin_offset, end_offset = self._bounds[part]
        return part if begin_offset <= place.offset < end_offset else None


@contextmanager
def letter_consumer(settings: Settings, bootstrap: str) -> Iterator[Any]:
    """Give a consumer without a group."""
    from kafka import KafkaConsumer
    from kafka.errors import KafkaError

    consumer = connect(
        KafkaConsumer,
        settings,
        bootstrap,
        enable_auto_commit=False,
        isolation_level="read_committed",
        allow_auto_create_topics=False,
        # Letters are as large as records may be; a whole poll of them has to fit into memory.
        fetch_max_bytes=16 << 20,
    )
    try:
        yield consumer
    except KafkaError as error:
        raise StreamError(f"Cannot read dead letters at {bootstrap}: {error}.") from error
    finally:
        consumer.close(autocommit=False)


def _parts(name: str, described: Collection[Any]) -> list[Any]:
    from kafka import TopicPartition

    return [TopicPartition(name, part["partition_index"]) for part in described]


class Repeats:
    """Tells letters that are of one record: a sink that dies before it commits writes its last letters again.

    Such repetitions come close to each other, so only the newest origins are remembered. Two sinks of one topic, with
    dead letters in topics of their own, each have their letter of it.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, Place, int], Place] = OrderedDict()

    def first(self, letter: DeadLetter) -> Place | None:
        """Return where the first letter of the same record lies; None when this is it."""
        if letter.origin is None:
            return None
        # A topic that was made anew counts its offsets from 0 again.
        key = (letter.place.topic, letter.origin, crc32(letter.value or b""))
        first = self._seen.setdefault(key, letter.place)
        self._seen.move_to_end(key)
        if len(self._seen) > _SEEN_MAX:
            self._seen.popitem(last=False)
        return first if first != letter.place else None


def read_dead_letters(
    settings: Settings, bootstrap: str, topic: str, *, letters_max: int = 100_000
) -> Iterator[DeadLetter]:
    """Give a topic's dead letters that nobody has replayed, oldest first; none when nothing was ever rejected.

    Args:
        settings: Login and time limits.
        bootstrap: `host:port,...` of the cluster.
        topic: The topic the records were for, without `.dlq`.
        letters_max: Most letters to give.

    Raises:
        MissingServiceError: Kafka does not answer.
        StreamError: It stops answering before the end.
    """
    from gridwatch.streaming.dead_letter_marks import read_marks

    name = dlq_topic(topic)
    repeats, count = Repeats(), 0
    replayed = read_marks(settings, bootstrap)
    for letter in read_letters(settings, bootstrap, [name]):
        if count >= letters_max:
            return
        if repeats.first(letter) is None and letter.place not in replayed:
            count += 1
            yield letter
