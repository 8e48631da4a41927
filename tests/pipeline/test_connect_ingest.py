"""Ingestion over Kafka Connect: a real worker with our connector and `gridwatch serve`, against the Python sink."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest

from gridwatch.containers import Store, open_store
from gridwatch.errors import MissingServiceError, StreamError
from gridwatch.pipeline.ingest import ingest_daily
from gridwatch.pipeline.load import load_batch
from gridwatch.pipeline.transport import LoadReport
from gridwatch.settings import ConnectSettings, KafkaSettings, ServerSettings, Settings
from gridwatch.sources import Dataset
from gridwatch.streaming import Producer, drain
from gridwatch.streaming.connect_apply import find_connect
from gridwatch.streaming.connect_drain import ConnectDrain

ROOT = Path(__file__).parents[2]
NOW_MS = 1_700_000_000_000
HEADER = "timestamp,open,high,low,close,volume\n"
# Rows of each kind, and lines that are none: too few cells, no number, a time that never came, two of one time.
LINES = """\
2013-10-11 09:30:00,1,2,1,1.5,9
2013-10-11 09:31:00,1.25,2.5,0.125,1.0000000001,0
2013-10-11 09:32:00,1,2,1
2013-10-11 09:33:00,1,2,1,what,4
2013-10-11 09:34:00,1e-300,1e300,-0.0,123456789.123456789,9007199254740993
2013-11-03 01:30:00,1,2,1,1.5,5
2013-10-11 12:30:00,3,3,3,3,12
1969-12-31 09:30:00,1,2,1,1.5,9
"""


@pytest.fixture(scope="module")
def connected(bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The settings of a platform with Kafka Connect: server and worker run."""
    from gridwatch.server.run import serve
    from gridwatch.streaming.connect import ConnectWorker
    from gridwatch.streaming.connect_files import served_url
    from gridwatch.streaming.connect_service import ConnectService, wanted_connectors

    home = tmp_path_factory.mktemp("connected")
    settings = Settings(
        home=home, kafka=KafkaSettings(bootstrap_servers=bootstrap), server=ServerSettings(port=0), store_url=None
    )
    stop, served, ready = threading.Event(), threading.Event(), threading.Event()
    urls: list[str] = []

    def up(url: str) -> None:
        urls.append(url)
        served.set()

    with open_store(settings.store) as store:
        server = threading.Thread(
            target=serve, args=(settings, store), kwargs={"clock": lambda: NOW_MS, "on_ready": up, "stop": stop}
        )
        server.start()
        assert served.wait(60)
        connect = ConnectSettings(
            enabled=True,
            heap_mib=256,
            connectors_dir=ROOT / "kafka_connect" / "connectors",
            store_url=served_url(urls[0], settings.server.cluster),
        )
        settings = settings.model_copy(update={"connect": connect})
        worker = ConnectWorker(settings, bootstrap, environ=os.environ)
        service = ConnectService(
            settings, [worker], lambda: wanted_connectors(settings, topics="INTRADAY_[A-Za-z0-9_]+")
        )
        watching = threading.Thread(target=service.run, args=(stop,), kwargs={"ready": lambda _: ready.set()})
        watching.start()
        try:
            assert ready.wait(120)
            # As `gridwatch up` tells its children.
            told = connect.model_copy(update={"url": worker.url})
            yield settings.model_copy(update={"connect": told})
        finally:
            stop.set()
            watching.join(60)
            server.join(60)


@pytest.fixture
def plain(bootstrap: str, tmp_path: Path) -> Settings:
    """The settings of a platform with the Python sink, and a home of its own."""
    return Settings(
        home=tmp_path / "plain",
        kafka=KafkaSettings(bootstrap_servers=bootstrap, group_id=f"group-{uuid.uuid4().hex[:8]}"),
    )


def _dataset(symbol: str, source: dict[str, Any]) -> Dataset:
    return Dataset.model_validate({"name": f"d-{symbol.lower()}", "symbol": symbol, "source": source})


def _rows(store: Store, dataset: Dataset) -> tuple[Any, pa.Table]:
    return store.container(dataset.container), store.read(dataset.container)


