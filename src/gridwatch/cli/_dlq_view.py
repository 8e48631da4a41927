"""Dead letters for people: tables, one letter wholly, and what a fix changes."""

from __future__ import annotations

import base64
import difflib
import json
import re
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import typer

from gridwatch.cli._output import moment, print_table
from gridwatch.cli._terminal import MASK, is_secret, one_line, pretty, printable

if TYPE_CHECKING:
    from gridwatch.streaming.dead_letter_replay import Outgoing
    from gridwatch.streaming.dead_letters import DeadLetter

__all__ = ["Summary", "difference", "show_letter", "show_summary"]

_KINDS_MAX = 500
_OTHERS = "(others)"
_VALUE_SHOWN_MAX = 64 << 10


@dataclass(slots=True)
class _OfTopic:
    waiting: int = 0
    replayed: int = 0
    first_ms: int | None = None
    last_ms: int | None = None


@dataclass(slots=True)
class Summary:
    """Counts letters as they stream by, and keeps the newest ones.

    Args:
        letters_max: How many to keep.
    """

    letters_max: int
    topics: dict[str, _OfTopic] = field(default_factory=dict)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    newest: deque[tuple[DeadLetter, bool]] = field(default_factory=deque)

    def add(self, letter: DeadLetter, replayed: bool, *, keep: bool) -> None:
        """Count a letter; `keep` tells whether it is among those to show."""
        topic = self.topics.setdefault(letter.place.topic, _OfTopic())
        topic.replayed += replayed
        topic.waiting += not replayed
        if not keep:
            return
        time = letter.written_ms
        topic.first_ms = time if topic.first_ms is None else min(topic.first_ms, time)
        topic.last_ms = time if topic.last_ms is None else max(topic.last_ms, time)
        kind = (letter.place.topic, _kind(letter.reason))
        if kind not in self.reasons and len(self.reasons) >= _KINDS_MAX:
            kind = (letter.place.topic, _OTHERS)
        self.reasons[kind] += 1
        self.newest.append((letter, replayed))
        if len(self.newest) > self.letters_max:
            self.newest.popleft()

    def as_json(self) -> dict[str, Any]:
        """Return all of it for scripts."""
        return {
            "topics": [
                {
                    "dead_letter_topic": name,
                    "waiting": one.waiting,
                    "replayed": one.replayed,
                    "first_ms": one.first_ms,
                    "last_ms": one.last_ms,
                    "reasons": {
                        reason: count for (topic, reason), count in self.reasons.most_common() if topic == name
                    },
                }
                for name, one in sorted(self.topics.items())
            ],
            "letters": [_row(letter, replayed) for letter, replayed in self.newest],
        }


def _row(letter: DeadLetter, replayed: bool) -> dict[str, Any]:
    origin = letter.origin
    return {
        "letter": str(letter.place),
        "topic": letter.topic or None,
        "partition": letter.partition if origin else None,
        "offset": letter.offset if origin else None,
        "time_ms": letter.written_ms,
        "sink": letter.sink,
        "replayed": replayed,
        "reason": letter.reason,
    }


def _kind(reason: str) -> str:
    r"""Return a reason without its values, so that equal mistakes count together.

    >>> _kind("'open' is a string (\"1.5\"), not DOUBLE"), _kind("'ts' is -17, outside 0..253402300799999 ms")
    ("'open' is a string (…), not DOUBLE", "'ts' is …, outside …..… ms")
    """
    text = re.sub(r'"(?:[^"\\]|\\.)*"?', "…", reason)
    return re.sub(r"(?<![\w'])-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w'])", "…", text)[:200]


