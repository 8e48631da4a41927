"""A million records through the Python sink, Kafka Connect with our connector, and a plain sink that writes like JDBC.

Into the embedded store (Connect through its Web API server), and into a GridDB cluster where GRIDWATCH_TEST_GRIDDB_URL
names one; user and password come from the settings. Each sink is a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.figure import Figure
from benchmarks.sinks import peak_bytes
from benchmarks.store import minute_bars
from gridwatch.containers import Store, open_store
from gridwatch.containers.catalog import series_info
from gridwatch.settings import ConnectSettings, KafkaSettings, Settings, load_settings
from gridwatch.streaming import Producer, broker_for
from gridwatch.streaming.connect import ConnectWorker
from gridwatch.streaming.connect_files import served_url

ROWS = 1_000_000
PLAIN_SHARE = 20
"""The plain sink gets a part of the rows, and its time counts so many times."""

TOPIC = "GRIDWATCH_BENCHMARK"
AIM = 10
_PATIENCE_S = 900.0
_MIB = 1 << 20


@dataclass(frozen=True)
class Took:
    """What one sink took: seconds in all, in the store's writes and of CPU, and its peak memory in bytes."""

    seconds: float
    write_s: float
    cpu_s: float
    peak_bytes: int

    def times(self, factor: int) -> Took:
        """Return the same for so many times the rows."""
        return Took(self.seconds * factor, self.write_s * factor, self.cpu_s * factor, self.peak_bytes)

    def note(self) -> str:
        """Return CPU and memory for the table."""
        return f"CPU {self.cpu_s:.1f} s, peak {self.peak_bytes / _MIB:.0f} MiB"


def run() -> Iterator[Figure]:
    """Yield the figures of each store; the plain sink's times are scaled to the same number of rows."""
    cluster = os.environ.get("GRIDWATCH_TEST_GRIDDB_URL")
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        own = load_settings().model_copy(
            update={"home": home, "kafka": KafkaSettings(), "connect": ConnectSettings(heap_mib=1024)}
        )
        with broker_for(own) as bootstrap:
            _fill(own, bootstrap)
            yield from _compared("sqlite", f"sqlite:///{home / 'store.db'}", own, bootstrap)
            if cluster:
                yield from _compared("griddb", cluster, own, bootstrap)
            else:
                print("connect: no cluster, GRIDWATCH_TEST_GRIDDB_URL names no server", file=sys.stderr)


