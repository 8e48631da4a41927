"""Dead letters as lines of JSON: to keep, to change with any tool, and to send."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import replace
from typing import Any

from gridwatch.errors import ConfigError
from gridwatch.streaming.dead_letter_replay import Outgoing
from gridwatch.streaming.dead_letters import DeadLetter, Place
from gridwatch.streaming.decode import loads_strictly
from gridwatch.streaming.values import RecordError

__all__ = ["changed", "document_of", "place_of_line", "read_line"]

_VALUE = ("value", "text", "base64")
_KEY = ("key", "key_base64")


def document_of(letter: DeadLetter) -> dict[str, Any]:
    """Return a letter as a JSON object.

    The record's value is under one of three names: `value`, parsed, when it is a JSON object or array; `text` when it
    is other text; `base64` when it is none. A tombstone has `value` null.
    """
    origin = letter.origin
    document: dict[str, Any] = {
        "letter": str(letter.place),
        "topic": letter.topic or None,
        "partition": letter.partition if origin else None,
        "offset": letter.offset if origin else None,
        "time_ms": letter.timestamp_ms,
        "sink": letter.sink,
        "reason": letter.reason,
    }
    more = {
        "connector": letter.connector,
        "stage": letter.stage,
        "exception": letter.exception,
        "whole_bytes": letter.whole_bytes,
    }
    document |= {name: value for name, value in more.items() if value is not None}
    return document | _key(letter.key) | _headers(letter.headers) | _value(letter.value)


def _value(value: bytes | None) -> dict[str, Any]:
    if value is None:
        return {"value": None}
    try:
        parsed = loads_strictly(value)
        # As JSON only what comes out of it again: 1e999 would not.
        if isinstance(parsed, (dict, list)) and json.dumps(parsed, allow_nan=False):
            json.dumps(parsed, ensure_ascii=False).encode()
            return {"value": parsed}
    except (RecordError, ValueError, RecursionError):
        pass
    try:
        return {"text": value.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _key(key: bytes | None) -> dict[str, Any]:
    try:
        return {"key": None if key is None else key.decode()}
    except UnicodeDecodeError:
        return {"key_base64": base64.b64encode(key or b"").decode()}


def _headers(headers: tuple[tuple[str, bytes], ...]) -> dict[str, Any]:
    pairs = []
    for name, value in headers:
        try:
            pairs.append({"name": name, "value": value.decode()})
        except UnicodeDecodeError:
            pairs.append({"name": name, "base64": base64.b64encode(value).decode()})
    return {"headers": pairs} if pairs else {}


def read_line(line: str) -> dict[str, Any]:
    """Return the JSON object of one line.

    Raises:
        ConfigError: It is none, or does not name its letter.
    """
    try:
        document = json.loads(line)
    except ValueError as error:
        raise ConfigError(f"not JSON ({error})") from None
    if not isinstance(document, dict) or not isinstance(document.get("letter"), str):
        raise ConfigError('no JSON object with a "letter", such as `gridwatch dlq show --json` writes')
    Place.parse(document["letter"])
    if sum(name in document for name in _VALUE) != 1:
        raise ConfigError("it wants exactly one of value, text and base64")
    return document


def place_of_line(document: dict[str, Any]) -> Place:
    """Return where the letter of a line lies."""
    return Place.parse(document["letter"])


def changed(record: Outgoing, document: dict[str, Any]) -> Outgoing:
    """Return a record as a line says: its topic, key, headers and value.

    What the line leaves as it was stays so byte for byte.

    Raises:
        ConfigError: A part cannot be read.
    """
    before = document_of(record.letter)
    for name in _VALUE:
        if name in document and (name not in before or document[name] != before[name]):
            record = replace(record, value=_bytes(name, document[name]))
    for name in _KEY:
        if name in document and document[name] != before.get(name):
            record = replace(record, key=_bytes(name, document[name], key=True))
    if document.get("headers", []) != before.get("headers", []):
        record = replace(record, headers=_read_headers(document.get("headers", [])))
    topic = document.get("topic")
    if topic is not None and topic != before["topic"]:
        record = replace(record, topic=str(topic))
    return record


def _bytes(name: str, value: Any, *, key: bool = False) -> bytes | None:
    if value is None:
        return None
    if name.endswith("base64"):
        try:
            return base64.b64decode(str(value), validate=True)
        except (binascii.Error, ValueError):
            raise ConfigError(f"{name} is not base64") from None
    if name == "text" or key:
        try:
            return str(value).encode()
        except UnicodeEncodeError:
            raise ConfigError(f"{name} holds half of a surrogate pair, which is no text") from None
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _read_headers(pairs: Any) -> tuple[tuple[str, bytes], ...]:
    try:
        return tuple(
            (
                str(pair["name"]),
                (_bytes("base64", pair["base64"]) or b"") if "base64" in pair else str(pair["value"]).encode(),
            )
            for pair in pairs
        )
    except (TypeError, KeyError, UnicodeEncodeError):
        raise ConfigError('headers are a list of {"name": ..., "value": ...}') from None
