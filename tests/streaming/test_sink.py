"""Frames through a real broker into a real store: the same rows, dead letters with reasons, nothing lost."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gridwatch.containers import Column, ColumnType, Store
from gridwatch.containers.catalog import series_info
from gridwatch.errors import StoreBusyError, StreamError, ValueRefusedError
from gridwatch.settings import Settings
from gridwatch.streaming import Producer, Sink, TimeFormat, drain, read_dead_letters, replay_dead_letters
from gridwatch.streaming.clients import admin, connect

Bars = Callable[..., pd.DataFrame]
INGESTED_MS = time.time_ns() // 1_000_000


def _send(settings: Settings, bootstrap: str, topic: str, frame: pd.DataFrame, raw: list[bytes | None] = []) -> None:  # noqa: B006 - read only
    with Producer(settings, bootstrap) as producer:
        producer.ensure_topics([topic])
        if len(frame):
            producer.send(topic, frame, series_info(topic), ingested_ms=INGESTED_MS)
        for value in raw:
            producer.repeat(topic, value, key=b"raw", headers=[("trace", b"7")])


def _table(frame: pd.DataFrame, topic: str) -> pa.Table:
    naive = frame.assign(ts=frame["ts"].dt.tz_convert(None))
    return pa.Table.from_pandas(naive, preserve_index=False).cast(series_info(topic).arrow)


def test_a_frame_arrives_as_it_was(settings: Settings, bootstrap: str, store: Store, topic: str, bars: Bars) -> None:
    frame = bars(12_000)
    seen: list[tuple[int, int | None]] = []
    with Producer(settings, bootstrap) as producer:
        assert producer.ensure_topics([topic]) == [topic, f"{topic}.dlq"]
        assert producer.ensure_topics([topic]) == [], "topics that exist are fine"
        info = series_info(topic)
        sent = producer.send(topic, frame, info, ingested_ms=INGESTED_MS, progress=lambda *done: seen.append(done))
    assert (sent, seen[-1]) == (12_000, (12_000, 12_000))
    # No container is there: it is made from the records' schema.
    report = drain(settings, bootstrap, store, [topic], timeout_s=180)
    assert (report.rows, report.dead_letters) == (12_000, 0)
    assert store.container(topic) == info
    assert store.read(topic).equals(_table(frame, topic))
    assert list(read_dead_letters(settings, bootstrap, topic)) == []
    again = drain(settings, bootstrap, store, [topic], timeout_s=180)
    assert (again.rows, again.dead_letters) == (0, 0)


def test_records_that_are_no_rows_go_to_the_dead_letters(
    settings: Settings, bootstrap: str, store: Store, topic: str, bars: Bars
) -> None:
    store.put_container(series_info(topic))
    frame = bars(300)
    bad: list[bytes | None] = [b"{", None, b'{"ts": 1, "close": NaN}', b'{"ts": 1, "vwap": 2}']
    _send(settings, bootstrap, topic, frame, bad)
    report = drain(settings, bootstrap, store, [topic], timeout_s=180)
    assert (report.rows, report.dead_letters) == (300, 4)
    assert store.read(topic).equals(_table(frame, topic))
    letters = list(read_dead_letters(settings, bootstrap, topic))
    assert [(letter.value, letter.key, letter.headers) for letter in letters] == [
        (value, b"raw", (("trace", b"7"),)) for value in bad
    ]
    assert [letter.reason.split(" ")[0] for letter in letters] == ["not", "tombstone", "NaN", "unknown"]
    assert [(letter.topic, letter.partition, letter.offset) for letter in letters] == [
        (topic, 0, offset) for offset in range(300, 304)
    ]


def test_dead_letters_are_sent_again_once_the_cause_is_gone(
    settings: Settings, bootstrap: str, store: Store, topic: str, bars: Bars
) -> None:
    info = series_info(topic)
    store.put_container(info)
    _send(settings, bootstrap, topic, bars(1), [b'{"ts": 1, "vwap": 2.5}', b"{"])
    sink = Sink(settings, bootstrap, store, [topic])
    sink.run_until(lambda: sink.dead_letters == 2)
    wider = series_info(topic, (*info.columns[1:], Column("vwap", ColumnType.DOUBLE)))
    store.put_container(wider, modifiable=True)
    assert replay_dead_letters(settings, bootstrap, topic) == 2
    assert replay_dead_letters(settings, bootstrap, topic) == 0, "they were sent"
    # The same sink sees the new column without being told.
    sink.run_until(lambda: sink.rows == 2 and sink.dead_letters == 3)
    assert store.read(topic)["vwap"].to_pylist() == [2.5, None]
    assert [letter.value for letter in read_dead_letters(settings, bootstrap, topic)] == [b"{"]


def test_a_source_line_that_cannot_be_sent_as_a_row_is_a_dead_letter_too(
    settings: Settings, bootstrap: str, topic: str
) -> None:
    with Producer(settings, bootstrap) as producer:
        producer.ensure_topics([topic])
        producer.dead_letter(topic, b"2024-13-01,1", "line 7: no such month", headers={"gridwatch.source": "x.csv"})
    [letter] = read_dead_letters(settings, bootstrap, topic)
    assert (letter.value, letter.reason, letter.partition) == (b"2024-13-01,1", "line 7: no such month", -1)


class _Flaky:
    """The store, but the first writes find it locked."""

    def __init__(self, store: Store, failures: int) -> None:
        self._store = store
        self.failures = failures

    def put_many(self, rows: Mapping[str, Any]) -> int:
        if self.failures:
            self.failures -= 1
            raise StoreBusyError("another writer held the lock too long")
        return self._store.put_many(rows)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_a_store_that_is_away_is_waited_for(
    settings: Settings, bootstrap: str, store: Store, topic: str, bars: Bars
) -> None:
    _send(settings, bootstrap, topic, bars(50), [b"{"])
    flaky = _Flaky(store, failures=2)
    report = drain(settings, bootstrap, flaky, [topic], timeout_s=180)
    assert (report.rows, report.dead_letters, flaky.failures) == (50, 1, 0)
    assert store.read(topic).num_rows == 50
    assert len(list(read_dead_letters(settings, bootstrap, topic))) == 1


def test_what_only_the_store_refuses_is_told_apart_from_its_neighbours(
    settings: Settings, bootstrap: str, store: Store, topic: str
) -> None:
    info = series_info(topic, (Column("note", ColumnType.STRING),))
    store.put_container(info)
    values = [json.dumps({"ts": ms, "note": "a\0b" if ms in (3, 8) else "ok"}).encode() for ms in range(10)]
    _send(settings, bootstrap, topic, pd.DataFrame(), list(values))
    report = drain(settings, bootstrap, store, [topic], timeout_s=180)
    assert (report.rows, report.dead_letters) == (8, 2)
    assert store.read(topic).num_rows == 8
    letters = list(read_dead_letters(settings, bootstrap, topic))
    assert [(letter.offset, "NUL character" in letter.reason) for letter in letters] == [(3, True), (8, True)]


def test_without_container_and_schema_nothing_is_guessed(
    settings: Settings, bootstrap: str, store: Store, topic: str
) -> None:
    _send(settings, bootstrap, topic, pd.DataFrame(), [b'{"ts": 1}', b"nonsense"])
    assert drain(settings, bootstrap, store, [topic], timeout_s=180).dead_letters == 2
    assert store.container(topic) is None
    [first, _] = read_dead_letters(settings, bootstrap, topic)
    assert f"there is no container '{topic}', and the record has no schema" in first.reason


class _Late:
    """The store, but the container comes between the first look and the try to make it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._looks = 0

    def container(self, name: str) -> Any:
        self._looks += 1
        return None if self._looks == 1 else self._store.container(name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_a_container_that_another_member_made_meanwhile_takes_the_rows(
    settings: Settings, bootstrap: str, store: Store, topic: str, bars: Bars
) -> None:
    store.put_container(series_info(topic, (*series_info(topic).columns[1:], Column("note", ColumnType.STRING))))
    _send(settings, bootstrap, topic, bars(3))
    report = drain(settings, bootstrap, _Late(store), [topic], timeout_s=180)
    assert (report.rows, report.dead_letters, store.read(topic).num_rows) == (3, 0, 3)


def test_a_topic_that_others_made_gets_its_dead_letter_topic(
    settings: Settings, bootstrap: str, store: Store, topic: str
) -> None:
    with admin(settings, bootstrap) as client:
        client.create_topics([topic], wait_for_metadata=True)
    with Producer(settings, bootstrap) as producer:
        producer.repeat(topic, b"nonsense", key=None, headers=[])
    assert drain(settings, bootstrap, store, [topic], timeout_s=180).dead_letters == 1
    assert [letter.value for letter in read_dead_letters(settings, bootstrap, topic)] == [b"nonsense"]


def test_a_record_too_large_for_the_dead_letters_holds_up_nothing(
    settings: Settings, bootstrap: str, store: Store, topic: str, bars: Bars
) -> None:
    with admin(settings, bootstrap) as client:
        client.create_topics({topic: {"num_partitions": 1, "configs": {"max.message.bytes": str(4 << 20)}}})
    whole = np.random.default_rng(7).bytes(2_000_000)
    with Producer(settings, bootstrap) as producer:
        producer.repeat(topic, whole, key=b"large", headers=[])
    _send(settings, bootstrap, topic, bars(3), [b"small"])
    report = drain(settings, bootstrap, store, [topic], timeout_s=120)
    assert (report.rows, report.dead_letters) == (3, 2)
    cut, small = sorted(read_dead_letters(settings, bootstrap, topic), key=lambda letter: letter.offset)
    assert (cut.key, cut.value, cut.offset) == (b"large", whole[:65536], 0)
    assert cut.reason.endswith("; only the first 65536 of its 2000000 bytes are here, the whole is at its own place")
    assert (small.value, small.offset) == (b"small", 4)


@pytest.mark.parametrize("end", ["commit_transaction", "abort_transaction"])
def test_a_topic_with_transactions_is_drained_to_its_end(
    settings: Settings, bootstrap: str, store: Store, topic: str, bars: Bars, end: str
) -> None:
    from kafka import KafkaProducer

    _send(settings, bootstrap, topic, bars(0))
    store.put_container(series_info(topic))
    producer = connect(KafkaProducer, settings, bootstrap, transactional_id=topic)
    producer.init_transactions()
    producer.begin_transaction()
    row = {"ts": 1, "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1}
    producer.send(topic, json.dumps(row).encode(), key=b"1")
    producer.flush()
    getattr(producer, end)()
    producer.close()
    # The last offset is the transaction's mark, which is no record.
    drain(settings, bootstrap, store, [topic], timeout_s=120)
    assert store.read(topic).num_rows == (1 if end == "commit_transaction" else 0)


def test_times_as_text_with_pattern_and_zone(settings: Settings, bootstrap: str, store: Store, topic: str) -> None:
    store.put_container(series_info(topic))
    texts = ["2024-11-02 09:30", "2024-11-03 01:30", "2024-11-04 09:30"]
    _send(settings, bootstrap, topic, pd.DataFrame(), [json.dumps({"ts": text, "close": 1}).encode() for text in texts])
    times = TimeFormat("%Y-%m-%d %H:%M", "America/New_York")
    assert drain(settings, bootstrap, store, [topic], timeout_s=180, times=times).rows == 2
    assert store.read(topic)["ts"].to_pylist() == [pd.Timestamp("2024-11-02T13:30Z"), pd.Timestamp("2024-11-04T14:30Z")]
    [letter] = read_dead_letters(settings, bootstrap, topic)
    assert "came twice in America/New_York" in letter.reason


def test_a_container_that_changes_under_the_sink_is_looked_at_again(
    settings: Settings, bootstrap: str, store: Store, topic: str, bars: Bars
) -> None:
    _send(settings, bootstrap, topic, bars(5))
    sink = Sink(settings, bootstrap, store, [topic])
    sink.run_until(lambda: sink.rows == 5)
    # Dropped: made again from the schema of the next records.
    store.drop_container(topic)
    _send(settings, bootstrap, topic, bars(7))
    sink.run_until(lambda: sink.rows == 12)
    assert store.read(topic).num_rows == 7
    # Replaced by a narrower one: the records do not fit any more, and say so.
    store.drop_container(topic)
    store.put_container(series_info(topic, (Column("close", ColumnType.DOUBLE),)))
    _send(settings, bootstrap, topic, bars(1))
    sink.run_until(lambda: sink.dead_letters == 1)
    [letter] = read_dead_letters(settings, bootstrap, topic)
    assert letter.reason == "unknown field 'open'; the container has ts, close"


def test_two_members_share_the_partitions_and_one_goes(
    settings: Settings, bootstrap: str, store: Store, topic: str, bars: Bars
) -> None:
    frame = bars(4_000)
    store.put_container(series_info(topic))
    sinks = [Sink(settings, bootstrap, store, [topic], rows_max=50) for _ in range(2)]
    stops = [threading.Event() for _ in sinks]
    threads = [threading.Thread(target=sink.run, args=(stop,)) for sink, stop in zip(sinks, stops, strict=True)]
    with Producer(settings, bootstrap) as producer:
        producer.ensure_topics([topic], partitions=4)
        for thread in threads:
            thread.start()
        try:
            # The same rows again and again, until both members have got some; upserts change nothing.
            deadline = time.monotonic() + 180
            while not all(sink.rows for sink in sinks) and time.monotonic() < deadline:
                producer.send(topic, frame.iloc[:200], series_info(topic), ingested_ms=INGESTED_MS)
            producer.send(topic, frame.iloc[200:2_000], series_info(topic), ingested_ms=INGESTED_MS)
            stops[0].set()
            producer.send(topic, frame.iloc[2_000:], series_info(topic), ingested_ms=INGESTED_MS)
            drain(settings, bootstrap, store, [topic], timeout_s=180)
        finally:
            for stop, thread in zip(stops, threads, strict=True):
                stop.set()
                thread.join(120)
    assert store.read(topic).equals(_table(frame, topic))
    assert all(sink.rows for sink in sinks)
    assert list(read_dead_letters(settings, bootstrap, topic)) == []


def test_a_drain_beside_a_running_sink_leaves_the_work_to_it(
    settings: Settings, bootstrap: str, store: Store, topic: str, bars: Bars
) -> None:
    _send(settings, bootstrap, topic, bars(10))
    # By pattern, as the sink of `gridwatch up` reads; dead letters match it too and must not be read as rows.
    sink = Sink(settings, bootstrap, store, pattern=f"{topic}.*")
    stop = threading.Event()
    thread = threading.Thread(target=sink.run, args=(stop,))
    thread.start()
    try:
        deadline = time.monotonic() + 180
        while sink.rows < 10 and time.monotonic() < deadline:
            time.sleep(0.05)
        _send(settings, bootstrap, topic, bars(500, start="2024-03-09T00:00"), [b"{"])
        report = drain(settings, bootstrap, store, [topic], timeout_s=180)
    finally:
        stop.set()
        thread.join(120)
    assert not thread.is_alive()
    assert (sink.rows, sink.dead_letters) == (510, 1), "the running sink did all of it"
    assert report.rows + report.dead_letters <= 501
    assert store.read(topic).num_rows == 510


def test_a_drain_that_is_too_slow_tells_how_far_it_got(
    settings: Settings, bootstrap: str, store: Store, topic: str, bars: Bars
) -> None:
    _send(settings, bootstrap, topic, bars(20))
    stuck = _Flaky(store, failures=1000)
    with pytest.raises(StreamError, match=rf"did not catch up in 2 s: topic '{topic}' partition 0 is at 0 of 20"):
        drain(settings, bootstrap, stuck, [topic], timeout_s=2)


def test_a_drain_of_no_topic_is_told(settings: Settings, bootstrap: str, store: Store) -> None:
    with pytest.raises(StreamError, match=r"There is no topic 'INTRADAY_GONE' at 127.0.0.1:\d+; make it beforehand"):
        drain(settings, bootstrap, store, ["INTRADAY_GONE"], timeout_s=120)


def test_a_producer_tells_what_was_not_delivered(settings: Settings, bootstrap: str, topic: str, bars: Bars) -> None:
    quick = settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"request_timeout_s": 1.0})})
    with pytest.raises(StreamError, match=rf"1 records for topic '{topic}' were not delivered to Kafka at 127"):
        with Producer(quick, bootstrap) as producer:
            producer.send(topic, bars(1), series_info(topic), ingested_ms=INGESTED_MS)


def test_a_record_that_is_too_large_is_told(settings: Settings, bootstrap: str, topic: str) -> None:
    info = series_info(topic, (Column("data", ColumnType.BLOB),))
    frame = pd.DataFrame({"ts": [1], "data": [np.random.default_rng(7).bytes(2_000_000)]})
    with Producer(settings, bootstrap) as producer:
        producer.ensure_topics([topic])
        with pytest.raises(StreamError, match=r"not delivered.*too large\. The topic's max\.message"):
            producer.send(topic, frame, info, ingested_ms=INGESTED_MS)


def test_a_frame_with_nan_is_refused_before_anything_is_sent(
    settings: Settings, bootstrap: str, topic: str, bars: Bars
) -> None:
    frame = bars(3)
    frame.loc[2, "close"] = float("nan")
    with Producer(settings, bootstrap) as producer:
        with pytest.raises(ValueRefusedError, match="'close', row 2"):
            producer.send(topic, frame, series_info(topic), ingested_ms=INGESTED_MS)
