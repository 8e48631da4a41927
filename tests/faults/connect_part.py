"""A Kafka Connect worker with gridwatch's connector, as a part that can be killed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil
from typing_extensions import override

from gridwatch.errors import JavaError, MissingServiceError, StreamError
from gridwatch.settings import ConnectSettings, Settings
from gridwatch.streaming.broker_files import free_ports
from gridwatch.streaming.connect import ConnectWorker
from gridwatch.streaming.connect_apply import Connector, find_connect
from gridwatch.streaming.connect_watch import ConnectWatch, read_watch
from tests.faults.parts import PATIENCE_S, Part

__all__ = ["ConnectPart"]

_RESTARTS_MAX = 1000


class ConnectPart(Part):
    """A worker and its connector, looked after as `gridwatch connect up` does: failed tasks are started again.

    Args:
        folder: For its home and logs.
        bootstrap: Address of the broker.
        name: Of the connector.
        url: URL of the store.
        topics: What it reads.
        number: Of the worker, where several share the work.
        distributed: Whether several share it.
    """

    def __init__(
        self,
        folder: Path,
        bootstrap: str,
        name: str,
        url: str,
        topics: Sequence[str],
        *,
        number: int = 1,
        distributed: bool = False,
    ) -> None:
        super().__init__(f"Connect worker {number}" if distributed else "Connect worker")
        mode = "distributed" if distributed else "standalone"
        connect = ConnectSettings(
            mode=mode, rest_port=free_ports(1)[0] if number == 1 else 0, group_id=f"{name}-workers"
        )
        self.settings = Settings(_env_file=None, home=folder, store_url=url, connect=connect)
        self.worker = ConnectWorker(self.settings, bootstrap, number=number)
        self.group = f"connect-{name}"
        self.prefix = "CONNECT_"
        self.letter_topics = [f"{name}.dlq"]
        self._folder = folder
        self._connector = Connector(name, self._config(name, url, topics))
        self._watch: ConnectWatch | None = None
        self._look_again_s = 0.0

    def _config(self, name: str, url: str, topics: Sequence[str]) -> dict[str, str]:
        return {
            "connector.class": "org.gridwatch.connect.GridDBSinkConnector",
            "tasks.max": "2",
            "value.converter": "org.gridwatch.connect.json.StrictJsonConverter",
            "value.converter.unreadable": "sink",
            "topics": ",".join(topics),
            "connection.url": url,
            "connection.timeout.ms": "5000",
            "container.name.format": f"{self.prefix}${{topic}}",
            "retry.backoff.max.ms": "2000",
            "consumer.override.max.poll.records": "200",
            "errors.tolerance": "all",
            "errors.deadletterqueue.topic.name": self.letter_topics[0],
            "errors.deadletterqueue.topic.replication.factor": "1",
            "errors.deadletterqueue.context.headers.enable": "true",
        }

    @override
    def start_once(self) -> None:
        # It may be killed while it starts: then the next life is on.
        with suppress(JavaError):
            self.worker.start(timeout_s=PATIENCE_S)

    @override
    def process(self) -> psutil.Process | None:
        pid = self.worker.pid
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(pid) if pid is not None else None
        return None

    @override
    def ready(self) -> bool:
        return self.worker.healthy() and any(
            status.name == self._connector.name and status.tasks and not status.failed
            for status in self.worker.api().statuses()
        )

    @override
    def look_after(self) -> None:
        if time.monotonic() < self._look_again_s:
            return
        self._look_again_s = time.monotonic() + 1
        if self._watch is None:
            connect = find_connect(self.settings)
            folder = self.settings.home / "connect"
            self._watch = ConnectWatch(connect, folder, restarts_max=_RESTARTS_MAX, wanted=lambda: [self._connector])
        with suppress(MissingServiceError, StreamError):
            self._watch.step()

    def task_restarts(self) -> int:
        """Return how often a task has failed and was started again."""
        return sum(task.restarts for task in read_watch(self.settings.home / "connect"))
