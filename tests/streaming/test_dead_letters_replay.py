"""A replay that dies, fails or meets another one sends no letter twice and forgets none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from gridwatch.errors import StreamError
from gridwatch.settings import Settings
from gridwatch.streaming import Producer
from gridwatch.streaming.clients import admin
from gridwatch.streaming.dead_letter_reader import read_letters, read_topics
from gridwatch.streaming.dead_letter_replay import Outgoing, Replay

COUNT = 1_200

KILLED = """
import sys, time
from gridwatch.settings import KafkaSettings, Settings
from gridwatch.streaming.dead_letter_replay import Replay
from gridwatch.streaming.dead_letter_reader import read_letters
bootstrap, topic = sys.argv[1:]
settings = Settings(kafka=KafkaSettings())
with Replay(settings, bootstrap) as replay:
    first = replay.send
    def send(records, done):
        if len(replay.replayed.ranges().get((topic + ".dlq", 0), [])):
            # Sent and marked within a transaction that nobody will commit.
            replay._producer.begin_transaction()
            for record in records:
                replay._send(record)
            replay._producer.flush()
            print("sent", flush=True)
            time.sleep(600)
        first(records, done)
    replay.send = send
    replay.run(read_letters(settings, bootstrap, [topic + ".dlq"]))
"""


def leave_letters(settings: Settings, bootstrap: str, topic: str, count: int) -> None:
    with Producer(settings, bootstrap) as producer:
        producer.ensure_topics([topic])
        for number in range(count):
            where = {"gridwatch.partition": "0", "gridwatch.offset": str(number)}
            producer.dead_letter(topic, str(number).encode(), "why", key=b"k", headers=where)


def arrived(settings: Settings, bootstrap: str, topic: str) -> list[int]:
    return [int(record.value) for record in read_topics(settings, bootstrap, [topic])]


def test_a_replay_that_is_killed_is_gone_on_with(settings: Settings, bootstrap: str, topic: str) -> None:
    leave_letters(settings, bootstrap, topic, COUNT)
    with subprocess.Popen([sys.executable, "-c", KILLED, bootstrap, topic], stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            assert "sent\n" in child.stdout
        finally:
            os.kill(child.pid, signal.SIGKILL)
    assert arrived(settings, bootstrap, topic) == list(range(500)), "the first batch is committed, the second is not"
    with Replay(settings, bootstrap) as replay:
        report = replay.run(read_letters(settings, bootstrap, [f"{topic}.dlq"]))
    assert (report.sent, report.kept) == (COUNT - 500, 0)
    assert arrived(settings, bootstrap, topic) == list(range(COUNT))


def test_of_two_replays_the_second_goes_on(settings: Settings, bootstrap: str, topic: str) -> None:
    leave_letters(settings, bootstrap, topic, 3)
    letters = list(read_letters(settings, bootstrap, [f"{topic}.dlq"]))
    with Replay(settings, bootstrap) as first, Replay(settings, bootstrap) as second:
        assert second.run(letters).sent == 3
        with pytest.raises(StreamError, match=r"Nothing of 3 records was replayed to Kafka at 127"):
            first.run(letters)
    assert arrived(settings, bootstrap, topic) == [0, 1, 2]


def test_what_kafka_refuses_leaves_what_was_sent_before(settings: Settings, bootstrap: str, topic: str) -> None:
    leave_letters(settings, bootstrap, topic, 3)
    letters = list(read_letters(settings, bootstrap, [f"{topic}.dlq"]))

    def swollen(record: Outgoing) -> Outgoing:
        return Outgoing(record.letter, record.topic, None, os.urandom(1_200_000), ())

    with (
        Replay(settings, bootstrap) as replay,
        pytest.raises(StreamError, match=r"Raise the topic's max\.message\.bytes"),
    ):
        replay.run(letters, swollen)
    with Replay(settings, bootstrap) as replay:
        assert replay.run(letters).sent == 3
    assert arrived(settings, bootstrap, topic) == [0, 1, 2]


def test_a_dead_letter_topic_that_is_made_anew_is_another(settings: Settings, bootstrap: str, topic: str) -> None:
    for _ in range(2):
        leave_letters(settings, bootstrap, topic, 2)
        with Replay(settings, bootstrap) as replay:
            assert replay.run(read_letters(settings, bootstrap, [f"{topic}.dlq"])).sent == 2
        with admin(settings, bootstrap) as client:
            client.delete_topics([f"{topic}.dlq"])
            deadline = time.monotonic() + 60
            while f"{topic}.dlq" in client.list_topics() and time.monotonic() < deadline:
                time.sleep(0.1)
    assert arrived(settings, bootstrap, topic) == [0, 1, 0, 1]
