"""Connectors on a real worker: start one, send it records, wait until it has handled them, read its dead letters."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self, TypeVar

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from gridwatch.streaming.connect import ConnectWorker

CLASS = "org.gridwatch.connect.GridDBSinkConnector"
T = TypeVar("T")

_PATIENCE_S = 180.0


class Letter(NamedTuple):
    """A record that Connect sent to the dead letters."""

    topic: str
    partition: int
    offset: int
    reason: str
    value: bytes | None


def wait_for(ask: Callable[[], T], what: str, *, until: Callable[[T], bool] = bool) -> T:
    """Return the first answer that `until` is true of."""
    deadline = time.monotonic() + _PATIENCE_S
    while not until(answer := ask()):
        assert time.monotonic() < deadline, f"{what}: still {answer!r} after {_PATIENCE_S} s"
        time.sleep(0.05)
    return answer


def envelope(fields: Sequence[dict[str, Any]], payload: dict[str, Any] | None) -> bytes:
    """Return a record's value with its schema."""
    schema = {"type": "struct", "optional": False, "fields": list(fields)}
    return json.dumps({"schema": schema, "payload": payload}).encode()


def field(name: str, kind: str, logical: str | None = None, /, *, optional: bool = True, **rest: Any) -> dict[str, Any]:
    """Return one field of a schema."""
    found: dict[str, Any] = {"field": name, "type": kind, "optional": optional} | rest
    return found | ({"name": f"org.apache.kafka.connect.data.{logical}", "version": 1} if logical else {})


class Sinks:
    """Connectors of one test.

    Args:
        worker: Runs them.
        bootstrap: Address of the broker.
        url: Where they write, unless told otherwise.
    """

    def __init__(self, worker: ConnectWorker, bootstrap: str, url: str) -> None:
        self.api = worker.api()
        self.worker = worker
        self._url = url
        self._admin = KafkaAdminClient(bootstrap_servers=bootstrap)
        self._producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
        self._bootstrap = bootstrap
        self._names: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for name in self._names:
            self.api.delete(name)
        self._producer.close()
        self._admin.close()

    def topic(self, prefix: str = "T", *, partitions: int = 1) -> str:
        """Make a topic of a new name."""
        name = f"{prefix}_{uuid.uuid4().hex[:8]}"
        self._admin.create_topics({name: {"num_partitions": partitions, "replication_factor": 1}})
        return name

    def make_topic(self, name: str, **configs: object) -> None:
        """Make a topic of this name; a double underscore in an option's name stands for its dots."""
        own = {option.replace("__", "."): str(value) for option, value in configs.items()}
        self._admin.create_topics({name: {"num_partitions": 1, "replication_factor": 1, "configs": own}})

    def config(self, *topics: str, **options: object) -> dict[str, str]:
        """Return a configuration; a double underscore in an option's name stands for its dots."""
        own = {
            "connector.class": CLASS,
            "tasks.max": 1,
            "topics": ",".join(topics),
            "connection.url": self._url,
            "errors.tolerance": "all",
            "errors.deadletterqueue.topic.name": f"{topics[0]}.dlq",
            "errors.deadletterqueue.topic.replication.factor": 1,
            "errors.deadletterqueue.context.headers.enable": "true",
            "consumer.override.auto.offset.reset": "earliest",
        }
        own |= {name.replace("__", "."): value for name, value in options.items()}
        return {
            name: str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in own.items()
            if value is not None
        }

    def run(self, *topics: str, **options: object) -> str:
        """Run a connector for topics and return its name."""
        name = f"sink-{topics[0]}-{len(self._names)}"
        self._names.append(name)
        self.api.put_config(name, self.config(*topics, **options))
        return name

    def send(
        self, topic: str, values: Sequence[Any], *, keys: Sequence[bytes | None] = (), partition: int | None = None
    ) -> None:
        """Send values: bytes as they are, None as a tombstone, all else as JSON."""
        for place, value in enumerate(values):
            data = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
            key = keys[place] if keys else None
            self._producer.send(topic, data, key=b"" if key is None and data is None else key, partition=partition)
        self._producer.flush()

    def ends(self, topic: str) -> dict[int, int]:
        """Return the next offset of each partition."""
        consumer = KafkaConsumer(bootstrap_servers=self._bootstrap)
        try:
            parts = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
            return {part.partition: end for part, end in consumer.end_offsets(parts).items()}
        finally:
            consumer.close()

    def committed(self, name: str, topic: str) -> dict[int, int]:
        """Return what a connector has committed of a topic."""
        try:
            found = self._admin.list_group_offsets(f"connect-{name}")[f"connect-{name}"]
        except KafkaError as error:
            if not error.retriable:
                raise
            # The broker is making the topic that it keeps offsets in.
            return {}
        return {part.partition: place.offset for part, place in found.items() if part.topic == topic}

    def settle(self, name: str, topic: str) -> None:
        """Wait until a connector has committed all that is in a topic now."""
        ends = {part: end for part, end in self.ends(topic).items() if end}
        wait_for(lambda: self._state(name, topic), f"{name} at {ends}", until=lambda found: found == ends)

    def _state(self, name: str, topic: str) -> Any:
        if (status := self.api.status(name)) is not None and status.failed:
            return status.failed[0].trace
        return {part: end for part, end in self.committed(name, topic).items() if end}

    def failure(self, name: str) -> str:
        """Wait until a connector's task has failed and return why."""
        wait_for(lambda: (found := self.api.status(name)) and found.failed, f"{name} to fail")
        status = self.api.status(name)
        assert status is not None
        return status.failed[0].trace

    def letters(self, topic: str) -> list[Letter]:
        """Return the dead letters of a topic that are there now."""
        consumer = KafkaConsumer(bootstrap_servers=self._bootstrap)
        try:
            parts = [TopicPartition(f"{topic}.dlq", 0)]
            consumer.assign(parts)
            end = consumer.end_offsets(parts)[parts[0]]
            consumer.seek_to_beginning(*parts)
            found: list[Letter] = []
            while len(found) < end:
                for records in consumer.poll(timeout_ms=500).values():
                    found += [_letter(record) for record in records]
            return found
        finally:
            consumer.close()


def _letter(record: Any) -> Letter:
    headers: Mapping[str, str] = {name: (value or b"").decode() for name, value in record.headers}
    prefix = "__connect.errors."
    return Letter(
        headers[f"{prefix}topic"],
        int(headers[f"{prefix}partition"]),
        int(headers[f"{prefix}offset"]),
        headers[f"{prefix}exception.message"],
        record.value,
    )
