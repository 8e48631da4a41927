"""Two sinks as processes of their own, for `benchmarks.connect`: gridwatch's, and a plain one that writes like JDBC.

`python -m benchmarks.sinks gridwatch|plain URL BOOTSTRAP TOPIC ROWS HOME` reads the topic from its beginning, writes
ROWS rows and prints what it took as JSON.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import structlog

from gridwatch.containers import Store, open_store
from gridwatch.settings import KafkaSettings, Settings, load_settings
from gridwatch.streaming import Sink

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

BATCH = 1000
"""Rows of one `executemany`: GridDB takes no more."""

_IDLE_S = 60.0
_PATIENCE_S = 900.0
Write = Callable[[list[list[Any]]], None]


class Timed:
    """A store that adds up the time of its writes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.seconds = 0.0

    def put_many(self, rows: Mapping[str, pa.Table | pd.DataFrame]) -> int:
        """Write as the store does."""
        begin = time.perf_counter()
        try:
            return self._store.put_many(rows)
        finally:
            self.seconds += time.perf_counter() - begin

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def gridwatch_sink(url: str, settings: Settings, bootstrap: str, topic: str, rows: int) -> tuple[float, float, float]:
    """Return the seconds of the whole, those of the writes, and those of CPU."""
    with open_store(url, settings=settings) as store:
        timed = Timed(store)
        sink = Sink(settings, bootstrap, timed, [topic])
        begin, cpu_s = time.perf_counter(), time.process_time()
        sink.run_until(lambda: sink.rows >= rows, stop=threading.Event())
        return time.perf_counter() - begin, timed.seconds, time.process_time() - cpu_s


def plain_sink(url: str, settings: Settings, bootstrap: str, topic: str, rows: int) -> tuple[float, float, float]:
    """Return the same, from the first record on, for a loop as one would write it for any JDBC."""
    from confluent_kafka import Consumer

    write, close = (_sqlite if url.startswith("sqlite:") else _jdbc)(url, settings, topic)
    options = {"bootstrap.servers": bootstrap, "group.id": settings.kafka.group_id, "auto.offset.reset": "earliest"}
    consumer = Consumer(options | {"enable.auto.commit": False})
    consumer.subscribe([topic])
    # Its time is scaled up to all rows, and its start would be with it.
    records = consumer.consume(1, _IDLE_S)
    done, written_s, begin, cpu_s = 0, 0.0, time.perf_counter(), time.process_time()
    while done < rows:
        records += consumer.consume(BATCH - len(records), 0.3)
        values = [
            list(json.loads(record.value() or b"")["payload"].values()) for record in records if not record.error()
        ]
        records = []
        if not values:
            assert time.perf_counter() - begin < _PATIENCE_S, f"{topic} gave {done} of {rows} records"
            continue
        before = time.perf_counter()
        write(values)
        written_s += time.perf_counter() - before
        consumer.commit(asynchronous=False)
        done += len(values)
    whole_s, cpu_s = time.perf_counter() - begin, time.process_time() - cpu_s
    consumer.close()
    close()
    # What it read beyond its number counts for it.
    return whole_s * rows / done, written_s * rows / done, cpu_s * rows / done


def _sqlite(url: str, _: Settings, topic: str) -> tuple[Write, Callable[[], None]]:
    database = sqlite3.connect(f"{url.removeprefix('sqlite:///')}.plain")
    database.execute("PRAGMA journal_mode=WAL")
    database.execute(f"CREATE TABLE IF NOT EXISTS {topic} (ts INTEGER PRIMARY KEY, open, high, low, close, volume)")

    def write(rows: list[list[Any]]) -> None:
        with database:
            database.executemany(f"INSERT OR REPLACE INTO {topic} VALUES (?, ?, ?, ?, ?, ?)", rows)

    return write, database.close


def _jdbc(url: str, settings: Settings, topic: str) -> tuple[Write, Callable[[], None]]:
    from benchmarks.griddb import _connect
    from gridwatch.containers.catalog import series_info
    from gridwatch.containers.jvm import java_class

    with open_store(url, settings=settings) as store:
        store.put_container(series_info(topic))
    connection = _connect(url)
    cursor, timestamp = connection.cursor(), java_class("java.sql.Timestamp")

    def write(rows: list[list[Any]]) -> None:
        for row in rows:
            row[0] = timestamp(row[0])
        cursor.executemany(f"INSERT OR REPLACE INTO {topic} VALUES (?, ?, ?, ?, ?, ?)", rows)

    return write, connection.close


def peak_bytes(pid: int) -> int:
    """Return the most memory that a process had; where the system does not tell, what it has now."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return int(psutil.Process(pid).memory_info().rss)
    # Not getrusage's: that begins with what the parent had.
    peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) * 1024


def main(arguments: list[str]) -> int:
    """Run one sink."""
    kind, url, bootstrap, topic, rows, home = arguments
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    kafka = KafkaSettings(bootstrap_servers=bootstrap, group_id=f"bench-{uuid.uuid4().hex[:8]}")
    settings = load_settings().model_copy(update={"home": Path(home), "kafka": kafka})
    run = gridwatch_sink if kind == "gridwatch" else plain_sink
    seconds, write_s, cpu_s = run(url, settings, bootstrap, topic, int(rows))
    peak = peak_bytes(os.getpid())
    print(json.dumps({"seconds": seconds, "write_s": write_s, "cpu_s": cpu_s, "peak_bytes": peak}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
