"""A real Apache Kafka broker in KRaft mode, as a child of gridwatch, on loopback.

One folder is one broker: `kafka/` in the home folder holds its data, configuration and state file, through which other
processes find it. Who answers on the port with the folder's cluster id is the broker, whoever started it.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import structlog

from gridwatch.errors import GridwatchError, JavaError, StreamError
from gridwatch.folders import make_private
from gridwatch.java.jars import jars
from gridwatch.java.jre import find_java
from gridwatch.streaming.broker_files import (
    BrokerState,
    cluster_id,
    file_lock,
    free_ports,
    gets_free,
    last_lines,
    log4j2_xml,
    port_is_free,
    read_state,
    server_properties,
    write_state,
)
from gridwatch.streaming.child import JVM, await_healthy, end, kill, on_free_ports, process_of, spawn
from gridwatch.streaming.clients import admin
from gridwatch.streaming.producer import LETTER_BYTES_MORE

if TYPE_CHECKING:
    from gridwatch.settings import Settings

__all__ = ["Broker", "broker_for"]

log = structlog.get_logger(__name__)

_START_TIMEOUT_S = 240.0
_STOP_TIMEOUT_S = 20.0


class Broker:
    """gridwatch's own broker in the home folder of these settings.

    Args:
        settings: Home folder and heap size.
        environ: Environment of the child, also for finding Java and the jar cache; by default this process's own.
        progress: Told the jars that are there and how many there will be, when some must be downloaded first.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        environ: Mapping[str, str] | None = None,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> None:
        self._settings = settings
        self._environ = dict(os.environ if environ is None else environ)
        self._progress = progress
        self.folder = settings.home / "kafka"
        self.log_file = settings.home / "logs" / "kafka.log"
        self._output = settings.home / "logs" / "kafka.out"
        self._state_file = self.folder / "state.json"

    @property
    def bootstrap_servers(self) -> str:
        """`host:port` of the broker.

        Raises:
            StreamError: It has never been prepared, so no port is chosen.
        """
        state = read_state(self._state_file)
        if state is None:
            raise StreamError(f"No broker has been set up in {str(self.folder)!r}; run `gridwatch kafka start`.")
        return f"127.0.0.1:{state.port}"

    def prepare(self, *, keep: bool = True) -> None:
        """Fetch the jars, choose ports, write the configuration and format the data folder; for `command`.

        Args:
            keep: The broker is to stay when those who use it are gone.

        Raises:
            JavaError: No Java or jars, or the data folder cannot be formatted.
            StreamError: The folder cannot be written.
        """
        with self._locked():
            self._prepare(keep=keep)

    def command(self) -> tuple[list[str], dict[str, str], Path]:
        """Return argument list, environment and working folder of the broker's process; `prepare` goes first."""
        heap = f"-Xmx{self._settings.kafka.broker_heap_mib}m"
        logging = f"-Dlog4j2.configurationFile={(self.folder / 'log4j2.xml').as_uri()}"
        argv = [*self._java(heap, *JVM, logging), "kafka.Kafka", str(self.folder / "server.properties")]
        return argv, self._environ, self.folder

    def adopt(self, pid: int) -> None:
        """Write down the process id of a broker that someone else started by `command`, so that `stop` finds it."""
        with self._locked():
            state = read_state(self._state_file)
            if state is not None:
                write_state(self._state_file, state, pid=pid, started_s=psutil.Process(pid).create_time())

    def start(self, *, keep: bool = True, timeout_s: float = _START_TIMEOUT_S) -> str:
        """Start the broker unless it is running, wait until it answers, and return its address.

        Args:
            keep: It is to stay when those who use it by `broker_for` are gone.
            timeout_s: Longest wait for its first answer.

        Raises:
            JavaError: The process died or did not answer in time; holds its last log lines.
            StreamError: The folder cannot be written, or another start is stuck.
        """
        with self._locked():
            state, process = self._living()
            if state is not None and (self.healthy() or process is not None):
                self._wait(process, timeout_s)
                write_state(self._state_file, state, keep=keep or state.keep)
                return self.bootstrap_servers
            on_free_ports(
                partial(self._launch, keep=keep, timeout_s=timeout_s),
                partial(self._state_file.unlink, missing_ok=True),
            )
        return self.bootstrap_servers

    def stop(self, *, timeout_s: float = _STOP_TIMEOUT_S) -> bool:
        """Stop the broker and return whether one was running: SIGTERM, and SIGKILL when that takes too long."""
        if not self._state_file.exists():
            return False
        with self._locked():
            state, process = self._living()
            if state is None or process is None:
                return False
            began = time.monotonic()
            if end(process, timeout_s=timeout_s):
                log.warning("broker_killed", pid=process.pid, after_s=timeout_s)
            write_state(self._state_file, state, pid=0, started_s=0.0, keep=False)
        log.info("broker_stopped", seconds=round(time.monotonic() - began, 2))
        return True

    def healthy(self, *, timeout_s: float = 3.0) -> bool:
        """Tell whether the broker answers Kafka's own protocol with this folder's cluster id."""
        state = read_state(self._state_file)
        # A port that could be bound has no listener; that spares the client's wait for nobody.
        if state is None or port_is_free(state.port):
            return False
        try:
            with admin(self._own, f"127.0.0.1:{state.port}", timeout_s=timeout_s) as client:
                return bool(client.describe_cluster()["cluster_id"] == state.cluster_id)
        except GridwatchError:
            return False

    @property
    def kept(self) -> bool:
        """Whether it was started to stay."""
        state = read_state(self._state_file)
        return state is not None and state.keep

    def _living(self) -> tuple[BrokerState | None, psutil.Process | None]:
        state = read_state(self._state_file)
        return state, process_of(state.pid, state.started_s) if state is not None else None

    @property
    def _own(self) -> Settings:
        kafka = self._settings.kafka.model_copy(update={"bootstrap_servers": None})
        return self._settings.model_copy(update={"kafka": kafka})

    def make_folders(self) -> None:
        """Make the folders for data and logs.

        Raises:
            StreamError: One cannot be made.
        """
        for folder in (self.folder, self.log_file.parent):
            try:
                make_private(folder)
            except OSError as error:
                raise StreamError(f"Cannot make the broker's folder {str(folder)!r}: {error}.") from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.make_folders()
        with file_lock(self.folder / "start.lock"):
            yield

    def _java(self, *options: str) -> list[str]:
        path = os.pathsep.join(map(str, jars("kafka", self._environ, progress=self._progress)))
        return [str(find_java(self._environ)), *options, "-cp", path]

    def _prepare(self, *, keep: bool) -> BrokerState:
        state = read_state(self._state_file)
        if state is None or not gets_free(state.port, state.controller_port):
            port, controller_port = free_ports(2)
            state = BrokerState(cluster_id(self.folder / "data"), port, controller_port)
        state = write_state(self._state_file, state, pid=0, started_s=0.0, keep=keep)
        data, properties = self.folder / "data", self.folder / "server.properties"
        # Its dead-letter topics hold records as large, with their reasons.
        largest = self._settings.kafka.record_bytes_max + LETTER_BYTES_MORE
        properties.write_text(server_properties(state, data, largest), encoding="utf-8")
        (self.folder / "log4j2.xml").write_text(log4j2_xml(self.log_file), encoding="utf-8")
        if not (data / "meta.properties").exists():
            self._format(state, properties)
        return state

    def _format(self, state: BrokerState, properties: Path) -> None:
        tool = [*self._java(*JVM[:3]), "kafka.tools.StorageTool", "format"]
        argv = [*tool, "--cluster-id", state.cluster_id, "--config", str(properties)]
        done = subprocess.run(argv, env=self._environ, capture_output=True, text=True, timeout=_START_TIMEOUT_S)
        if done.returncode:
            said = (done.stderr + done.stdout).strip()[-2000:]
            raise JavaError(f"Kafka cannot format {str(self.folder / 'data')!r} (exit {done.returncode}): {said}")

    def _launch(self, *, keep: bool, timeout_s: float) -> None:
        began = time.monotonic()
        state = self._prepare(keep=keep)
        argv, environ, _ = self.command()
        process = spawn(argv, environ, self._output)
        state = write_state(self._state_file, state, pid=process.pid, started_s=process.create_time())
        try:
            self._wait(process, timeout_s)
        except BaseException:
            kill(process, timeout_s=_STOP_TIMEOUT_S)
            raise
        seconds = time.monotonic() - began
        log.info("broker_started", address=self.bootstrap_servers, pid=process.pid, seconds=round(seconds, 2))

    def _wait(self, process: psutil.Process | None, timeout_s: float) -> None:
        await_healthy("Kafka broker", self.healthy, process, self._last_lines, timeout_s=timeout_s)

    def _last_lines(self) -> str:
        return f"The end of {str(self.log_file)!r}:\n" + last_lines(self.log_file, self._output)


@contextmanager
def broker_for(
    settings: Settings,
    *,
    environ: Mapping[str, str] | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Iterator[str]:
    """Give the address of a broker: the external cluster, our own that is running, or one started for the duration.

    A broker that was started for the duration is stopped by the last of those who use it, in whichever process.

    Raises:
        MissingServiceError: The external cluster does not answer.
        JavaError: Our own broker does not start; holds its last log lines.
    """
    if settings.kafka.bootstrap_servers:
        with admin(settings, settings.kafka.bootstrap_servers) as client:
            client.describe_cluster()
        yield settings.kafka.bootstrap_servers
        return
    broker = Broker(settings, environ=environ, progress=progress)
    broker.make_folders()
    users = broker.folder / "users.lock"
    try:
        with file_lock(users, shared=True):
            yield broker.start(keep=False)
    finally:
        _stop_if_unused(broker, users)


def _stop_if_unused(broker: Broker, users: Path) -> None:
    if broker.kept:
        return
    try:
        # Nobody can begin to use it while this lock is held; so it is not stopped under anybody's feet.
        with file_lock(users, timeout_s=0):
            broker.stop()
    except StreamError:
        log.debug("broker_still_used")
