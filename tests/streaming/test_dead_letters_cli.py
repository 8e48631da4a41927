"""`gridwatch dlq list | show | replay` against a real broker, for letters of both sinks."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gridwatch.cli.app import app
from gridwatch.containers import Column, ColumnType, Store
from gridwatch.containers.catalog import series_info
from gridwatch.errors import ConfigError, StreamError
from gridwatch.server.app import create_app
from gridwatch.settings import Settings
from gridwatch.streaming import Producer, Sink, read_dead_letters
from gridwatch.streaming.dead_letter_reader import read_letters, read_topics

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
        done = CliRunner().invoke(app, ["dlq", *words], catch_exceptions=False)
        assert done.exit_code == code, done.output
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


def test_letters_of_a_connector_go_back_to_their_own_topics(
    dlq: Dlq, settings: Settings, bootstrap: str, store: Store, topic: str
) -> None:
    other, letters = f"{topic}_2", f"connect-{topic}.dlq"
    trace = (
        "org.apache.kafka.connect.errors.DataException: Converting failed\nCaused by: a.b.JsonError: bad token\n\tat x"
    )
    with Producer(settings, bootstrap) as producer:
        producer.ensure_topics([topic, other, f"connect-{topic}"])
    connect_letter(settings, bootstrap, letters, (topic, 0, 7), b'{"ts": "01.07.2024 09:30"}', "'ts': no time")
    connect_letter(settings, bootstrap, letters, (other, 0, 3), b"{", "Converting failed: ", trace)
    # A worker that dies before it commits writes its last letters again.
    connect_letter(settings, bootstrap, letters, (topic, 0, 7), b'{"ts": "01.07.2024 09:30"}', "'ts': no time")
    connect_letter(settings, bootstrap, letters, None, b'{"ts": 5}')
    counted = json.loads(dlq("list", "--in", letters, "--json").output)
    assert [(one["topic"], one["offset"], one["reason"]) for one in counted["letters"]] == [
        (topic, 7, "'ts': no time"),
        (other, 3, "Converting failed: bad token"),
        (f"connect-{topic}", None, ""),
    ]
    shown = dlq("show", f"{letters}/0/1").output
    for text in ("griddb-sink", "TASK_PUT", "org.apache.kafka.connect.errors.DataException", f"{other}/0/3", "{"):
        assert text in shown
    store.put_container(series_info(topic, COLUMNS))
    fixes = ("--time-pattern", "dd.MM.yyyy HH:mm", "--time-zone", "America/New_York")
    sent = json.loads(
        dlq("replay", "--topic", topic, "--topic", other, *fixes, "--only-accepted", "--json", code=1).output
    )
    assert (sent["sent"], sent["repeated"], sent["kept"]) == (1, 1, 1)
    [kept] = sent["reasons"]
    assert (kept["letter"], kept["reason"][:8]) == (f"{letters}/0/1", "not JSON")
    [record] = read_topics(settings, bootstrap, [topic])
    assert (record.value, record.headers) == (b'{"ts":1719840600000}', [("trace", b"7")])
    assert dlq("replay", f"{letters}/0/3", "--to", topic).output == "1 sent again.\n"
    assert dlq("replay", "--in", letters, "--dry-run").output.endswith(
        "1 would be sent, 0 of them are rows now; nothing was sent.\n"
    )


def test_a_letter_without_its_topic_is_kept_and_told(dlq: Dlq, settings: Settings, bootstrap: str, topic: str) -> None:
    with Producer(settings, bootstrap) as producer:
        producer.ensure_topics([topic])
        # Any topic may be the dead letters of a connector.
        producer.repeat(topic, b"{}", key=None, headers=[])
    done = dlq("replay", f"{topic}/0/0", code=1)
    assert (
        "nothing says where it came from (is the connector's errors.deadletterqueue.context.headers.enable"
        in done.output
    )
    assert "0 sent again, 1 kept back." in done.output


def test_what_others_wrote_cannot_reach_the_terminal_raw(
    dlq: Dlq, settings: Settings, bootstrap: str, store: Store, topic: str
) -> None:
    value = {"ts": 1, "close": "\x1b]0;owned\x07", "no\x1b[2Jte": "[red]x[/red]\u202e", "password": "hush"}
    fill(settings, bootstrap, store, topic, rows(value, b"\x1b[31m\xff"), key=b"\x1b[5m")
    connect_letter(settings, bootstrap, f"{topic}.dlq", (topic, 0, 99), b"{}", "a\x1b[31m\nb [bold]")
    outputs = [
        dlq("list", "--topic", topic).output,
        *(dlq("show", f"{topic}.dlq/0/{offset}").output for offset in range(3)),
        dlq("replay", "--topic", topic, "--set", "close=\x1b[7m", "--dry-run", "--again").output,
    ]
    for output in outputs:
        assert not {letter for letter in output if not letter.isprintable()} - {"\n"}
        assert "hush" not in output
    assert "[bold]" in outputs[0]
    assert "\\x1b[31m\\nb" in outputs[0].replace(" ", "")
    assert '"password": "***"' in outputs[1]
    assert "header x-api-key" in outputs[1]
    # For scripts it is all there, as JSON escapes it.
    raw = dlq("show", f"{topic}.dlq/0/0", "--json").output
    assert json.loads(raw)["value"] == value
    assert raw.isascii()
    assert "CBtdMDtvd25lZAc=" not in dlq("show", f"{topic}.dlq/0/0", "--raw").output


def test_letters_are_changed_in_an_editor(
    dlq: Dlq,
    settings: Settings,
    bootstrap: str,
    store: Store,
    topic: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sink = fill(settings, bootstrap, store, topic, rows({"ts": 1, "close": "2.5"}, {"ts": 2, "close": "7"}))
    editor = tmp_path / "ed.py"
    editor.write_text(
        "import os, stat, sys\nfrom pathlib import Path\nfile = Path(sys.argv[1])\n"
        "assert stat.S_IMODE(os.stat(file).st_mode) == 0o600\n"
        "first, _ = file.read_text().splitlines()\nfile.write_text(first.replace('\"2.5\"', '2.5'))\n"
    )
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", f"{sys.executable} {editor}")
    assert dlq("replay", "--topic", topic, "--edit").output == "1 sent again.\n"
    sink.run_until(lambda: sink.rows == 1)
    assert store.read(topic)["close"].to_pylist() == [2.5]
    monkeypatch.setenv("EDITOR", "false")
    with pytest.raises(ConfigError, match="The editor ended with status 1; nothing was sent"):
        dlq("replay", "--topic", topic, "--edit")
    editor.write_text("import sys\nfrom pathlib import Path\nPath(sys.argv[1]).write_text('{}')\n")
    monkeypatch.setenv("EDITOR", f"{sys.executable} {editor}")
    with pytest.raises(ConfigError, match=r'line 1: no JSON object with a "letter".* Mend it, and go on with --from /'):
        dlq("replay", "--topic", topic, "--edit")
    editor.write_text("import sys\nfrom pathlib import Path\nPath(sys.argv[1]).write_text('')\n")
    assert dlq("replay", "--topic", topic, "--edit").output == "Nothing to replay.\n"
    assert len(list(read_dead_letters(settings, bootstrap, topic))) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("list", "--reason", "("), r"--reason '\(' is no regular expression"),
        (("list", "--since", "soon"), "--since 'soon' is no time; write 30min"),
        (("show",), "Which letters"),
        (("show", "x.dlq"), "'x.dlq' names no dead letter; it is TOPIC/PARTITION/OFFSET"),
        (("replay", "--set", "close"), "--set 'close' is not of the form FIELD=VALUE"),
        (("replay", "--rename", "=b"), "--rename '=b' is not of the form OLD=NEW"),
        (("replay", "--time-pattern", "yyyy-MM-dd hh:mm"), "the clock of 12 hours"),
        (("replay", "--time-zone", "Mars/Base"), "Unknown time zone 'Mars/Base'"),
        (("replay", "--edit", "--from", "x"), "--edit and --from exclude each other"),
        (("replay", "x.dlq/0/1", "--from", "x"), "--from names the letters itself"),
        (("replay", "--from", "missing.ndjson"), "Cannot read 'missing.ndjson': No such file"),
        (("replay", "--from", "twice.ndjson"), "twice.ndjson, line 2: letter x.dlq/0/1 stands here twice"),
        (("replay", "--from", "wrong.ndjson"), "wrong.ndjson, line 1: it wants exactly one of value, text and base64"),
    ],
)
def test_what_is_wrongly_asked_is_told(dlq: Dlq, tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    line = '{"letter": "x.dlq/0/1", "text": "a"}\n'
    (tmp_path / "twice.ndjson").write_text(line * 2)
    (tmp_path / "wrong.ndjson").write_text('{"letter": "x.dlq/0/1", "text": "a", "value": 1}')
    with pytest.raises(ConfigError, match=message):
        dlq(*words)


def test_a_letter_that_is_not_there_is_told(dlq: Dlq, settings: Settings, bootstrap: str, topic: str) -> None:
    with pytest.raises(StreamError, match=r"There is no dead letter 'NONE\.dlq/0/1', or no longer"):
        dlq("show", "NONE.dlq/0/1")
    connect = f"{topic}.dlq"
    with Producer(settings, bootstrap) as producer:
        producer.ensure_topics([topic])
    connect_letter(settings, bootstrap, connect, (f"{topic}_GONE", 0, 7), b"{}", "why")
    done = dlq("replay", "--in", connect, code=1)
    assert (
        f"kept {connect}/0/0: there is no topic '{topic}_GONE'; make it first, or name another with --to" in done.output
    )
    assert json.loads(dlq("list", "--in", connect, "--json").output)["topics"][0]["waiting"] == 1


def test_the_page_shows_what_the_list_does(
    dlq: Dlq, settings: Settings, bootstrap: str, store: Store, topic: str
) -> None:
    fill(settings, bootstrap, store, topic, rows({"ts": 1, "close": "<b>"}, {"ts": 2, "close": "b"}, b"{"))
    dlq("replay", f"{topic}.dlq/0/1", "--set", "close=1.5")
    own = settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"bootstrap_servers": bootstrap})})
    client = create_app(own, store, clock=lambda: 1_760_000_000_000).test_client()
    page = client.get(f"/dead-letters?topic={topic}.dlq").text
    listed = [
        letter["letter"] for letter in json.loads(dlq("list", "--in", f"{topic}.dlq", "--json").stdout)["letters"]
    ]
    assert listed == [f"{topic}.dlq/0/0", f"{topic}.dlq/0/2"]
    assert all(place in page for place in listed)
    assert "1 to 2 of 2 letters" in page
    assert "&lt;b&gt;" in page
    assert f"{topic}.dlq/0/1" in client.get(f"/dead-letters?topic={topic}.dlq&state=replayed").text
    assert "1 to 1 of 1 letters" in client.get(f"/dead-letters?topic={topic}.dlq&reason=NOT+JSON").text
    left: dict[str, int] = {}
    found = read_letters(settings, bootstrap, [f"{topic}.dlq"], newest=1, older=left.__setitem__)
    assert [letter.offset for letter in found] == [2]
    assert left == {f"{topic}.dlq": 2}


def test_the_page_reads_topics_that_a_connector_names_and_says_what_it_leaves_out(
    dlq: Dlq,
    settings: Settings,
    bootstrap: str,
    store: Store,
    topic: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    letters = f"{topic}-rejected"
    with Producer(settings, bootstrap) as producer:
        producer.ensure_topics([letters])
    for offset in range(3):
        connect_letter(settings, bootstrap, letters, (topic, 0, offset), b"{", message=f"no row {offset}")
    folder = tmp_path / "kafka_connect" / "connectors"
    folder.mkdir(parents=True)
    config = {"connector.class": "x.Sink", "errors.deadletterqueue.topic.name": letters}
    (folder / "own.json").write_text(json.dumps({"name": "own", "config": config}))
    (folder / "wrong.json").write_text("{")
    connect = settings.connect.model_copy(update={"connectors_dir": folder})
    kafka = settings.kafka.model_copy(update={"bootstrap_servers": bootstrap})
    own = settings.model_copy(update={"kafka": kafka, "connect": connect})
    monkeypatch.setattr("gridwatch.server.pages.letters.NEWEST_MAX", 2)
    page = (
        create_app(own, store, clock=lambda: 1_760_000_000_000).test_client().get(f"/dead-letters?topic={letters}").text
    )
    assert ("no row 2" in page, "no row 1" in page, "no row 0" in page) == (True, True, False)
    told = re.search(
        r"About ([\d,]+) older ones? (?:are|is) not shown; <code>gridwatch dlq list</code> counts all", page
    )
    assert told
    assert int(told[1].replace(",", "")) >= 1
    # The command knows the topic too, from the same file.
    listed = json.loads(dlq("list", "--topic", topic, "--json").stdout)["letters"]
    assert [one["letter"] for one in listed] == [f"{letters}/0/{offset}" for offset in range(3)]
