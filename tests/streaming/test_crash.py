"""Death in the middle: of a sink and of the broker. Afterwards the container holds exactly what was sent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil
import pyarrow as pa

from gridwatch.containers import Store, open_store
from gridwatch.containers.catalog import series_info
from gridwatch.settings import KafkaSettings, Settings
from gridwatch.streaming import Broker, Producer, drain, read_dead_letters
from gridwatch.streaming.broker_files import read_state

Bars = Callable[..., pd.DataFrame]

# A sink in small batches, each written and then held for a moment, so that it is killed between write and commit.
SINK = """
import sys, threading, time
from pathlib import Path
from gridwatch.containers import open_store
from gridwatch.settings import KafkaSettings, Settings
from gridwatch.streaming import Sink
home, bootstrap, group, topic, url = sys.argv[1:]
class Slow:
    def __init__(self, store): self._store = store
    def __getattr__(self, name): return getattr(self._store, name)
    def put_many(self, rows):
        self._store.put_many(rows)
        print(sum(table.num_rows for table in rows.values()), flush=True)
        time.sleep(0.2)
settings = Settings(home=Path(home), kafka=KafkaSettings(group_id=group))
with open_store(url) as store:
    Sink(settings, bootstrap, Slow(store), [topic], rows_max=100).run(threading.Event())
"""


def _expected(frame: pd.DataFrame, topic: str) -> pa.Table:
    naive = frame.assign(ts=frame["ts"].dt.tz_convert(None))
    return pa.Table.from_pandas(naive, preserve_index=False).cast(series_info(topic).arrow)


def test_a_sink_that_is_killed_loses_and_doubles_nothing(
    settings: Settings, bootstrap: str, store: Store, topic: str, bars: Bars
) -> None:
    frame = bars(2_000)
    with Producer(settings, bootstrap) as producer:
        producer.ensure_topics([topic])
        for start in range(0, 2_000, 200):
            part = frame.iloc[start : start + 200]
            producer.send(topic, part, series_info(topic), ingested_ms=time.time_ns() // 1_000_000)
            producer.repeat(topic, f"bad {start}".encode(), key=None, headers=[])
    argv = [sys.executable, "-c", SINK, str(settings.home), bootstrap, settings.kafka.group_id, topic, store.url]
    sink = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert sink.stdout is not None
    writes = 0
    while writes < 7 and (line := sink.stdout.readline()):
        writes += line.strip().isdigit()
    # It has just written its seventh batch and sits between the write and the commit.
    sink.kill()
    sink.communicate()
    assert writes == 7
    assert 0 < store.read(topic).num_rows < 2_000, "it was killed in the middle"
    drain(settings, bootstrap, store, [topic], timeout_s=60)
    assert store.read(topic).equals(_expected(frame, topic))
    letters = [letter.value for letter in read_dead_letters(settings, bootstrap, topic)]
    assert letters == [f"bad {start}".encode() for start in range(0, 2_000, 200)]


def test_a_broker_that_is_killed_loses_no_record(tmp_path: Path, topic: str, bars: Bars) -> None:
    settings = Settings(home=tmp_path, kafka=KafkaSettings(request_timeout_s=60))
    broker = Broker(settings)
    frame = bars(3_000)
    info = series_info(topic)
    ingested_ms = time.time_ns() // 1_000_000
    try:
        bootstrap = broker.start()
        with Producer(settings, bootstrap) as producer:
            producer.ensure_topics([topic])
            producer.send(topic, frame.iloc[:1_000], info, ingested_ms=ingested_ms)
            _kill(broker)
            restarted = subprocess.Popen(
                [sys.executable, "-c", START, str(tmp_path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            # The same producer, while the broker is away and coming back.
            producer.send(topic, frame.iloc[1_000:2_000], info, ingested_ms=ingested_ms)
            assert restarted.wait(60) == 0
            assert broker.start() == bootstrap, "the port stays"
            producer.send(topic, frame.iloc[2_000:], info, ingested_ms=ingested_ms)
        with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store:
            assert drain(settings, bootstrap, store, [topic], timeout_s=60).rows == 3_000
            assert store.read(topic).equals(_expected(frame, topic))
    finally:
        broker.stop()


START = (
    "import sys; from pathlib import Path; from gridwatch.settings import Settings; "
    "from gridwatch.streaming import Broker; Broker(Settings(home=Path(sys.argv[1]))).start()"
)


def _kill(broker: Broker) -> None:
    state = read_state(broker.folder / "state.json")
    assert state is not None
    os.kill(state.pid, signal.SIGKILL)
    psutil.Process(state.pid).wait(10)