def show_summary(summary: Summary) -> None:
    """Print what there is, why, and the newest letters."""
    if not summary.topics:
        typer.echo("No dead letters.")
        return
    print_table(
        ["dead-letter topic", "waiting", "replayed", "first (UTC)", "last (UTC)"],
        [
            [name, one.waiting, one.replayed, moment(one.first_ms), moment(one.last_ms)]
            for name, one in sorted(summary.topics.items())
        ],
    )
    if not summary.newest:
        return
    print_table(
        ["dead-letter topic", "letters", "reason"],
        [[topic, count, one_line(reason) or "(none told)"] for (topic, reason), count in summary.reasons.most_common()],
    )
    print_table(
        ["letter", "topic", "partition", "offset", "time (UTC)", "reason"],
        [
            [
                str(letter.place),
                one_line(letter.topic),
                letter.partition if letter.origin else "",
                letter.offset if letter.origin else "",
                moment(letter.written_ms),
                one_line(letter.reason) + (" (replayed)" if replayed else ""),
            ]
            for letter, replayed in summary.newest
        ],
        title=f"The newest {len(summary.newest)}",
    )


def show_letter(letter: DeadLetter, *, replayed: bool, raw: bool) -> None:
    """Print one letter wholly."""
    origin = letter.origin
    facts: list[tuple[str, Any]] = [
        ("letter", f"{letter.place}{' (replayed)' if replayed else ''}"),
        ("record", str(origin) if origin else letter.topic or "unknown"),
        ("written (UTC)", moment(letter.written_ms)),
        ("record's time (UTC)", moment(letter.timestamp_ms)),
        ("by", {"connect": "Kafka Connect", "gridwatch": "gridwatch's sink"}.get(letter.sink, letter.sink)),
        ("connector", letter.connector),
        ("stage", letter.stage),
        ("exception", letter.exception),
        ("reason", letter.reason),
        ("whole size", f"{letter.whole_bytes:,} bytes; this is its beginning" if letter.whole_bytes else None),
        *((f"header {name}", MASK if is_secret(name) else _text(value, raw)) for name, value in letter.headers),
        ("key", None if letter.key is None else _text(letter.key, raw)),
    ]
    width = max(len(name) for name, value in facts if value is not None)
    for name, value in facts:
        if value is not None:
            typer.echo(f"{one_line(name):<{width}}  {one_line(str(value))}")
    typer.echo("")
    typer.echo(_value_text(letter.value, raw))


def _text(data: bytes, raw: bool) -> str:
    return base64.b64encode(data).decode() if raw else data.decode("utf-8", "backslashreplace")


def _value_text(value: bytes | None, raw: bool) -> str:
    from gridwatch.streaming.decode import loads_strictly
    from gridwatch.streaming.values import RecordError

    if value is None:
        return "(tombstone: no value)"
    if raw:
        return base64.b64encode(value).decode()
    try:
        return pretty(loads_strictly(value))
    except (RecordError, RecursionError):
        cut = value[:_VALUE_SHOWN_MAX]
        more = f"\n... {len(value) - len(cut):,} bytes more; --raw or --json show them" if len(cut) < len(value) else ""
        return printable(cut.decode("utf-8", "backslashreplace")) + more


def difference(record: Outgoing) -> list[str]:
    """Return what a fix changes, as the lines of a unified diff; none when nothing is."""
    letter = record.letter
    before = [letter.topic, f"key {_text(letter.key or b'', False)}", *_lines(letter.value)]
    after = [record.topic, f"key {_text(record.key or b'', False)}", *_lines(record.value)]
    found = list(difflib.unified_diff([one_line(one) for one in before], [one_line(one) for one in after], n=1))
    return [line.rstrip("\n") for line in found[2:]]


def _lines(value: bytes | None) -> list[str]:
    text = _value_text(value, raw=False)
    try:
        document = json.loads(value or b"")
    except (ValueError, RecursionError):
        return text.splitlines()
    # What is nested too deeply for `pretty` stands there as it came.
    if isinstance(document, dict) and document.keys() == {"schema", "payload"} and text.startswith("{\n"):
        # The schema's lines would hide the row's; what a fix does to it follows from the row.
        fields = document["schema"].get("fields") if isinstance(document["schema"], dict) else None
        declared = [json.dumps(one) for one in fields] if isinstance(fields, list) else []
        return [*pretty(document["payload"]).splitlines(), *(f"schema {one}" for one in declared)]
    return text.splitlines()
