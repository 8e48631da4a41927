"""`gridwatch dlq list | show | replay` against a real broker, for letters of both sinks."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gridwatch.cli.app import app
from gridwatch.containers import Column, ColumnType, Store
from gridwatch.containers.catalog import series_info
from gridwatch.settings import Settings
from gridwatch.streaming import Producer, Sink, read_dead_letters
from gridwatch.streaming.dead_letter_reader import read_topics

COLUMNS = (Column("close", ColumnType.DOUBLE), Column("note", ColumnType.STRING))
Dlq = Callable[..., Result]


@pytest.fixture
def dlq(bootstrap: str, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dlq:
    """Runs `gridwatch dlq ...` with the test's broker and store; errors come up as they are."""
    monkeypatch.setenv("GRIDWATCH_HOME", str(settings.home))
    monkeypatch.setenv("GRIDWATCH_STORE_URL", f"sqlite:///{tmp_path / 'store.db'}")
    monkeypatch.setenv("GRIDWATCH_KAFKA__BOOTSTRAP_SERVERS", bootstrap)
    monkeypatch.setenv("GRIDWATCH_LOG_LEVEL", "WARNING")
    monkeypatch.chdir(tmp_path)

    def run(*words: str, code: int = 0) -> Result:
        done = CliRunner().invoke(app, ["dlq", *words], catch_exceptions=code != -1)
        assert done.exit_code == code, done.output + str(done.exception)
        return done

    return run


def rows(*changes: Any) -> list[bytes]:
    """Plain JSON records."""
    return [one if isinstance(one, bytes) else json.dumps(one).encode() for one in changes]


def fill(
    settings: Settings, bootstrap: str, store: Store, topic: str, values: Sequence[bytes | None], key: bytes = b"k"
) -> Sink:
    """Send records that are no rows, and let the sink find that out."""
    store.put_container(series_info(topic, COLUMNS))
    with Producer(settings, bootstrap) as producer:
        producer.ensure_topics([topic])
        for value in values:
            producer.repeat(topic, value, key=key, headers=[("trace", b"7"), ("x-api-key", b"hush")])
    sink = Sink(settings, bootstrap, store, [topic])
    sink.run_until(lambda: sink.dead_letters == len(values))
    return sink


def connect_letter(
    settings: Settings,
    bootstrap: str,
    dlq_topic: str,
    origin: tuple[str, int, int] | None,
    value: bytes,
    message: str = "",
    trace: str = "",
) -> None:
    """Leave a dead letter as Connect's DeadLetterQueueReporter does."""
    headers = [("trace", b"7")]
    if origin is not None:
        about = {
            "topic": origin[0],
            "partition": str(origin[1]),
            "offset": str(origin[2]),
            "connector.name": "griddb-sink",
            "task.id": "0",
            "stage": "TASK_PUT",
            "class.name": "org.apache.kafka.connect.sink.SinkTask",
            "exception.class.name": "org.apache.kafka.connect.errors.DataException",
            "exception.message": message,
            "exception.stacktrace": trace,
        }
        headers += [(f"__connect.errors.{name}", text.encode()) for name, text in about.items()]
    with Producer(settings, bootstrap) as producer:
        producer.repeat(dlq_topic, value, key=b"k", headers=headers)


def test_letters_are_counted_by_topic_and_reason(
    dlq: Dlq, settings: Settings, bootstrap: str, store: Store, topic: str
) -> None:
    fill(settings, bootstrap, store, topic, rows({"ts": 1, "close": "a"}, {"ts": 2, "close": "b"}, b"{"))
    shown = dlq("list", "--topic", topic).output
    assert f"{topic}.dlq" in shown
    assert "2  'close' is a string (…), not DOUBLE" in " ".join(shown.split(" ")).replace("   ", "  ")
    assert f"{topic}.dlq/0/2" in shown
    found = json.loads(dlq("list", "--in", f"{topic}.dlq", "--limit", "1", "--json").output)
    [counted] = found["topics"]
    assert (counted["waiting"], counted["replayed"]) == (3, 0)
    assert set(counted["reasons"].values()) == {1, 2}
    [newest] = found["letters"]
    assert (newest["topic"], newest["partition"], newest["offset"]) == (topic, 0, 2)
    few = json.loads(dlq("list", "--topic", topic, "--reason", "not JSON", "--since", "1h", "--json").output)
    assert [letter["letter"] for letter in few["letters"]] == [f"{topic}.dlq/0/2"]
    assert dlq("list", "--topic", topic, "--since", "2999-01-01").output == "No dead letters.\n"


def test_a_letter_is_sent_once_unless_asked_again(
    dlq: Dlq, settings: Settings, bootstrap: str, store: Store, topic: str
) -> None:
    sink = fill(settings, bootstrap, store, topic, rows({"ts": 1, "Price": 2.5}, {"ts": 2, "Price": 3.5}))
    dry = dlq("replay", "--topic", topic, "--rename", "Price=close", "--dry-run").output
    assert '-  "Price": 2.5' in dry
    assert '+  "close": 2.5' in dry
    assert "2 would be sent, 2 of them are rows now; nothing was sent." in dry
    assert dlq("replay", "--topic", topic, "--rename", "Price=close").output == "2 sent again.\n"
    assert dlq("replay", "--topic", topic, "--rename", "Price=close").output == "0 sent again.\n"
    sink.run_until(lambda: sink.rows == 2)
    assert store.read(topic)["close"].to_pylist() == [2.5, 3.5]
    assert list(read_dead_letters(settings, bootstrap, topic)) == []
    assert json.loads(dlq("list", "--topic", topic, "--json").output)["topics"][0]["replayed"] == 2
    assert len(json.loads(dlq("list", "--topic", topic, "--all", "--json").output)["letters"]) == 2
    # As it came: key and headers without those of the dead letters, into its own partition.
    *_, last = read_topics(settings, bootstrap, [topic])
    assert (last.key, last.partition, last.headers) == (b"k", 0, [("trace", b"7"), ("x-api-key", b"hush")])
    assert dlq("replay", f"{topic}.dlq/0/1", "--again", "--drop", "Price").output == "1 sent again.\n"
    sink.run_until(lambda: sink.rows == 3)
    assert store.read(topic)["close"].to_pylist() == [2.5, None]


def test_a_file_of_letters_is_sent_as_it_was_changed(
    dlq: Dlq, settings: Settings, bootstrap: str, store: Store, topic: str, tmp_path: Path
) -> None:
    sink = fill(settings, bootstrap, store, topic, rows({"ts": 1, "close": "2.5"}, b"\xff{", {"ts": 3, "close": "x"}))
    lines = dlq("show", "--topic", topic, "--json").output.splitlines()
    first, second, _ = (json.loads(line) for line in lines)
    assert second["base64"] == "/3s="
    first["value"]["close"] = 2.5
    second["text"] = '{"ts": 2, "close": 7}'
    del second["base64"]
    file = tmp_path / "letters.ndjson"
    file.write_text("\n".join(json.dumps(one) for one in (first, second)))
    assert dlq("replay", "--from", str(file)).output == "2 sent again.\n"
    sink.run_until(lambda: sink.rows == 2)
    assert store.read(topic)["close"].to_pylist() == [2.5, 7.0]
    assert [letter.offset for letter in read_dead_letters(settings, bootstrap, topic)] == [2]
