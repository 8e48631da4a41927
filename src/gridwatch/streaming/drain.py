"""Wait until all that is in the topics now has reached the containers, consuming it here if nobody else does."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import structlog

from gridwatch.errors import StreamError
from gridwatch.streaming.clients import admin
from gridwatch.streaming.producer import dlq_topic
from gridwatch.streaming.sink import Sink, SinkReport
from gridwatch.streaming.times import TimeFormat

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.settings import Settings

__all__ = ["drain"]

log = structlog.get_logger(__name__)

Offsets = dict[tuple[str, int], int]

_PATIENCE_S = 5.0
_LOOK_S = 0.2


def drain(
    settings: Settings,
    bootstrap: str,
    store: Store,
    topics: Collection[str],
    *,
    timeout_s: float,
    times: TimeFormat | None = None,
) -> SinkReport:
    """Return when the group's committed offsets have reached the ends that the topics have now.

    Other members of the group are left to do the work as long as they get on with it; with none, or when they stand
    still for some seconds, this call joins the group and does its share.

    Args:
        settings: Login, group and time limits.
        bootstrap: `host:port,...` of the cluster.
        store: Where the containers are.
        topics: Names of topics that exist.
        timeout_s: Longest wait.
        times: How times that come as text are written.

    Returns:
        Records that became rows or dead letters since the call, by whichever member.

    Raises:
        MissingServiceError: Kafka does not answer.
        StreamError: A topic does not exist, or the time is over; tells how far each partition got.
    """
    watch = _Watch(settings, bootstrap, topics)
    with admin(settings, bootstrap) as client:
        watch.begin(client)
        deadline = time.monotonic() + timeout_s
        sink = Sink(settings, bootstrap, store, topics, times=times)
        progressed = time.monotonic()
        while not watch.reached():
            if watch.members(client) and time.monotonic() - progressed < _PATIENCE_S:
                time.sleep(_LOOK_S)
            else:
                sink.run_until(lambda: watch.look(client, sink.committed) or time.monotonic() >= deadline)
            before = dict(watch.committed)
            if watch.look(client, sink.committed, now=True):
                break
            if watch.committed != before:
                progressed = time.monotonic()
            if time.monotonic() >= deadline:
                raise StreamError(f"The sink did not catch up in {timeout_s:g} s: {watch.behind()}.", topics=[*topics])
        return watch.report(client, sink)


class _Watch:
    """Where the group is, and where it has to get to."""

    def __init__(self, settings: Settings, bootstrap: str, topics: Collection[str]) -> None:
        self._group = settings.kafka.group_id
        self._bootstrap = bootstrap
        self._topics = list(topics)
        self._looked = 0.0
        self._begin: Offsets = {}
        self._dlq_begin = 0
        self.ends: Offsets = {}
        self.committed: Offsets = {}

    def begin(self, client: Any) -> None:
        """Note the ends of the topics and the committed offsets now."""
        from kafka import TopicPartition
        from kafka.admin import OffsetSpec

        self._parts = []
        for topic in client.describe_topics(self._topics):
            if topic["error_code"]:
                raise StreamError(
                    f"There is no topic {topic['name']!r} at {self._bootstrap}; make it beforehand (ensure_topics).",
                    topic=topic["name"],
                )
            self._parts += [TopicPartition(topic["name"], part["partition_index"]) for part in topic["partitions"]]
        self.ends = _offsets(client, dict.fromkeys(self._parts, OffsetSpec.LATEST))
        first = _offsets(client, dict.fromkeys(self._parts, OffsetSpec.EARLIEST))
        # Retention may have taken records that were never committed.
        self._begin = {part: max(first[part], offset) for part, offset in (first | self._fetch(client)).items()}
        self.committed = dict(self._begin)
        self._dlq_begin = self._dlq_end(client)

    def reached(self) -> bool:
        return all(self.committed[part] >= end for part, end in self.ends.items())

    def look(self, client: Any, local: Offsets, *, now: bool = False) -> bool:
        """Tell whether the ends are reached, asking the cluster only when it was not asked for a while."""
        for part in self.ends:
            self.committed[part] = max(self.committed[part], local.get(part, 0))
        if not self.reached() and (now or time.monotonic() - self._looked >= _LOOK_S):
            self._looked = time.monotonic()
            for part, offset in self._fetch(client).items():
                self.committed[part] = max(self.committed[part], offset)
        return self.reached()

    def members(self, client: Any) -> int:
        """Return how many members the group has."""
        try:
            return len(client.describe_groups([self._group])[self._group]["members"])
        except _no_coordinator_yet():
            return 0

    def behind(self) -> str:
        """Return the partitions that are not there yet, as text."""
        return ", ".join(
            f"topic {topic!r} partition {number} is at {self.committed[topic, number]} of {end}"
            for (topic, number), end in sorted(self.ends.items())
            if self.committed[topic, number] < end
        )

    def report(self, client: Any, sink: Sink) -> SinkReport:
        """Return what became of the records since `begin`, whoever read them."""
        handled = sum(self.committed[part] - self._begin[part] for part in self.ends)
        others = max(0, handled - sink.rows - sink.dead_letters)
        dead_by_others = min(others, max(0, self._dlq_end(client) - self._dlq_begin - sink.dead_letters))
        return SinkReport(sink.rows + others - dead_by_others, sink.dead_letters + dead_by_others)

    def _fetch(self, client: Any) -> Offsets:
        try:
            found = client.list_group_offsets({self._group: self._parts})[self._group]
        except _no_coordinator_yet():
            return {}
        return {(part.topic, part.partition): info.offset for part, info in found.items() if info.offset >= 0}

    def _dlq_end(self, client: Any) -> int:
        from kafka import TopicPartition
        from kafka.admin import OffsetSpec

        parts = [
            TopicPartition(topic["name"], part["partition_index"])
            for topic in client.describe_topics([dlq_topic(name) for name in self._topics])
            for part in topic["partitions"]
        ]
        return sum(_offsets(client, dict.fromkeys(parts, OffsetSpec.LATEST)).values()) if parts else 0


def _no_coordinator_yet() -> tuple[type[Exception], ...]:
    """Return the errors of a group that is new, or whose coordinator is only starting or just moved."""
    from kafka import errors

    return (
        errors.CoordinatorLoadInProgressError,
        errors.CoordinatorNotAvailableError,
        errors.GroupIdNotFoundError,
        errors.NotCoordinatorError,
    )


def _offsets(client: Any, specs: dict[Any, Any]) -> Offsets:
    found = client.list_partition_offsets(specs)
    return {(part.topic, part.partition): info.offset for part, info in found.items()}