def _both(
    load: Any, source: dict[str, Any], connected: Settings, plain: Settings
) -> tuple[tuple[LoadReport, Any, pa.Table], tuple[LoadReport, Any, pa.Table]]:
    """Load the same source through Connect and through the sink, each from a topic of its own."""
    found = []
    name = uuid.uuid4().hex[:8].upper()
    for settings, symbol in ((connected, f"C{name}"), (plain, f"P{name}")):
        dataset = _dataset(symbol, source)
        with open_store(settings.store, settings=settings) as store:
            report = load(dataset, store, settings, now_ms=NOW_MS)
            info, table = _rows(store, dataset)
            found.append((report, (info.type, info.columns, info.row_key), table))
    return found[0], found[1]


def test_real_bars_are_the_same_rows_either_way(connected: Settings, plain: Settings) -> None:
    by_connect, by_sink = _both(load_batch, {"kind": "sample", "series": "AAPL"}, connected, plain)
    assert by_connect[0].rows == by_sink[0].rows > 3000
    assert by_connect[1] == by_sink[1], "the container"
    assert by_connect[2].num_rows == by_connect[0].rows
    assert by_connect[2].equals(by_sink[2]), "every cell"


def test_bad_lines_are_refused_alike(connected: Settings, plain: Settings, tmp_path: Path) -> None:
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "bars.csv").write_text(HEADER + LINES)
    source = {"kind": "csv_folder", "path": str(tmp_path / "csv")}
    by_connect, by_sink = _both(ingest_daily, source, connected, plain)
    assert by_connect[0].rejected == by_sink[0].rejected > 0
    assert by_connect[0].rows == by_sink[0].rows
    assert by_connect[0].reasons == by_sink[0].reasons
    assert by_connect[2].equals(by_sink[2])


GOOD = (
    '{"schema": null, "payload": {"ts": 1000, "open": 1, "high": 2.5, "low": null, "volume": 7}}',
    '{"schema": null, "payload": {"TS": 2000, "Close": 2, "VOLUME": 8.0}}',
    '{"schema": null, "payload": {"ts": "2013-10-11T12:30:00-04:00", "close": 12.5}}',
    '{"schema": null, "payload": {"ts": 1000, "open": 3, "volume": -1}}',
    '{"schema": null, "payload": {"ts": 253402300799999, "close": 1e308, "volume": 9007199254740993}}',
    '{"schema": {"type": "struct", "fields": [{"field": "ts", "type": "int64", "name": '
    '"org.apache.kafka.connect.data.Timestamp", "version": 1}, {"field": "close", "type": "float", "optional": true}, '
    '{"field": "volume", "type": "int16"}]}, "payload": {"ts": 5000, "close": 0.5, "volume": 9}}',
)
# Not here: an integer beyond 64 bits. Connect's JsonConverter hands on its lowest 64 bits, which no sink can tell.
BAD = (
    "not json",
    "",
    '{"schema": null, "payload": [1]}',
    '{"schema": null, "payload": null}',
    '{"schema": null, "payload": {"ts": -5, "close": 1}}',
    '{"schema": null, "payload": {"close": 1}}',
    '{"schema": null, "payload": {"ts": null, "close": 1}}',
    '{"schema": null, "payload": {"ts": 6000, "close": "dear"}}',
    '{"schema": null, "payload": {"ts": 6000, "close": NaN}}',
    '{"schema": null, "payload": {"ts": 6000, "close": 1e309}}',
    '{"schema": null, "payload": {"ts": 6000, "volume": 1.5}}',
    '{"schema": null, "payload": {"ts": 6000, "volume": 1e19}}',
    '{"schema": null, "payload": {"ts": 6000, "volume": true}}',
    '{"schema": null, "payload": {"ts": 6000, "nowhere": 1}}',
    '{"schema": null, "payload": {"ts": "2013-11-03 25:30:00"}}',
)


def test_records_are_rows_or_dead_letters_alike(connected: Settings, plain: Settings, bootstrap: str) -> None:
    found = []
    for settings in (connected, plain):
        dataset = _dataset(f"R{uuid.uuid4().hex[:8].upper()}", {"kind": "sample", "series": "AAPL"})
        topic = dataset.container
        with open_store(settings.store) as store, Producer(settings, bootstrap) as producer:
            store.put_container(dataset.info)
            producer.ensure_topics([topic])
            waiting = ConnectDrain(settings, bootstrap, [topic]) if settings is connected else None
            # In turns, so that a bad one never stands at the edge of a batch alone.
            for text in (text for pair in zip_longest(GOOD, BAD) for text in pair if text is not None):
                producer.repeat(topic, text.encode(), key=b"k", headers=[])
            producer.flush()
            if waiting is not None:
                report = waiting.settle(timeout_s=120)
                assert waiting.settle(timeout_s=60).dead_letters == 0, "each is counted once"
            else:
                report = drain(settings, bootstrap, store, [topic], timeout_s=120)
            found.append((report.rows, report.dead_letters, store.read(topic).to_pylist()))
    by_connect, by_sink = found
    assert by_sink[:2] == (len(GOOD), len(BAD))
    assert by_connect == by_sink


