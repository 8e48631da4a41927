"""Records as the sink gets them: some of each partition, and where it goes on behind them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from confluent_kafka import Message

__all__ = ["Batch", "Offsets", "Record"]

Offsets = dict[tuple[str, int], int]
"""Offset by topic and partition."""


class Record(NamedTuple):
    """A record as it came."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]

    @classmethod
    def of(cls, message: Message) -> Record:
        """Return what a message of librdkafka's holds."""
        place = message.topic() or "", message.partition() or 0, message.offset() or 0
        headers: Any = message.headers() or []
        return cls(*place, message.timestamp()[1], message.key(), message.value(), headers)


@dataclass(slots=True)
class Batch:
    """Records by topic, in the order of their partitions.

    Args:
        messages: librdkafka's, each with a value.
        begins: Offset of the first record of each partition.
        ends: Where to go on in each partition once the batch is done. One without a record may be here too: what
            lies before that offset is no record, such as the mark at the end of a transaction.
    """

    messages: dict[str, list[Message]] = field(default_factory=dict)
    begins: Offsets = field(default_factory=dict)
    ends: Offsets = field(default_factory=dict)
