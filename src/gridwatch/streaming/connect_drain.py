"""Wait until Kafka Connect has brought all that was sent to a topic into its container, and count what it refused."""

from __future__ import annotations

import re
import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import structlog

from gridwatch.errors import MissingServiceError, StreamError
from gridwatch.streaming.clients import admin, connect
from gridwatch.streaming.connect_apply import find_connect
from gridwatch.streaming.connect_running import read_running
from gridwatch.streaming.connect_watch import read_watch
from gridwatch.streaming.group import GroupWatch, Offsets, end_offsets
from gridwatch.streaming.sink import SinkReport

if TYPE_CHECKING:
    from gridwatch.settings import Settings

__all__ = ["ConnectDrain"]

log = structlog.get_logger(__name__)

_LOOK_S = 0.2
_STATUS_S = 2.0
_PATIENCE_S = 60.0
_POLL_MS = 500
_EMPTY_POLLS_MAX = 20
_FROM_TOPIC = "__connect.errors.topic"
_OF_OURS = "gridwatch."
_APPEARS_S = 60.0
_HALTED = {"PAUSED", "STOPPED"}
"""Connect's words for what somebody has halted, which goes on only when somebody resumes it."""


class ConnectDrain:
    """Settles what is sent to some topics from now on. One instance serves one thread.

    Args:
        settings: Login, the connector's name and where Connect is.
        bootstrap: `host:port,...` of the cluster.
        topics: Names of topics that exist.

    Raises:
        MissingServiceError: Kafka or Connect does not answer.
        StreamError: There is no such connector, or it does not read one of the topics.
    """

    def __init__(self, settings: Settings, bootstrap: str, topics: Collection[str]) -> None:
        self._settings = settings
        self._bootstrap = bootstrap
        self._topics = list(topics)
        self._name = settings.connect.connector
        self._api = find_connect(settings).api
        config = self._config()
        for topic in self._topics:
            self._check_reads(config, topic)
        self._group = config.get("consumer.override.group.id", f"connect-{self._name}")
        self._letters = config.get("errors.deadletterqueue.topic.name", "")
        with admin(settings, bootstrap) as client:
            self._counted = self._letter_ends(client)

    def settle(self, *, timeout_s: float) -> SinkReport:
        """Return when the connector has committed all that the topics hold now.

        Args:
            timeout_s: Longest wait.

        Returns:
            Records passed since this call began, and those refused since the last call, or since this object was made.

        Raises:
            MissingServiceError: Kafka or Connect does not answer.
            StreamError: A task has failed and stays so, or the time is over; tells why, and how far it got.
        """
        watch = GroupWatch(self._bootstrap, self._group, self._topics)
        with admin(self._settings, self._bootstrap) as client:
            watch.begin(client)
            deadline = time.monotonic() + timeout_s
            progressed = looked = time.monotonic()
            while not watch.reached():
                time.sleep(_LOOK_S)
                before = dict(watch.committed)
                if watch.look(client, {}):
                    break
                now_s = time.monotonic()
                if watch.committed != before:
                    progressed = now_s
                elif now_s - looked >= _STATUS_S:
                    looked = now_s
                    self._check_tasks(stuck=now_s - progressed >= _PATIENCE_S, behind=watch.behind())
                if now_s >= deadline:
                    raise StreamError(
                        f"Connector {self._name!r} did not catch up in {timeout_s:g} s: {watch.behind()}.",
                        topics=self._topics,
                    )
            ends = self._letter_ends(client)
        refused = self._refused(ends)
        self._counted = ends
        report = SinkReport(max(0, watch.handled - refused), refused)
        log.info("connect_settled", connector=self._name, rows=report.rows, dead_letters=refused, topics=self._topics)
        return report

    def _config(self) -> dict[str, str]:
        # A worker that has just started gets its connectors in a moment.
        deadline = time.monotonic() + _APPEARS_S
        while (config := self._config_now(patient=time.monotonic() < deadline)) is None:
            if time.monotonic() >= deadline:
                raise StreamError(
                    f"Kafka Connect at {self._api.url} has no connector {self._name!r}; `gridwatch connect apply "
                    f"{self._settings.connect.connectors_dir}` makes it, GRIDWATCH_CONNECT__CONNECTOR names another.",
                    connector=self._name,
                )
            time.sleep(_LOOK_S)
        return config

    def _config_now(self, *, patient: bool) -> dict[str, str] | None:
        try:
            return self._api.config(self._name)
        except MissingServiceError:
            running = read_running(self._settings.home)
            # A worker of ours that has just died comes back in seconds.
            if patient and running is not None and running.alive:
                return None
            raise

    def _check_reads(self, config: dict[str, str], topic: str) -> None:
        """Refuse a connector that will never read a topic, rather than wait for it."""
        listed, pattern = config.get("topics", ""), config.get("topics.regex", "")
        try:
            reads = topic in [name.strip() for name in listed.split(",")] or bool(
                pattern and re.fullmatch(pattern, topic)
            )
        except re.error:
            return  # Java knows patterns that Python does not; then only time will tell.
        if not reads:
            raise StreamError(
                f"Connector {self._name!r} does not read topic {topic!r}, but {listed or pattern!r}; change that, "
                "or leave them out of its file to read those of all datasets, and apply it again.",
                topic=topic,
            )

    def _check_tasks(self, *, stuck: bool, behind: str) -> None:
        """Raise when a failed task is not going to come back, or has not for too long."""
        try:
            status = self._api.status(self._name)
        except (MissingServiceError, StreamError):
            # It may be coming back, or its tasks are just being handed out anew.
            if stuck:
                raise
            return
        if status is None:
            raise StreamError(f"Connector {self._name!r} was deleted while rows were on their way: {behind}.")
        if status.connector.state in _HALTED:
            resume = f"{self._api.url}/connectors/{self._name}/resume"
            raise StreamError(
                f"Connector {self._name!r} is {status.connector.state.lower()}: {behind}. Resume it (PUT {resume}); "
                "what was sent waits in Kafka.",
                connector=self._name,
            )
        given_up = {one.task for one in self._watched() if one.connector == self._name and one.given_up}
        for task in status.failed:
            if stuck or task.number in given_up:
                what = (
                    f"task {task.number} of connector {self._name!r}"
                    if task.number >= 0
                    else f"Connector {self._name!r}"
                )
                raise StreamError(
                    f"Kafka Connect: {what} has failed: {task.reason} ({behind}). Mend it, then `gridwatch connect "
                    "restart`; what was sent waits in Kafka.",
                    connector=self._name,
                    task=task.number,
                )

    def _watched(self) -> list[Any]:
        return list(read_watch(self._settings.home / "connect"))

    def _letter_ends(self, client: Any) -> Offsets:
        return end_offsets(client, [self._letters]) if self._letters else {}

    def _refused(self, ends: Offsets) -> int:
        """Count the dead letters between what was counted and `ends` that come from our topics."""
        from kafka import KafkaConsumer, TopicPartition
        from kafka.errors import KafkaError

        new = {TopicPartition(*key): (self._counted.get(key, 0), end) for key, end in ends.items()}
        new = {part: span for part, span in new.items() if span[0] < span[1]}
        if not new:
            return 0
        count = empty = 0
        consumer = connect(KafkaConsumer, self._settings, self._bootstrap, enable_auto_commit=False)
        try:
            consumer.assign(list(new))
            for part, (first, _) in new.items():
                consumer.seek(part, first)
            while any(consumer.position(part) < end for part, (_, end) in new.items()):
                batch = consumer.poll(timeout_ms=_POLL_MS)
                empty = 0 if batch else empty + 1
                if empty > _EMPTY_POLLS_MAX:
                    raise StreamError(f"Topic {self._letters!r} stopped giving records before its end.")
                count += sum(
                    self._is_ours(record)
                    for part, records in batch.items()
                    for record in records
                    if record.offset < new[part][1]
                )
        except KafkaError as error:
            raise StreamError(f"Cannot read topic {self._letters!r} at {self._bootstrap}: {error}.") from error
        finally:
            consumer.close(autocommit=False)
        return count

    def _is_ours(self, record: Any) -> bool:
        headers = dict(record.headers or ())
        topic = headers.get(_FROM_TOPIC)
        if topic is None:
            # Without these headers nobody knows where it came from, so it counts; but what the source or the Python
            # sink wrote, if to the same topic, is no connector's.
            return not any(name.startswith(_OF_OURS) for name in headers)
        return topic.decode(errors="replace") in self._topics
