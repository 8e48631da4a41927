"""Records of ten megabytes: rows and dead letters where the limits are raised, told where they are not."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from random import Random

import pytest

from gridwatch.containers import Column, ColumnType, Store
from gridwatch.containers.catalog import series_info
from gridwatch.errors import StreamError
from gridwatch.settings import RECORD_BYTES_MAX, Settings
from gridwatch.streaming import Producer, drain, read_dead_letters, replay_dead_letters
from gridwatch.streaming.broker_files import BrokerState, server_properties
from gridwatch.streaming.clients import admin
from gridwatch.streaming.dead_letter_reader import read_topics

TEN_MB = 10_000_000
COLUMNS = (Column("data", ColumnType.BLOB),)


def raised(settings: Settings, record_bytes_max: int = 12_000_000) -> Settings:
    kafka = settings.kafka.model_copy(update={"record_bytes_max": record_bytes_max})
    return settings.model_copy(update={"kafka": kafka})


def megabytes(size: int) -> bytes:
    """Return bytes that Kafka's compression makes eight times smaller: 10 MB are above its limit of 1 MiB even so."""
    # More than that would only be time spent on checksums.
    random = Random(7)
    return b"".join(random.randbytes(768) * 8 for _ in range(size // 6144 + 1))[:size]


def test_ten_megabytes_are_a_row_or_a_dead_letter(settings: Settings, bootstrap: str, store: Store, topic: str) -> None:
    large = raised(settings)
    store.put_container(series_info(topic, COLUMNS))
    data = megabytes(TEN_MB * 3 // 4)
    row = json.dumps({"ts": 1, "data": base64.b64encode(data).decode()}).encode()
    bad = megabytes(TEN_MB)
    with Producer(large, bootstrap) as producer:
        producer.ensure_topics([topic])
        for value in (b'{"ts": 0}', row, bad, b'{"ts": 2}'):
            producer.repeat(topic, value, key=b"k", headers=[])
    report = drain(large, bootstrap, store, [topic], timeout_s=90)
    assert (report.rows, report.dead_letters) == (3, 1)
    assert store.read(topic)["data"].to_pylist() == [None, data, None]
    [letter] = read_dead_letters(large, bootstrap, topic)
    assert (letter.value, letter.offset, letter.whole_bytes) == (bad, 2, None)
    # It goes back as it came, whatever the limit of those who replay.
    assert replay_dead_letters(settings, bootstrap, topic) == 1
    *_, last = read_topics(settings, bootstrap, [topic])
    assert last.value == bad


def test_a_cut_letter_is_replayed_whole_from_its_own_place(
    settings: Settings, bootstrap: str, store: Store, topic: str
) -> None:
    store.put_container(series_info(topic, COLUMNS))
    # A topic that somebody else made for large records; its dead-letter topic comes later, with Kafka's own limit.
    with admin(settings, bootstrap) as client:
        client.create_topics({topic: {"num_partitions": 1, "configs": {"max.message.bytes": "12000000"}}})
    large = Random(7).randbytes(1_300_000)
    with Producer(settings, bootstrap) as producer:
        producer.repeat(topic, large, key=b"large", headers=[("trace", b"7")])
        producer.repeat(topic, b"small", key=b"k", headers=[])
    assert drain(settings, bootstrap, store, [topic], timeout_s=90).dead_letters == 2
    letters = list(read_dead_letters(settings, bootstrap, topic))
    cut, small = sorted(letters, key=lambda letter: letter.offset)
    assert (cut.whole_bytes, cut.value, cut.key) == (1_300_000, large[:65_536], b"large")
    assert small.value == b"small"
    assert replay_dead_letters(settings, bootstrap, topic) == 2
    again = {record.key: record for record in read_topics(settings, bootstrap, [topic]) if record.offset > 1}
    assert (again[b"large"].value, again[b"large"].headers) == (large, [("trace", b"7")])


def test_where_the_limit_is_not_raised_the_sender_is_told(settings: Settings, bootstrap: str, topic: str) -> None:
    with Producer(settings, bootstrap) as producer:
        producer.ensure_topics([topic])
        producer.repeat(topic, megabytes(TEN_MB), key=b"k", headers=[])
        with pytest.raises(
            StreamError, match=rf"1 records for topic '{topic}' were not delivered.*max.message.bytes is"
        ):
            producer.flush()


def test_the_broker_of_its_own_takes_what_the_setting_says(tmp_path: Path) -> None:
    lines = server_properties(BrokerState("c", 1, 2), tmp_path, RECORD_BYTES_MAX + 5).splitlines()
    assert f"message.max.bytes={RECORD_BYTES_MAX + 5}" in lines
