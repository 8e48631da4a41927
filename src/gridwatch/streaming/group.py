"""How far a consumer group is: its committed offsets against the ends of topics."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

from gridwatch.errors import StreamError

__all__ = ["GroupWatch", "Offsets", "end_offsets"]

Offsets = dict[tuple[str, int], int]
"""Next offset by topic and partition."""

_LOOK_S = 0.2


class GroupWatch:
    """Where a consumer group is in some topics, and where it has to get to.

    Args:
        bootstrap: `host:port,...` of the cluster, for messages.
        group: The consumer group.
        topics: Names of topics that exist.
    """

    def __init__(self, bootstrap: str, group: str, topics: Collection[str]) -> None:
        self._group = group
        self._bootstrap = bootstrap
        self._topics = list(topics)
        self._looked = 0.0
        self._begin: Offsets = {}
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

    def reached(self) -> bool:
        """Tell whether the group has passed all that was there at `begin`, as far as was seen."""
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

    @property
    def handled(self) -> int:
        """Records that the group has passed since `begin`."""
        return sum(self.committed[part] - self._begin[part] for part in self.ends)

    def _fetch(self, client: Any) -> Offsets:
        try:
            found = client.list_group_offsets({self._group: self._parts})[self._group]
        except _no_coordinator_yet():
            return {}
        return {(part.topic, part.partition): info.offset for part, info in found.items() if info.offset >= 0}


def _no_coordinator_yet() -> tuple[type[Exception], ...]:
    """Return the errors of a group that is new, or whose coordinator is only starting or just moved."""
    from kafka import errors

    return (
        errors.CoordinatorLoadInProgressError,
        errors.CoordinatorNotAvailableError,
        errors.GroupIdNotFoundError,
        errors.NotCoordinatorError,
    )


def end_offsets(client: Any, topics: Collection[str]) -> Offsets:
    """Return the ends that these topics have now, by topic and partition; a topic that does not exist has none."""
    from kafka import TopicPartition
    from kafka.admin import OffsetSpec

    parts = [
        TopicPartition(topic["name"], part["partition_index"])
        for topic in client.describe_topics(list(topics))
        for part in topic["partitions"]
    ]
    return _offsets(client, dict.fromkeys(parts, OffsetSpec.LATEST)) if parts else {}


def _offsets(client: Any, specs: dict[Any, Any]) -> Offsets:
    found = client.list_partition_offsets(specs)
    return {(part.topic, part.partition): info.offset for part, info in found.items()}
