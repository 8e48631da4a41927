"""What a dead letter tells, how it is changed, and what is remembered of those that were sent: without a broker."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridwatch.cli._dlq_view import difference
from gridwatch.containers import Column, ColumnType, Store
from gridwatch.containers.catalog import series_info
from gridwatch.errors import ConfigError
from gridwatch.streaming import TimeFormat
from gridwatch.streaming.dead_letter_check import Acceptance
from gridwatch.streaming.dead_letter_fix import Fix
from gridwatch.streaming.dead_letter_marks import Replayed, mark
from gridwatch.streaming.dead_letter_reader import Repeats
from gridwatch.streaming.dead_letter_replay import Outgoing
from gridwatch.streaming.dead_letter_text import changed, document_of, read_line
from gridwatch.streaming.dead_letters import CONNECT, GRIDWATCH, UNKNOWN, DeadLetter, Place, letter_of
from gridwatch.streaming.decode import Decoder
from gridwatch.streaming.values import RecordError
from tests.streaming import poison

any_bytes = st.binary(max_size=40) | st.text(max_size=20).map(str.encode)
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
any_value = st.none() | any_bytes | any_json.map(lambda value: json.dumps(value).encode())


def record(headers: Sequence[tuple[str, bytes | None]], topic: str = "x.dlq", **more: Any) -> Any:
    return SimpleNamespace(
        **{"topic": topic, "partition": 0, "offset": 5, "timestamp": 9, "key": b"k", "value": b"v", "headers": headers}
        | more
    )


def letter(key: bytes | None, value: bytes | None, headers: tuple[tuple[str, bytes], ...] = ()) -> DeadLetter:
    return DeadLetter("x", 0, 1, 2, "why", key, value, headers, Place("x.dlq", 0, 5))


def test_headers_of_connect_are_read_and_the_records_own_are_kept() -> None:
    about = {
        **{"topic": b"t", "partition": b"3", "offset": b"17", "connector.name": b"c", "stage": b"VALUE_CONVERTER"},
        **{"exception.class.name": b"a.DataException", "exception.message": b"Converting failed: "},
        "exception.stacktrace": b"a.DataException: Converting failed: \n\tat a.b\nCaused by: c.Json: no quote\n\tat c",
    }
    headers = [("mine", b"1"), *((f"__connect.errors.{name}", text) for name, text in about.items())]
    found = letter_of(record(headers, topic="anything"))
    assert (found.origin, found.sink, found.connector) == (Place("t", 3, 17), CONNECT, "c")
    assert (found.stage, found.exception) == ("VALUE_CONVERTER", "a.DataException")
    assert found.reason == "Converting failed: no quote"
    assert found.headers == (("mine", b"1"),)
    # A record that died twice has them twice.
    again = letter_of(record([*headers, ("__connect.errors.offset", b"18")]))
    assert again.offset == 18


def test_headers_from_anybody_are_no_danger() -> None:
    odd = letter_of(
        record([("gridwatch.offset", b"\xff"), ("gridwatch.partition", None), ("gridwatch.reason", b"r\xff")])
    )
    assert (odd.offset, odd.partition, odd.reason, odd.sink, odd.topic) == (5, -1, "r\ufffd", GRIDWATCH, "x")
    none = letter_of(record([], topic="not-dead-letters"))
    assert (none.topic, none.sink, none.origin) == ("", UNKNOWN, None)


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 1), st.integers(0, 30)), max_size=60))
def test_what_was_replayed_is_remembered_exactly(places: list[tuple[str, int, int]]) -> None:
    replayed, again, done = Replayed(), Replayed(), {Place(*place) for place in places}
    for place in places:
        replayed.add(place[0], place[1], place[2], place[2])
    for line in mark(done, {"a": "1", "b": "2"}):
        found = json.loads(line)
        for partition, ranges in found["offsets"].items():
            for first, last in ranges:
                again.add(found["topic"], int(partition), first, last)
    every = {Place(topic, partition, offset) for topic in "ab" for partition in (0, 1) for offset in range(32)}
    assert {place for place in every if place in replayed} == done
    assert again.ranges() == replayed.ranges()
    for ranges in replayed.ranges().values():
        assert all(before[1] + 1 < after[0] for before, after in pairwise(ranges)), "merged"


def test_letters_of_one_record_are_told() -> None:
    repeats, first = Repeats(), letter(b"k", b"v")
    assert repeats.first(first) is None
    assert repeats.first(first) is None, "the same letter read again"
    assert repeats.first(DeadLetter("x", 0, 1, 2, "why", b"k", b"v", place=Place("x.dlq", 0, 9))) == first.place
    # Another sink of the topic gave the record up, too, and has a letter of its own.
    assert repeats.first(DeadLetter("x", 0, 1, 2, "why", b"k", b"v", place=Place("sink.dlq", 0, 3))) is None
    # The topic was made anew: another record has that offset.
    assert repeats.first(DeadLetter("x", 0, 1, 2, "why", b"k", b"w", place=Place("x.dlq", 0, 10))) is None


@given(
    st.none() | any_bytes,
    any_value,
    st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), any_bytes), max_size=3),
)
def test_a_letter_goes_through_a_line_unchanged(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
) -> None:
    one = letter(key, value, tuple(headers))
    line = json.dumps(document_of(one))
    assert "\n" not in line
    assert line.isascii()
    out = Outgoing(one, one.topic, key, value, one.headers)
    assert changed(out, read_line(line)) == out


def test_what_a_line_changes_is_changed() -> None:
    one = letter(b"k", b'{"a": 1.10}', (("h", b"1"),))
    out = Outgoing(one, "x", one.key, one.value, one.headers)
    line = document_of(one) | {
        "topic": "y",
        "key": None,
        "value": {"a": "é"},
        "headers": [{"name": "h", "base64": "/w=="}],
    }
    assert changed(out, line) == Outgoing(one, "y", None, '{"a":"é"}'.encode(), (("h", b"\xff"),))
    for wrong, message in (
        ({"base64": "?"}, "base64 is not base64"),
        ({"text": "\ud800"}, "text holds half of a surrogate pair"),
        ({"value": 1, "headers": [{"name": 1}]}, 'headers are a list of {"name"'),
    ):
        with pytest.raises(ConfigError, match=message):
            changed(out, {"letter": "x.dlq/0/5", **wrong})


fixes = st.builds(
    Fix,
    renames=st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), max_size=2).map(tuple),
    drops=st.lists(st.text(max_size=3), max_size=2).map(tuple),
    sets=st.lists(st.tuples(st.text(max_size=3), any_json), max_size=2).map(tuple),
    times=st.none() | st.just(TimeFormat()),
)


@given(fixes, any_value | any_json.map(lambda row: json.dumps({"schema": row, "payload": {"ts": "x"}}).encode()))
def test_a_fix_gives_a_record_or_a_reason(fix: Fix, value: bytes | None) -> None:
    with suppress(RecordError):
        fixed = fix.apply(value)
        if fix:
            json.loads(fixed or b"")
        else:
            assert fixed == value


@pytest.mark.parametrize(
    ("fix", "changes"),
    [
        (Fix(renames=(("last", "close"),)), {"last": 1.5}),
        (Fix(drops=("vwap",)), {"vwap": {"deep": 1}}),
        (Fix(sets=(("close", 2.5),)), {"close": "a"}),
        (Fix(sets=(("note", None),)), {"note": 5}),
        (Fix(times=TimeFormat("dd.MM.yyyy HH:mm", "America/New_York")), {"ts": "01.07.2024 09:30"}),
        (Fix(times=TimeFormat(), time_fields=("ts",), sets=(("ts", "2024-07-01"),)), {"ts": "soon"}),
    ],
)
def test_a_fixed_record_is_a_row_with_and_without_its_schema(fix: Fix, changes: dict[str, Any]) -> None:
    decoder = Decoder(poison.info("rows"))
    row = {name: value for name, value in poison.row(1).items() if name not in ("close",) or "last" not in changes}
    payload = row | changes
    types = {str: "string", float: "double", dict: "struct", int: "int64"}
    fields = [{"type": types[type(changes[name])], "optional": True, "field": name} for name in changes] + [
        field for field in json.loads(poison.good(1))["schema"]["fields"] if field["field"] not in changes
    ]
    for document in (payload, {"schema": {"type": "struct", "fields": fields}, "payload": payload}):
        value = json.dumps(document).encode()
        assert decoder.decode([value]).positions == []
        fixed = fix.apply(value)
        assert decoder.decode([fixed]).rejected == []
        assert fix.apply(fixed) == fixed, "what needs no change stays byte for byte"


@pytest.mark.parametrize(
    ("fix", "value", "reason"),
    [
        (Fix(drops=("a",)), None, "a tombstone has no fields to change"),
        (Fix(drops=("a",)), b"{", "not JSON"),
        (Fix(drops=("a",)), b"[1]", "the row is a list, not an object; only --edit or --from can change it"),
        (Fix(renames=(("a", "b"),)), b'{"a": 1, "b": 2}', "cannot rename 'a': there is a field 'b' already"),
        (Fix(times=TimeFormat()), b'{"ts": "noon"}', "'ts': time 'noon' does not fit ISO 8601"),
        (Fix(sets=(("a", [1]),)), poison.good(1), "'a' cannot be set to a list in a record with a schema"),
        (Fix(drops=("a",)), b'{"a": 1, "b": 1e999}', "a number in it cannot be written again"),
    ],
)
def test_what_cannot_be_fixed_is_told(fix: Fix, value: bytes | None, reason: str) -> None:
    with pytest.raises(RecordError, match=f"^{reason[:40]}"):
        fix.apply(value)


@pytest.mark.parametrize("depth", [100, 300, 600, 900, 950, 980, 990, 1000, 5000])
def test_any_depth_is_shown_and_changed_or_refused(depth: int) -> None:
    deep = b'{"schema": null, "payload": {"a": %s}}' % (b"[" * depth + b"]" * depth)
    one = letter(b"k", deep)
    with suppress(RecordError):
        Fix(drops=("b",)).apply(deep)
    document_of(one)
    assert difference(Outgoing(one, "x", b"k", deep, ())) == []
    assert Decoder(poison.info("rows")).decode([deep]).positions == []


def test_a_record_is_tried_against_its_container_without_being_written(store: Store) -> None:
    store.put_container(series_info("s", (Column("note", ColumnType.STRING),)))
    acceptance = Acceptance(store)
    for value, refusal in (
        (b'{"ts": 1, "note": "a"}', None),
        (b'{"ts": 1, "note": 5}', "'note' is a number (5), not STRING"),
        (b'{"ts": 1, "note": "a\\u0000"}', "NUL"),
        (b'{"ts": 1, "note": "%s"}' % (b"x" * 40_000), "31744"),
    ):
        found = acceptance.refusal("s", value)
        assert (found is None) if refusal is None else (found is not None and refusal in found), found
    assert store.read("s").num_rows == 0
    # Another container than the topic's, and one that the record would make.
    assert Acceptance(store, container="s").refusal("t", b'{"ts": 1}') is None
    assert acceptance.refusal("new", poison.good(1)) is None
    assert "no container 'new', and the record has no schema" in (acceptance.refusal("new", b'{"ts": 1}') or "")
    assert store.container("new") is None
