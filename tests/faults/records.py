"""The records of a fault test: any of them can be made again from the seed and its number, in any process."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.streaming.envelope import connect_schema

__all__ = ["NUMBER_HEADER", "Record", "Source", "info_of"]

NUMBER_HEADER = "number"
"""Header that holds a record's number, so that it is known wherever it turns up."""

_FIRST_MS = 1_700_000_000_000
_BACK_MAX = 200
_GOOD_FIRST = 300

Row = tuple[int, int, float | None, str | None]


@dataclass(frozen=True, slots=True)
class Record:
    """One record.

    Args:
        number: 0, 1, 2, ... in the order of sending.
        topic: One of the source's.
        key: The row key as text, also of a bad one.
        value: What is sent.
        row: What it has to become, in the container's column order; None for a bad one.
    """

    number: int
    topic: str
    key: bytes
    value: bytes
    row: Row | None


def info_of(container: str) -> ContainerInfo:
    """Return the container that the sinks make of the records' schema."""
    columns = (
        Column("ts", ColumnType.TIMESTAMP, nullable=False),
        Column("number", ColumnType.LONG, nullable=False),
        Column("price", ColumnType.DOUBLE),
        Column("note", ColumnType.STRING),
    )
    return ContainerInfo(container, ContainerType.TIME_SERIES, columns, ("ts",))


class Source:
    """Records by number. Some update the row of an earlier one, some are bad in one of several ways.

    Args:
        seed: Same seed, same records.
        count: How many there are.
        name: Beginning of the names of its three topics.
        bad: Share of bad ones.
        updates: Share of those that update an earlier row, so that order matters too.
    """

    def __init__(self, seed: int, count: int, name: str = "FAULTS", *, bad: float = 0.02, updates: float = 0.2) -> None:
        self.seed = seed
        self.count = count
        self.name = name
        self.topics = tuple(f"{name}_{letter}" for letter in "ABC")
        self._bad = bad
        self._updates = updates
        schemas = {topic: connect_schema(info_of(topic)) for topic in self.topics}
        self._heads = {topic: _head(schema, schema["fields"]) for topic, schema in schemas.items()}
        # A field that the container has no column for, and one of another type than its column.
        more = {"type": "string", "optional": True, "field": "surplus"}
        text = {"type": "string", "optional": True, "field": "price"}
        self._surplus = {topic: _head(schema, [*schema["fields"], more]) for topic, schema in schemas.items()}
        self._texts = {
            topic: _head(schema, [text if field["field"] == "price" else field for field in schema["fields"]])
            for topic, schema in schemas.items()
        }

    def __getitem__(self, number: int) -> Record:
        chance = random.Random(f"{self.seed}/{number}")
        topic = self.topics[number % len(self.topics)]
        first = number
        if number >= len(self.topics) and chance.random() < self._updates:
            # The same container's, so that both go to one partition.
            back = chance.randint(1, min(_BACK_MAX, number // len(self.topics)))
            first = number - back * len(self.topics)
        ts = _FIRST_MS + 1000 * first
        price = None if chance.random() < 0.05 else round(chance.gauss(100, 20), 4)
        note = None if chance.random() < 0.1 else chance.choice(("plain", "Ünï ¢ö∂é", 'say "hi"\n', ""))
        row: Row | None = (ts, number, price, note)
        head = self._heads[topic]
        payload: dict[str, Any] = {"ts": ts, "number": number, "price": price, "note": note}
        raw = None
        # The first ones are good: a container is made from the first record that is read, whatever it holds.
        if number >= _GOOD_FIRST and chance.random() < self._bad:
            row = None
            match chance.randrange(7):
                case 0:
                    raw = f"no JSON, record {number}"
                case 1:
                    head, payload["price"] = self._texts[topic], "much"
                case 2:
                    del payload["ts"]
                case 3:
                    payload["ts"] = -1
                case 4:
                    payload["price"] = float("nan")
                case 5:
                    payload["number"] = "text where the schema says otherwise"
                case _:
                    head, payload["surplus"] = self._surplus[topic], "what the container has no column for"
        text = f'{head}, "payload": {json.dumps(payload)}}}' if raw is None else raw
        return Record(number, topic, str(ts).encode(), text.encode(), row)

    def __len__(self) -> int:
        return self.count


def _head(schema: dict[str, Any], fields: list[dict[str, Any]]) -> str:
    """Return the envelope's beginning, up to the payload."""
    return json.dumps({"schema": schema | {"fields": fields}})[:-1]
