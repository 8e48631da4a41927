"""Rows through Kafka: envelope, producer, sink, dead letters, and the broker.

kafka-python is imported only when a client is made, so importing this room stays cheap.
"""

from gridwatch.streaming.broker import Broker, broker_for
from gridwatch.streaming.dead_letter_reader import read_dead_letters
from gridwatch.streaming.dead_letter_replay import replay_dead_letters
from gridwatch.streaming.dead_letters import DeadLetter
from gridwatch.streaming.drain import drain
from gridwatch.streaming.producer import Producer, ensure_topics
from gridwatch.streaming.sink import Sink, SinkReport
from gridwatch.streaming.times import TimeFormat

__all__ = [
    "Broker",
    "DeadLetter",
    "Producer",
    "Sink",
    "SinkReport",
    "TimeFormat",
    "broker_for",
    "drain",
    "ensure_topics",
    "read_dead_letters",
    "replay_dead_letters",
]
