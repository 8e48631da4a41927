"""Kafka Connect as one service: its workers kept alive, its connectors applied and watched."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from gridwatch.errors import ConfigError, JavaError, MissingServiceError, StreamError
from gridwatch.streaming.connect_apply import Connector, completed, find_connect, read_connectors
from gridwatch.streaming.connect_watch import ConnectWatch

if TYPE_CHECKING:
    from gridwatch.settings import Settings
    from gridwatch.streaming.connect import ConnectWorker

__all__ = ["ConnectService", "wanted_connectors"]

log = structlog.get_logger(__name__)

_LOOK_S = 1.0
_PAUSE_FIRST_S = 1.0
_PAUSE_MAX_S = 30.0
_RESTARTS_MAX = 10
_STEADY_S = 60.0
_SILENT_MAX_S = 180.0
"""Connect's own requests may take 90 s while a connector starts."""


def wanted_connectors(settings: Settings, *, topics: str | None) -> list[Connector]:
    """Return the connectors of the settings' folder, with what their files leave to gridwatch filled in.

    Args:
        settings: Folder, replication.
        topics: Regular expression of the datasets' topics.

    Raises:
        ConfigError: The folder is missing, or a file in it is wrong.
    """
    folder = settings.connect.connectors_dir
    if not folder.is_dir():
        raise ConfigError(
            f"There is no folder {str(folder)!r} of connector files; `gridwatch init` lays one out, or set "
            "GRIDWATCH_CONNECT__CONNECTORS_DIR."
        )
    replication = settings.kafka.replication_factor
    return [completed(one, topics=topics, replication=replication) for one in read_connectors([folder])]


class ConnectService:
    """Runs until told to stop. One instance serves one thread.

    Args:
        settings: Home, bounds.
        workers: gridwatch's own; none where the settings name a cluster of one's own.
        wanted: Gives the connectors to apply at the start.
    """

    def __init__(
        self,
        settings: Settings,
        workers: Sequence[ConnectWorker],
        wanted: Callable[[], Sequence[Connector]] = tuple,
    ) -> None:
        self._settings = settings
        self._workers = [_Slot(worker) for worker in workers]
        self._wanted = wanted

    def run(self, stop: threading.Event, *, ready: Callable[[str], None] | None = None) -> None:
        """Start the workers, apply the connectors, and look after both until `stop` is set; then stop the workers.

        Args:
            stop: Set it to end.
            ready: Told the address of the REST API once the connectors are applied.

        Raises:
            ConfigError: A connector is wrong.
            JavaError: A worker does not start, or keeps dying.
            StreamError: The home folder cannot be written.
        """
        try:
            for slot in self._workers:
                slot.worker.start()
            self._watch(stop, ready)
        finally:
            for slot in reversed(self._workers):
                slot.worker.stop()

    def _watch(self, stop: threading.Event, ready: Callable[[str], None] | None) -> None:
        folder = self._settings.home / "connect"
        limit = self._settings.connect.task_restarts
        watch = ConnectWatch(find_connect(self._settings), folder, restarts_max=limit, wanted=self._wanted)
        told: str | None = None
        while not stop.is_set():
            for slot in self._workers:
                if self._keep_alive(slot):
                    watch.connect = find_connect(self._settings)
            try:
                watch.step()
            except (MissingServiceError, StreamError) as error:
                # Said once, not each second; who is away for good is seen by the health of the workers.
                if told != str(error):
                    log.warning("connect_away", reason=str(error))
                told = str(error)
            else:
                told = None
                if ready is not None:
                    ready(watch.connect.api.url)
                    ready = None
            stop.wait(_LOOK_S)

    def _keep_alive(self, slot: _Slot) -> bool:
        """Start a worker again that has died, with pauses that grow, and tell whether that was done."""
        now_s = time.monotonic()
        if slot.worker.pid is not None:
            if slot.worker.healthy():
                slot.answered_s = now_s
                if slot.began_s is not None and now_s - slot.began_s >= _STEADY_S:
                    slot.failures, slot.began_s = 0, None
            elif slot.answered_s is not None and now_s - slot.answered_s >= _SILENT_MAX_S:
                log.warning("connect_worker_silent", pid=slot.worker.pid, seconds=round(now_s - slot.answered_s))
                slot.worker.stop()
            return False
        if slot.resume_s is None:
            slot.failures += 1
            if slot.failures > _RESTARTS_MAX:
                raise JavaError(f"The Kafka Connect worker keeps dying; its log is {slot.worker.log_file}.")
            slot.resume_s = now_s + min(_PAUSE_FIRST_S * 2.0 ** (slot.failures - 1), _PAUSE_MAX_S)
            log.warning("connect_worker_died", failures=slot.failures, log=str(slot.worker.log_file))
        if now_s < slot.resume_s:
            return False
        slot.resume_s = None
        try:
            slot.worker.start()
        except JavaError as error:
            log.warning("connect_worker_did_not_start", reason=str(error))
            return False
        slot.began_s = slot.answered_s = time.monotonic()
        return True


@dataclass(slots=True)
class _Slot:
    """A worker with what is known of it; times are of the monotonic clock."""

    worker: ConnectWorker
    failures: int = 0
    resume_s: float | None = None
    began_s: float | None = None
    answered_s: float | None = None
