"""The processes of a fault test: each can be killed with SIGKILL at any moment, and comes back as it would in service.

A thread for each part starts it again whenever it is gone, as gridwatch's supervisor does.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil
from typing_extensions import override

from gridwatch.errors import GridwatchError, JavaError
from gridwatch.settings import Settings
from gridwatch.streaming import Broker
from gridwatch.streaming.broker_files import BrokerState, cluster_id, free_ports, read_state, write_state

__all__ = ["ROOT", "BrokerPart", "Child", "Part", "ServerPart", "SinkPart", "wait_for"]

ROOT = Path(__file__).parents[2]
PATIENCE_S = 240.0
"""Longest wait for anything that takes seconds on a quiet machine."""

_LOOK_S = 0.05
_DEATHS_MAX = 50


def wait_for(condition: object, what: str, *, timeout_s: float = PATIENCE_S, look_s: float = _LOOK_S) -> None:
    """Wait until `condition()` is true.

    Raises:
        AssertionError: It is not in time; says what was waited for.
    """
    assert callable(condition)
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s for {what}"
        time.sleep(look_s)


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a child: this process's, without settings of gridwatch."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GRIDWATCH_")}
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**kept, "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "PYTHONPATH": path, **more}


class Part(ABC):
    """A process that is started again whenever it is gone, until it is stopped.

    Args:
        name: For tables and messages.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.kills = 0
        self.starts = 0
        self.deaths = 0
        """How often it ended by itself."""
        self.back_after_s = 0.0
        """How long it stays away after its death, in seconds."""
        self._wanted = threading.Event()
        self._killed = False
        self.error: BaseException | None = None
        """Why it cannot be kept up any more."""
        self._keeper = threading.Thread(target=self._keep, name=f"keeper of {name}", daemon=True)

    @abstractmethod
    def start_once(self) -> None:
        """Start the process."""

    @abstractmethod
    def process(self) -> psutil.Process | None:
        """Return the process while it lives."""

    @abstractmethod
    def ready(self) -> bool:
        """Tell whether it does its work."""

    def start(self) -> None:
        """Start it and keep it up from now on."""
        self._wanted.set()
        if self._keeper.ident is None:
            self._keeper.start()

    def wait_ready(self) -> None:
        """Wait until it does its work."""
        wait_for(self._ready_or_failed, f"{self.name} to get ready")

    def kill(self) -> bool:
        """Kill it with SIGKILL; tell whether it was alive."""
        process = self.process()
        if process is None:
            return False
        self._killed = True
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            return False
        self.kills += 1
        return True

    def away(self) -> None:
        """Kill it and let it stay away until `start`."""
        self._wanted.clear()
        self.kill()
        wait_for(lambda: self.process() is None, f"{self.name} to be gone")

    def leave(self) -> None:
        """Let it end by itself and stay away."""
        self._wanted.clear()
        if (process := self.process()) is not None:
            process.terminate()
            wait_for(lambda: self.process() is None, f"{self.name} to end")

    def stop(self) -> None:
        """End it for good."""
        self._wanted.clear()
        if (process := self.process()) is not None:
            process.kill()
            wait_for(lambda: self.process() is None, f"{self.name} to be gone")

    def look_after(self) -> None:  # noqa: B027 - most need nothing
        """Do what a supervisor does for a part that is up; called again and again."""

    def check(self) -> None:
        """Fail when it could not be kept up."""
        if self.error is not None:
            raise AssertionError(f"the {self.name} could not be kept up: {self.error}") from self.error

    def _ready_or_failed(self) -> bool:
        self.check()
        return self.process() is not None and self.ready()

    def _keep(self) -> None:
        while True:
            self._wanted.wait()
            try:
                self._keep_once()
            except (AssertionError, GridwatchError, OSError) as error:
                self.error = error
                self._wanted.clear()
            time.sleep(_LOOK_S)

    def _keep_once(self) -> None:
        if self.process() is not None:
            self.look_after()
            return
        if self.starts:
            self.deaths += not self._killed
            assert self.deaths <= _DEATHS_MAX, f"the {self.name} keeps ending by itself"
            # A process that ends at its start is not started in a busy loop.
            time.sleep(self.back_after_s if self._killed else 0.5)
            self._killed = False
        if self._wanted.is_set():
            self.starts += 1
            self.start_once()


