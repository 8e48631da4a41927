"""Wait until all that is in the topics now has reached the containers, consuming it here if nobody else does."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import structlog

from gridwatch.errors import StreamError
from gridwatch.streaming.clients import admin
from gridwatch.streaming.group import GroupWatch, end_offsets
from gridwatch.streaming.producer import dlq_topic
from gridwatch.streaming.sink import Sink, SinkReport
from gridwatch.streaming.times import TimeFormat

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.settings import Settings

__all__ = ["drain"]

log = structlog.get_logger(__name__)

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
    watch = GroupWatch(bootstrap, settings.kafka.group_id, topics)
    with admin(settings, bootstrap) as client:
        watch.begin(client)
        letters = _letters(client, topics)
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
        others = max(0, watch.handled - sink.rows - sink.dead_letters)
        dead_by_others = min(others, max(0, _letters(client, topics) - letters - sink.dead_letters))
        return SinkReport(sink.rows + others - dead_by_others, sink.dead_letters + dead_by_others)


def _letters(client: Any, topics: Collection[str]) -> int:
    return sum(end_offsets(client, [dlq_topic(name) for name in topics]).values())
