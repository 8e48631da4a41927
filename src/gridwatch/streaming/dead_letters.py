"""Records that could not become rows: how they are written to the dead letters, and what is known of one.

Two sinks leave dead letters. Ours writes them to `<topic>.dlq` with headers `gridwatch.*`; Kafka Connect writes those
of all topics of a connector to one topic of any name, with headers `__connect.errors.*` where its
`errors.deadletterqueue.context.headers.enable` is on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from gridwatch.errors import ConfigError
from gridwatch.streaming.producer import DLQ_SUFFIX, Producer, RecordTooLargeError

__all__ = ["CONNECT", "GRIDWATCH", "UNKNOWN", "DeadLetter", "Place", "letter_of", "write_dead_letters"]

CONNECT, GRIDWATCH, UNKNOWN = "connect", "gridwatch", "unknown"
"""Who wrote a letter: a connector, gridwatch's own sink, or somebody who left no headers."""

_OURS = "gridwatch."
_THEIRS = "__connect.errors."
_CUT_BYTES = 64 << 10
_REASON_MAX = 2000
_CAUSE = re.compile(r"^Caused by: (?:[\w$.]+: )?(.+)$", re.MULTILINE)


class Place(NamedTuple):
    """Where a record lies in Kafka; as text `topic/partition/offset`."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Place:
        """Return the place that a text names.

        Raises:
            ConfigError: It names none.

        >>> Place.parse("INTRADAY_AAPL.dlq/0/17")
        Place(topic='INTRADAY_AAPL.dlq', partition=0, offset=17)
        """
        found = re.fullmatch(r"([A-Za-z0-9._-]+)/([0-9]{1,9})/([0-9]{1,18})", text.strip())
        if found is None:
            raise ConfigError(f"{text[:80]!r} names no dead letter; it is TOPIC/PARTITION/OFFSET, as `list` shows it.")
        return cls(found[1], int(found[2]), int(found[3]))


_NOWHERE = Place("", -1, -1)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that could not become a row.

    Args:
        topic: Where it came in; empty when nobody says.
        partition: Its partition there; -1 when it never got there (a source's rejected line) or nobody says.
        offset: Its offset there, or that of the letter when it never got there.
        timestamp_ms: Its own timestamp, epoch ms.
        reason: Why it is no row.
        key: As it came.
        value: As it came, or its beginning when `whole_bytes` is set; None for a tombstone.
        headers: As they came.
        place: Where the letter itself lies.
        written_ms: Kafka's timestamp of the letter, epoch ms. A connector writes the record's own there.
        sink: `CONNECT`, `GRIDWATCH` or `UNKNOWN`.
        connector: The connector that gave it up.
        stage: What Connect was at, such as `VALUE_CONVERTER` or `TASK_PUT`.
        exception: Class of Connect's exception.
        trace: Connect's stack trace.
        whole_bytes: Size of the whole value, when the letter holds only its beginning.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    reason: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    place: Place = _NOWHERE
    written_ms: int = 0
    sink: str = UNKNOWN
    connector: str | None = None
    stage: str | None = None
    exception: str | None = None
    trace: str | None = None
    whole_bytes: int | None = None

    @property
    def origin(self) -> Place | None:
        """Where the record itself lies or lay; None when it never was in a topic, or nobody says where."""
        return Place(self.topic, self.partition, self.offset) if self.topic and self.partition >= 0 else None


def letter_of(record: Any) -> DeadLetter:
    """Return what a record of a dead-letter topic tells, by whichever sink; headers may come from anybody.

    Args:
        record: As kafka-python consumes it.
    """
    headers = [(str(name), value or b"") for name, value in record.headers or ()]
    ours, theirs = _text_of(headers, _OURS), _text_of(headers, _THEIRS)
    about: dict[str, Any] = {
        "key": record.key,
        "value": record.value,
        "headers": tuple(pair for pair in headers if not pair[0].startswith((_OURS, _THEIRS))),
        "place": Place(record.topic, record.partition, record.offset),
        "written_ms": record.timestamp,
    }
    if theirs:
        return DeadLetter(
            topic=theirs.get("topic", ""),
            partition=_number(theirs.get("partition"), -1),
            offset=_number(theirs.get("offset"), record.offset),
            timestamp_ms=record.timestamp,
            reason=_reason(theirs),
            sink=CONNECT,
            connector=theirs.get("connector.name"),
            stage=theirs.get("stage"),
            exception=theirs.get("exception.class.name"),
            trace=theirs.get("exception.stacktrace"),
            **about,
        )
    return DeadLetter(
        topic=ours.get("topic") or (record.topic.removesuffix(DLQ_SUFFIX) if record.topic.endswith(DLQ_SUFFIX) else ""),
        partition=_number(ours.get("partition"), -1),
        offset=_number(ours.get("offset"), record.offset),
        timestamp_ms=_number(ours.get("timestamp"), record.timestamp),
        reason=ours.get("reason", ""),
        sink=GRIDWATCH if ours else UNKNOWN,
        whole_bytes=_number(ours.get("whole_bytes"), 0) or None,
        **about,
    )


def write_dead_letters(letters: Producer, rejected: Sequence[tuple[Any, str]]) -> None:
    """Send records with their reasons to the dead letters; return once they have arrived.

    A record that is too large for Kafka with its reason must not hold up its partition for ever: of such a one the
    beginning is sent.

    Args:
        letters: Sends them.
        rejected: Each consumed record, and why it is no row.

    Raises:
        StreamError: One was not delivered.
    """
    rejected = [(record, _fit(reason)) for record, reason in rejected]
    try:
        for record, reason in rejected:
            _write(letters, record, reason)
        letters.flush()
    except RecordTooLargeError:
        # What is there twice now is told apart by partition and offset.
        for record, reason in rejected:
            _write_or_cut(letters, record, reason)


def _fit(reason: str) -> str:
    """Return a reason that a header can hold: it may quote half of a surrogate pair, or a name of a megabyte."""
    whole = reason.encode("utf-8", "backslashreplace").decode()
    return whole if len(whole) <= _REASON_MAX else f"{whole[: _REASON_MAX - 3]}..."


def _write_or_cut(letters: Producer, record: Any, reason: str) -> None:
    """Send one dead letter, of a record that is too large for Kafka only its beginning."""
    try:
        _write(letters, record, reason)
        letters.flush()
    except RecordTooLargeError:
        _write(letters, record, reason, cut=True)
        letters.flush()


def _write(letters: Producer, record: Any, reason: str, *, cut: bool = False) -> None:
    headers = dict(record.headers or ()) | {
        f"{_OURS}partition": str(record.partition),
        f"{_OURS}offset": str(record.offset),
        f"{_OURS}timestamp": str(record.timestamp),
    }
    value, key = record.value, record.key
    if cut:
        size = len(value or b"")
        reason = f"{reason}; only the first {_CUT_BYTES} of its {size} bytes are here, the whole is at its own place"
        value, key = (value or b"")[:_CUT_BYTES], (key or b"")[:_CUT_BYTES]
        headers = {name: text for name, text in headers.items() if name.startswith(_OURS)}
        headers[f"{_OURS}whole_bytes"] = str(size)
    letters.dead_letter(record.topic, value, reason, key=key, headers=headers)


def _text_of(headers: Sequence[tuple[str, bytes]], prefix: str) -> dict[str, str]:
    """Return a sink's own headers without their prefix; the last of a name holds, as a letter may have died twice."""
    return {
        name.removeprefix(prefix): value.decode(errors="replace") for name, value in headers if name.startswith(prefix)
    }


def _reason(theirs: dict[str, str]) -> str:
    """Return Connect's message, with the innermost cause: a converter's own message says only that it failed."""
    message = theirs.get("exception.message", "").strip().rstrip(":").rstrip()
    causes = _CAUSE.findall(theirs.get("exception.stacktrace", ""))
    cause = causes[-1].strip() if causes else ""
    parts = [message, cause if cause not in message else ""]
    return ": ".join(part for part in parts if part) or theirs.get("exception.class.name", "")


def _number(text: str | None, otherwise: int) -> int:
    """Return a header's number; headers may come from anybody."""
    try:
        return int(text or "")
    except ValueError:
        return otherwise