def _fill(settings: Settings, bootstrap: str) -> None:
    with Producer(settings, bootstrap) as producer:
        producer.ensure_topics([TOPIC])
        producer.send(TOPIC, minute_bars(ROWS), series_info(TOPIC), ingested_ms=time.time_ns() // 1_000_000)


def _compared(kind: str, url: str, settings: Settings, bootstrap: str) -> Iterator[Figure]:
    with open_store(url, settings=settings) as store:
        rows = max(1, ROWS // PLAIN_SHARE)
        plain = _child("plain", url, settings, bootstrap, rows).times(ROWS // rows)
        store.drop_container(TOPIC)
        python = _child("gridwatch", url, settings, bootstrap, ROWS)
        _check(store)
        connect = _connect(kind, url, settings, bootstrap)
        _check(store)
    aim = AIM if kind == "griddb" else None
    for name, took in (("Python sink", python), ("connector", connect)):
        note = f"{took.note()}; beside: {plain.note()}"
        yield Figure(f"{name}, {kind}", ROWS, "rows", took.seconds, "executemany", plain.seconds, note=note)
        yield Figure(f"{name}'s writes, {kind}", ROWS, "rows", took.write_s, "executemany", plain.write_s, aim=aim)


def _check(store: Store) -> None:
    """Count the rows, and drop them."""
    stored = store.sql(f'SELECT COUNT(*) AS n FROM "{TOPIC}"')["n"].to_pylist()
    assert stored == [ROWS], f"{stored} rows instead of {ROWS}"
    store.drop_container(TOPIC)


def _child(kind: str, url: str, settings: Settings, bootstrap: str, rows: int) -> Took:
    argv = [sys.executable, "-m", "benchmarks.sinks", kind, url, bootstrap, TOPIC, str(rows), str(settings.home)]
    log = settings.home / f"{kind}.log"
    with log.open("wb") as errors:
        done = subprocess.run(argv, cwd=_root(), stdout=subprocess.PIPE, stderr=errors, check=False)
    assert done.returncode == 0, log.read_text(errors="replace")[-2000:]
    return Took(**json.loads(done.stdout.splitlines()[-1]))


def _root() -> Path:
    return Path(__file__).resolve().parents[1]


def _connect(kind: str, url: str, settings: Settings, bootstrap: str) -> Took:
    """Return what a Connect worker took from being given the connector to the last row; its start is not counted."""
    from gridwatch.streaming.broker_files import free_ports

    [port] = free_ports(1)
    jmx = "-Dcom.sun.management.jmxremote"
    options = f"{jmx}.port={port} {jmx}.rmi.port={port} {jmx}.host=127.0.0.1 {jmx}.authenticate=false {jmx}.ssl=false"
    environ = {**os.environ, "JDK_JAVA_OPTIONS": f"{options} -Djava.rmi.server.hostname=127.0.0.1"}
    with _reachable(url, settings) as (target, server):
        worker = ConnectWorker(settings, bootstrap, environ=environ)
        worker.start(keep=False)
        try:
            processes = [psutil.Process(worker.pid or 0), *server]
            before = _cpu(processes)
            begin = time.perf_counter()
            api, name = worker.api(), f"bench-{kind}"
            api.put_config(name, _config(kind, target))
            figures = _Figures(port, name)
            figures.wait(lambda: [one.reason for one in getattr(api.status(name), "failed", [])])
            seconds = time.perf_counter() - begin
            peak = sum(peak_bytes(process.pid) for process in processes)
            took = Took(seconds, figures.write_s(), _cpu(processes) - before, peak)
            api.delete(name)
            return took
        finally:
            worker.stop()


def _config(kind: str, url: str) -> dict[str, str]:
    config = {
        "connector.class": "org.gridwatch.connect.GridDBSinkConnector",
        "topics": TOPIC,
        "connection.url": url,
        "auto.create": "true",
        "container.type": "TIME_SERIES",
        "row.key.fields": "ts",
        "batch.max.rows": "10000",
        "consumer.override.max.poll.records": "10000",
        "consumer.override.auto.offset.reset": "earliest",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
    }
    if kind == "griddb":
        login = {"user": "${env:GRIDWATCH_GRIDDB__USER}", "password": "${env:GRIDWATCH_GRIDDB__PASSWORD}"}
        config |= {f"connection.{name}": value for name, value in login.items()}
    return config


@contextmanager
def _reachable(url: str, settings: Settings) -> Iterator[tuple[str, list[psutil.Process]]]:
    """Give the store's URL for a connector, and the server's process: `gridwatch serve` before the embedded store."""
    if not url.startswith("sqlite:"):
        yield url, []
        return
    environ = {**os.environ, "GRIDWATCH_HOME": str(settings.home), "GRIDWATCH_STORE_URL": url}
    argv = [sys.executable, "-m", "gridwatch.cli", "serve", "--port", "0"]
    log = settings.home / "serve.log"
    with log.open("wb") as output:
        child = subprocess.Popen(argv, cwd=_root(), env=environ, stdout=output, stderr=subprocess.STDOUT)
    try:
        process = psutil.Process(child.pid)
        deadline = time.monotonic() + 120
        while not (ports := [c.laddr.port for c in process.net_connections() if c.status == psutil.CONN_LISTEN]):
            assert time.monotonic() < deadline, log.read_text(errors="replace")[-2000:]
            time.sleep(0.1)
        yield served_url(f"http://127.0.0.1:{ports[0]}", "gridwatch"), [process]
    finally:
        child.terminate()
        child.wait(30)


class _Figures:
    """The connector's own figures over JMX."""

    def __init__(self, port: int, connector: str) -> None:
        from gridwatch.containers.jvm import java_class, start_jvm

        start_jvm(os.environ)
        address = f"service:jmx:rmi:///jndi/rmi://127.0.0.1:{port}/jmxrmi"
        factory, url = (
            java_class(f"javax.management.remote.{name}") for name in ("JMXConnectorFactory", "JMXServiceURL")
        )
        self._beans = factory.connect(url(address)).getMBeanServerConnection()
        name = f"org.gridwatch.connect:type=sink-task,connector={connector},task=0"
        self._name = java_class("javax.management.ObjectName")(name)

    def wait(self, failed: Callable[[], list[str]]) -> None:
        """Return once all rows are written."""
        deadline = time.monotonic() + _PATIENCE_S
        while not self._beans.isRegistered(self._name) or self._value("RowsWritten") < ROWS:
            assert time.monotonic() < deadline, "the connector did not write all rows"
            assert not failed(), failed()
            time.sleep(0.2)

    def write_s(self) -> float:
        """Return the seconds of the writes."""
        return self._value("WriteTimeMs") / 1000

    def _value(self, name: str) -> int:
        return int(self._beans.getAttribute(self._name, name))


def _cpu(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)
