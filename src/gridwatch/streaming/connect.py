"""A real Kafka Connect worker as a child of gridwatch: standalone, or one of several of a distributed group.

One folder is one worker: `connect/worker-N` in the home folder holds its configuration, log settings and state file,
through which other processes find it. Its connectors are a matter of `connect_apply` and `connect_watch`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import structlog

from gridwatch.errors import ConfigError, StreamError
from gridwatch.folders import make_private
from gridwatch.java.jars import jars
from gridwatch.java.jre import find_java
from gridwatch.streaming.broker_files import file_lock, free_ports, gets_free, last_lines, log4j2_xml
from gridwatch.streaming.child import JVM, await_healthy, end, kill, on_free_ports, process_of, spawn
from gridwatch.streaming.connect_api import ConnectApi
from gridwatch.streaming.connect_files import (
    WorkerState,
    environ_digest,
    is_digest_of,
    properties_text,
    read_worker_state,
    worker_environ,
    worker_properties,
    write_worker_state,
)

if TYPE_CHECKING:
    from gridwatch.settings import Settings

__all__ = ["ConnectWorker"]

log = structlog.get_logger(__name__)

_START_TIMEOUT_S = 300.0
_STOP_TIMEOUT_S = 20.0
_WORKERS_MAX = 32


class ConnectWorker:
    """gridwatch's own worker in the home folder of these settings.

    Args:
        settings: Home folder, mode, heap size, logins.
        bootstrap: `host:port,...` of the Kafka cluster; needed to start it, not to find it.
        number: 1 and more; several workers are one distributed group.
        plugins: Folder of connector plugins; by default gridwatch's own connector, built on first use.
        environ: Environment of the child, also for finding Java and the jar cache; by default this process's own.
        progress: Told the jars that are there and how many there will be, when some must be downloaded first.
    """

    def __init__(
        self,
        settings: Settings,
        bootstrap: str | None = None,
        *,
        number: int = 1,
        plugins: Path | None = None,
        environ: Mapping[str, str] | None = None,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> None:
        if not 1 <= number <= _WORKERS_MAX or (number > 1 and settings.connect.mode == "standalone"):
            raise ConfigError(
                f"There is no worker {number}: a standalone worker is one, distributed ones are up to {_WORKERS_MAX} "
                "(GRIDWATCH_CONNECT__MODE=distributed)."
            )
        self._settings = settings
        self._bootstrap = bootstrap
        self._plugins = plugins
        self._environ = dict(os.environ if environ is None else environ)
        self._progress = progress
        self.folder = settings.home / "connect" / f"worker-{number}"
        name = "connect" if number == 1 else f"connect-{number}"
        self.log_file = settings.home / "logs" / f"{name}-worker.log"
        self._output = settings.home / "logs" / f"{name}-worker.out"
        self._state_file = self.folder / "state.json"
        # A port that is asked for is that of the first worker.
        self._rest_port = settings.connect.rest_port if number == 1 else 0

    @property
    def url(self) -> str:
        """Address of the worker's REST API.

        Raises:
            StreamError: It has never been prepared, so no port is chosen.
        """
        state = read_worker_state(self._state_file)
        if state is None:
            raise StreamError(f"No Connect worker has been set up in {str(self.folder)!r}; run `gridwatch connect up`.")
        return state.url

    @property
    def kept(self) -> bool:
        """Whether it was started to stay."""
        state = read_worker_state(self._state_file)
        return state is not None and state.keep

    @property
    def pid(self) -> int | None:
        """Process id of the worker while it lives."""
        state = read_worker_state(self._state_file)
        process = process_of(state.pid, state.started_s) if state is not None else None
        return process.pid if process is not None else None

    def api(self, *, timeout_s: float | None = None) -> ConnectApi:
        """Return the worker's REST API.

        Raises:
            StreamError: It has never been prepared.
        """
        return ConnectApi(self.url, timeout_s=timeout_s or self._settings.connect.request_timeout_s)

    def prepare(self, *, keep: bool = True) -> None:
        """Fetch the jars, build the plugin, choose a port and write the configuration; for `command`.

        Args:
            keep: The worker is to stay when those who use it are gone.

        Raises:
            ConfigError: The Kafka login is incomplete, or the port that is asked for is taken.
            JavaError: No Java or jars, or the connector cannot be built.
            StreamError: The folder cannot be written.
        """
        with self._locked():
            self._prepare(keep=keep)

    def command(self) -> tuple[list[str], dict[str, str], Path]:
        """Return argument list, environment (it holds secrets) and folder of the process; `prepare` goes first."""
        connect = self._settings.connect
        main = "ConnectStandalone" if connect.mode == "standalone" else "ConnectDistributed"
        logging = f"-Dlog4j2.configurationFile={(self.folder / 'log4j2.xml').as_uri()}"
        class_path = os.pathsep.join(map(str, jars("kafka", self._environ, progress=self._progress)))
        java = [str(find_java(self._environ)), f"-Xmx{connect.heap_mib}m", *JVM, logging, "-cp", class_path]
        argv = [*java, f"org.apache.kafka.connect.cli.{main}", str(self.folder / "worker.properties")]
        return argv, worker_environ(self._settings, self._cluster, self._environ), self.folder

    def adopt(self, pid: int) -> None:
        """Write down the process id of a worker that someone else started by `command`, so that `stop` finds it."""
        with self._locked():
            state = read_worker_state(self._state_file)
            if state is not None:
                write_worker_state(self._state_file, state, pid=pid, started_s=psutil.Process(pid).create_time())

    def start(self, *, keep: bool = True, timeout_s: float = _START_TIMEOUT_S) -> str:
        """Start the worker unless it is running, wait until it answers, and return its REST address.

        One that runs with another store, login or Kafka cluster than these settings name is stopped and started anew.

        Args:
            keep: It is to stay when those who started it for the duration are gone.
            timeout_s: Longest wait for its first answer.

        Raises:
            ConfigError: The Kafka login is incomplete, or the port that is asked for is taken.
            JavaError: The process died or did not answer in time; holds its last log lines.
            StreamError: The folder cannot be written, or another start is stuck.
        """
        with self._locked():
            state = read_worker_state(self._state_file)
            process = process_of(state.pid, state.started_s) if state is not None else None
            if state is not None and process is not None and self._is_outdated(state):
                log.info("connect_worker_configured_anew", pid=process.pid)
                self._end(process, _STOP_TIMEOUT_S)
                keep = keep or state.keep
                process = None
            if state is not None and process is not None:
                self._wait(process, timeout_s)
                write_worker_state(self._state_file, state, keep=keep or state.keep)
                return state.url
            on_free_ports(
                partial(self._launch, keep=keep, timeout_s=timeout_s),
                partial(self._state_file.unlink, missing_ok=True),
            )
        return self.url

    def stop(self, *, timeout_s: float = _STOP_TIMEOUT_S) -> bool:
        """Stop the worker and return whether one was running: SIGTERM, and SIGKILL when that takes too long."""
        if not self._state_file.exists():
            return False
        with self._locked():
            state = read_worker_state(self._state_file)
            process = process_of(state.pid, state.started_s) if state is not None else None
            if state is None or process is None:
                return False
            began = time.monotonic()
            self._end(process, timeout_s)
            write_worker_state(self._state_file, state, pid=0, started_s=0.0, keep=False)
        log.info("connect_worker_stopped", seconds=round(time.monotonic() - began, 2))
        return True

    def healthy(self, *, timeout_s: float = 3.0) -> bool:
        """Tell whether the worker's process is there and its REST API answers that it is ready."""
        state = read_worker_state(self._state_file)
        if state is None or process_of(state.pid, state.started_s) is None:
            return False
        return ConnectApi(state.url, timeout_s=timeout_s).healthy()

    @property
    def _cluster(self) -> str:
        if self._bootstrap is None:
            raise StreamError("A Connect worker wants the address of a Kafka cluster to start.")
        return self._bootstrap

    @contextmanager
    def _locked(self) -> Iterator[None]:
        for folder in (self.folder, self.log_file.parent, self._settings.home / "connect" / "secrets"):
            try:
                make_private(folder)
            except OSError as error:
                raise StreamError(f"Cannot make the Connect worker's folder {str(folder)!r}: {error}.") from error
        with file_lock(self.folder / "start.lock"):
            yield

    def _prepare(self, *, keep: bool) -> WorkerState:
        host = self._settings.connect.rest_host
        state = read_worker_state(self._state_file)
        wanted = self._rest_port or (state.port if state is not None else 0)
        if not wanted or not gets_free(wanted):
            if self._rest_port:
                raise ConfigError(
                    f"GRIDWATCH_CONNECT__REST_PORT {wanted} is taken by another program; 0 picks a free one."
                )
            [wanted] = free_ports(1)
        plugins = self._plugins
        if plugins is None:
            from gridwatch.java.connector import build_connector

            plugins = build_connector(self._environ, progress=self._progress)
        values = worker_properties(self._settings, self._cluster, self.folder, plugins, host=host, port=wanted)
        (self.folder / "worker.properties").write_text(properties_text(values), encoding="utf-8")
        (self.folder / "log4j2.xml").write_text(log4j2_xml(self.log_file), encoding="utf-8")
        digest = environ_digest(worker_environ(self._settings, self._cluster, self._environ), self._cluster)
        state = WorkerState(wanted, _callable_host(host), keep=keep, bootstrap=self._cluster, digest=digest)
        return write_worker_state(self._state_file, state)

    def _is_outdated(self, state: WorkerState) -> bool:
        """Tell whether a worker was given something else than these settings would give it."""
        if self._bootstrap is None:
            return False  # it could not be started again
        environ = worker_environ(self._settings, self._bootstrap, self._environ)
        return not is_digest_of(state.digest, environ, self._bootstrap)

    @staticmethod
    def _end(process: psutil.Process, timeout_s: float) -> None:
        if end(process, timeout_s=timeout_s):
            log.warning("connect_worker_killed", pid=process.pid, after_s=timeout_s)

    def _launch(self, *, keep: bool, timeout_s: float) -> None:
        began = time.monotonic()
        state = self._prepare(keep=keep)
        argv, environ, _ = self.command()
        process = spawn(argv, environ, self._output)
        state = write_worker_state(self._state_file, state, pid=process.pid, started_s=process.create_time())
        try:
            self._wait(process, timeout_s)
        except BaseException:
            kill(process, timeout_s=_STOP_TIMEOUT_S)
            raise
        seconds = round(time.monotonic() - began, 2)
        log.info("connect_worker_started", url=state.url, pid=process.pid, seconds=seconds)

    def _wait(self, process: psutil.Process, timeout_s: float) -> None:
        await_healthy("Kafka Connect worker", self.healthy, process, self._last_lines, timeout_s=timeout_s)

    def _last_lines(self) -> str:
        return f"The end of {str(self.log_file)!r}:\n" + last_lines(self.log_file, self._output)


def _callable_host(host: str) -> str:
    # The any-address can be bound but not called; loopback is then bound too.
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