def test_a_topic_that_the_connector_does_not_read_is_told_at_once(connected: Settings, bootstrap: str) -> None:
    with pytest.raises(StreamError, match=r"'gridwatch-sink' does not read topic 'pump', but 'INTRADAY_"):
        ConnectDrain(connected, bootstrap, ["pump"])
    other = connected.connect.model_copy(update={"connector": "gridwatch-sink", "url": "http://127.0.0.1:9"})
    with pytest.raises(MissingServiceError, match=r"Kafka Connect at http://127\.0\.0\.1:9 does not answer"):
        ConnectDrain(connected.model_copy(update={"connect": other}), bootstrap, ["INTRADAY_X"])


def test_a_connector_that_somebody_halted_is_told_rather_than_waited_for(connected: Settings, bootstrap: str) -> None:
    topic, api = f"INTRADAY_{uuid.uuid4().hex[:8].upper()}", find_connect(connected).api
    with Producer(connected, bootstrap) as producer:
        producer.ensure_topics([topic])
        waiting = ConnectDrain(connected, bootstrap, [topic])
        api._ask("PUT", "/connectors/gridwatch-sink/pause")
        try:
            producer.repeat(topic, b"{}", key=None, headers=[])
            producer.flush()
            with pytest.raises(
                StreamError, match=rf"'gridwatch-sink' is paused: topic '{topic}'.*connectors/gridwatch"
            ):
                waiting.settle(timeout_s=60)
        finally:
            api._ask("PUT", "/connectors/gridwatch-sink/resume")
    assert waiting.settle(timeout_s=60).dead_letters == 1


def test_rows_that_go_into_another_store_are_not_recorded_as_loaded(connected: Settings, tmp_path: Path) -> None:
    dataset = _dataset(f"C{uuid.uuid4().hex[:8].upper()}", {"kind": "sample", "series": "AAPL"})
    other = connected.model_copy(update={"store_url": f"sqlite:///{tmp_path / 'other.db'}"})
    with open_store(other.store) as store:
        with pytest.raises(StreamError, match=r"connector 'gridwatch-sink' .*no row of 20\d\d-.* it writes elsewhere"):
            load_batch(dataset, store, other, now_ms=NOW_MS)
        assert store.read(dataset.container).num_rows == 0
        assert store.read("loads").num_rows == 0
    with open_store(connected.store) as there:
        assert there.read(dataset.container).num_rows > 3000


def test_a_load_while_nothing_runs_brings_worker_and_server_and_leaves_neither(
    connected: Settings, bootstrap: str, tmp_path: Path
) -> None:
    home, connectors = tmp_path / "alone", tmp_path / "connectors"
    for folder in (home, connectors):
        folder.mkdir()
    # On one Kafka cluster connectors of one name would share the work.
    shipped = json.loads((ROOT / "kafka_connect" / "connectors" / "gridwatch-sink.json").read_text())
    shipped["config"]["errors.deadletterqueue.topic.name"] = "alone.dlq"
    (connectors / "alone.json").write_text(json.dumps(shipped | {"name": "alone"}))
    # What a server of this home wrote down before it was killed; one of another home has its port now.
    left = json.loads((connected.home / "server.json").read_text())
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    (home / "server.json").write_text(json.dumps(left | {"pid": dead.pid}))
    connect = ConnectSettings(enabled=True, heap_mib=256, connectors_dir=connectors, connector="alone")
    settings = Settings(home=home, kafka=KafkaSettings(bootstrap_servers=bootstrap), connect=connect)
    dataset = _dataset(f"C{uuid.uuid4().hex[:8].upper()}", {"kind": "sample", "series": "AAPL"})
    with open_store(settings.store) as store:
        report = load_batch(dataset, store, settings, now_ms=NOW_MS)
        assert store.read(dataset.container).num_rows == report.rows > 3000
    ours = [one for one in psutil.Process().children() if _is_of(one, home)]
    assert ours == []


def _is_of(process: psutil.Process, home: Path) -> bool:
    with suppress(psutil.Error):
        return process.status() != psutil.STATUS_ZOMBIE and str(home) in " ".join(process.environ().values())
    return False