class BrokerPart(Part):
    """gridwatch's own Kafka broker, on ports that stay.

    Args:
        settings: With the broker's home.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__("broker")
        self.broker = Broker(settings)
        self.broker.make_folders()
        self._state_file = self.broker.folder / "state.json"
        port, controller_port = free_ports(2)
        state = BrokerState(cluster_id(self.broker.folder / "data"), port, controller_port)
        write_state(self._state_file, state)
        self.bootstrap = f"127.0.0.1:{state.port}"

    @override
    def start_once(self) -> None:
        # It may be killed while it starts: then the next life is on.
        with suppress(JavaError):
            assert self.broker.start(timeout_s=PATIENCE_S) == self.bootstrap, "the port stays"

    @override
    def process(self) -> psutil.Process | None:
        state = read_state(self._state_file)
        if state is None or not state.pid:
            return None
        try:
            process = psutil.Process(state.pid)
            gone = process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        if gone:
            # It is a child of this process that nobody waits for.
            process.wait(PATIENCE_S)
        return None if gone else process

    @override
    def ready(self) -> bool:
        return self.broker.healthy()


class Child(Part):
    """A child of this process, with a log of what all its lives said.

    Args:
        name: For tables and messages.
        argv: Command line.
        log: File for standard output and error.
        env: Settings of gridwatch.
    """

    def __init__(self, name: str, argv: list[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        super().__init__(name)
        self.argv = argv
        self.log = log
        self._env = environment(**(env or {}))
        self._popen: subprocess.Popen[bytes] | None = None
        self.fsize_max: int | None = None
        """Largest file that it may write, in bytes, as on a disk that is full."""

    @override
    def start_once(self) -> None:
        with self.log.open("ab") as log:
            self._popen = self._spawn(log)

    def _spawn(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.argv, env=self._env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT)

    @override
    def process(self) -> psutil.Process | None:
        if self._popen is None or self._popen.poll() is not None:
            return None
        try:
            return psutil.Process(self._popen.pid)
        except psutil.NoSuchProcess:
            return None

    @override
    def ready(self) -> bool:
        return True

    def said(self, text: str) -> int:
        """Return how often the log holds the text."""
        return self.log.read_text(encoding="utf-8", errors="replace").count(text)


class ServerPart(Child):
    """`gridwatch serve` over a store file.

    Args:
        home: Its home folder, with the store.
        log: Its log file.
    """

    def __init__(self, home: Path, log: Path) -> None:
        [self.port] = free_ports(1)
        self.file = home / "store.db"
        env = {"GRIDWATCH_HOME": str(home), "GRIDWATCH_SERVER__PORT": str(self.port)}
        super().__init__("store server", [sys.executable, "-m", "gridwatch.cli", "serve"], log, env)

    @property
    def url(self) -> str:
        """URL of the store."""
        return f"griddb+http://127.0.0.1:{self.port}/gridwatch/public"

    @override
    def ready(self) -> bool:
        try:
            check = f"http://127.0.0.1:{self.port}/griddb/v2/gridwatch/dbs/public/checkConnection"
            with urllib.request.urlopen(check, timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


class SinkPart(Child):
    """The Python sink.

    Args:
        name: For tables and messages.
        folder: For its home and log.
        bootstrap: Address of the broker.
        group: Consumer group.
        url: URL of the store.
        topics: What it reads.
        hold_s: Longest wait between write and commit.
        rows_max: Most records of a batch.
        request_timeout_s: Longest wait for one answer of the broker.
        store_timeout_s: Longest wait for one answer of the store.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        bootstrap: str,
        group: str,
        url: str,
        topics: tuple[str, ...],
        *,
        hold_s: float = 0.1,
        rows_max: int = 200,
        request_timeout_s: float = 30,
        store_timeout_s: float = 20,
    ) -> None:
        script = str(Path(__file__).with_name("sink_process.py"))
        limits = [str(limit) for limit in (hold_s, rows_max, request_timeout_s, store_timeout_s)]
        argv = [sys.executable, script, str(folder), bootstrap, group, url, *limits, *topics]
        super().__init__(name, argv, folder / f"{name.replace(' ', '-')}.log")
        self.group = group
        self.prefix = ""
        self.letter_topics = [f"{topic}.dlq" for topic in topics]
        self._wrote, self._place = 0, 0
        self._reading = threading.Lock()

    def work(self) -> int:
        """Return how many batches all its lives have written."""
        with self._reading, self.log.open("rb") as log:
            log.seek(self._place)
            for line in log:
                if line.endswith(b"\n"):
                    self._place += len(line)
                    self._wrote += line.startswith(b"wrote")
        return self._wrote

    def rows_written(self) -> int:
        """Return how many rows all its lives have written, those that a later one wrote again included."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("wrote "))
