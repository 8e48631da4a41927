"""One real broker, one real Connect worker and one served store for all connector tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gridwatch.containers import Store, open_store
from gridwatch.server.run import serve
from gridwatch.settings import Settings
from gridwatch.streaming import Broker
from gridwatch.streaming.connect import ConnectWorker
from gridwatch.streaming.connect_files import served_url
from tests.connect.mapping import Mapping
from tests.connect.sinks import Sinks


class Served:
    """An embedded store behind the Web API, on a port that stays the same when the server is started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._port = 0
        self.store = open_store(f"sqlite:///{folder / 'store.db'}")
        self.base = ""

    @property
    def url(self) -> str:
        """The store's URL for a connector."""
        return served_url(self.base, "gridwatch")

    def start(self) -> None:
        """Start the server and wait until it answers."""
        settings = Settings(_env_file=None, home=self._folder / "home", server={"port": self._port})
        ready = threading.Event()

        def on_ready(url: str) -> None:
            self.base = url
            self._port = int(url.rpartition(":")[2])
            ready.set()

        self._stop = threading.Event()
        parts = {"clock": lambda: time.time_ns() // 1_000_000, "on_ready": on_ready, "stop": self._stop}
        self._thread = threading.Thread(target=serve, args=(settings, self.store), kwargs=parts)
        self._thread.start()
        assert ready.wait(120)

    def stop(self) -> None:
        """Stop the server; the store stays open."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(120)
        self._thread = None

    def close(self) -> None:
        """Stop the server and close the store."""
        self.stop()
        self.store.close()


@pytest.fixture(scope="session")
def connect_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("connect-home")


@pytest.fixture(scope="session")
def bootstrap(connect_home: Path) -> Iterator[str]:
    """The address of a running broker."""
    broker = Broker(Settings(_env_file=None, home=connect_home))
    try:
        yield broker.start()
    finally:
        broker.stop()


@pytest.fixture(scope="session")
def worker(connect_home: Path, bootstrap: str) -> Iterator[ConnectWorker]:
    """A running worker with our connector."""
    worker = ConnectWorker(Settings(_env_file=None, home=connect_home), bootstrap)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A served store for all tests that leave its server alone."""
    served = Served(tmp_path_factory.mktemp("served"))
    served.start()
    try:
        yield served
    finally:
        served.close()


@pytest.fixture
def own_served(tmp_path: Path) -> Iterator[Served]:
    """A served store of the test's own, to be stopped and started."""
    served = Served(tmp_path)
    served.start()
    try:
        yield served
    finally:
        served.close()


@pytest.fixture
def store(served: Served) -> Store:
    """The store that connectors write to; other tests have their containers there."""
    return served.store


@pytest.fixture
def make_sinks(worker: ConnectWorker, bootstrap: str) -> Iterator[Callable[[str], Sinks]]:
    """A function that makes connectors which write to a URL; they end with the test."""
    made: list[Sinks] = []

    def make(url: str) -> Sinks:
        made.append(Sinks(worker, bootstrap, url).__enter__())
        return made[-1]

    yield make
    for sinks in made:
        sinks.__exit__()


@pytest.fixture
def sinks(make_sinks: Callable[[str], Sinks], served: Served) -> Sinks:
    """Connectors that write to the served store."""
    return make_sinks(served.url)


@pytest.fixture(scope="session")
def mapping() -> Iterator[Mapping]:
    """The connector's mapping of records to rows, in a JVM of its own."""
    with Mapping() as started:
        yield started
