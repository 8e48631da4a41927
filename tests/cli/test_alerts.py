"""`alerts`: listed, tried again, tested and snoozed from the command line, over a real store and a small mail API."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from gridwatch.alerts.address import remember_address
from gridwatch.alerts.anomaly import find_anomaly
from gridwatch.alerts.mail_check import check_mail
from gridwatch.alerts.receipts import Receipts
from gridwatch.cli._context import now_ms
from gridwatch.cli.app import app
from gridwatch.containers import open_store
from gridwatch.containers.catalog import DELIVERIES, anomaly_id, anomaly_info
from gridwatch.errors import ConfigError, DeliveryError
from gridwatch.settings import Settings

KEYS = [anomaly_id("INTRADAY_X", "auto", "", day * 86_400_000) for day in (3, 4, 5)]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with three deliveries of X: pending, dead, and dead."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GRIDWATCH_DATASETS_DIR", str(tmp_path / "none"))
    with open_store(f"sqlite:///{tmp_path / 'home' / 'store.db'}") as store:
        store.put_container(anomaly_info("X"))
        store.put_container(DELIVERIES)
        ts = [pd.Timestamp(day, unit="D", tz="UTC") for day in (3, 4, 5)]
        store.put("ANOMALY_X", pd.DataFrame({"id": KEYS, "ts": ts, "severity": ["low", "high", "critical"]}))
        for at, key in enumerate(KEYS):
            anomaly = find_anomaly(store, "ANOMALY_X", key)
            assert anomaly is not None
            Receipts(store).create(anomaly, now_ms=1_000 * at)
        store.execute("UPDATE deliveries SET status = 'dead', error = 'no [key]' WHERE first_ms > 0")
    return tmp_path / "home"


def run(*words: str) -> str:
    done = CliRunner().invoke(app, ["alerts", *words], catch_exceptions=True)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.stderr
    return done.stdout


def states() -> list[str]:
    rows = json.loads(run("list", "--json"))
    return [row["status"] for row in sorted(rows, key=lambda row: row["first_ms"])]


def test_the_dead_are_listed_and_tried_again(home: Path) -> None:
    dead = json.loads(run("list", "--status", "dead", "--series", "x", "--json"))
    assert [(row["anomaly_id"], row["severity"], row["series"]) for row in dead] == [
        (KEYS[2], "critical", "X"),
        (KEYS[1], "high", "X"),
    ]
    assert "no [key]" in run("list")
    with pytest.raises(ConfigError, match=r"^'nothing': no dead delivery has this key, nor an anomaly of this id"):
        run("retry", KEYS[1], "nothing")
    assert states() == ["pending", "dead", "dead"]
    assert run("retry", KEYS[1]) == "1 to be tried again.\n"
    assert states() == ["pending", "pending", "dead"]
    assert json.loads(run("retry", "--all", "--json")) == {"revived": 1}
    assert run("retry", "--all") == "None is dead.\n"
    for words in ([], [KEYS[0], "--all"]):
        with pytest.raises(ConfigError, match="Name the deliveries to try again, or say --all"):
            run("retry", *words)
    with pytest.raises(ConfigError, match=r"There is no state 'gone' of a delivery; there are pending, sending, sent"):
        run("list", "--status", "gone")


def test_without_a_store_there_is_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path / "home"))
    assert run("list") == "No deliveries.\n"
    assert run("retry", "--all") == "None is dead.\n"
    assert run("snooze", "--list") == "No snoozes.\n"


def test_a_series_is_snoozed_and_woken(home: Path) -> None:
    with open_store(f"sqlite:///{home / 'store.db'}") as store:
        store.execute("UPDATE deliveries SET held = 'snoozed', next_ms = ? WHERE first_ms = 0", [now_ms() + 10**9])
    (said,) = json.loads(
        run("snooze", "X", "--for", "90m", "--up-to", "high", "--note", "[b]", "--by", "ann", "--json")
    )
    assert (said["series"], said["up_to"], said["author"]) == ("x", "high", "ann")
    assert 5_300_000 < said["until_ms"] - now_ms() <= 5_400_000
    assert "[b]" in run("snooze", "--list")
    assert "x is no longer snoozed" in run("snooze", "x", "--remove")
    assert run("snooze", "--list") == "No snoozes.\n"
    # What waited for the end of it waits no longer.
    (row,) = json.loads(run("list", "--status", "pending", "--json"))
    assert row["next_ms"] <= now_ms()
    with pytest.raises(ConfigError, match="Series 'X' is not snoozed; no series is"):
        run("snooze", "X", "--remove")
    for words in (["X"], ["--for", "2h"], ["X", "--for", "2h", "--remove"], ["X", "--list"]):
        with pytest.raises(ConfigError, match="Say what to do"):
            run("snooze", *words)
    for length in ("2", "h", "0m", "2h30", "-2h", "9999d"):
        with pytest.raises(ConfigError, match=r"is no length of time up to a year; write one such as 90m, 2h or 1d12h"):
            run("snooze", "X", "--for", length)
    with pytest.raises(ConfigError, match="'Y'"):
        run("snooze", "Y", "--for", "2h")


@pytest.fixture
def served(home: Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A mail API that takes what comes, and knows no other path; its address, and the mails."""
    mails: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            known = self.path == "/v3/mail/send"
            if known:
                mails.append(json.loads(body))
            self.send_response(202 if known else 404)
            self.send_header("X-Message-Id", f"mail-{len(mails)}")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    remember_address(Settings(_env_file=None, home=home), url)
    yield url, mails
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_test_goes_out(served: tuple[str, list[dict[str, Any]]], home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, mails = served
    told = run("test", "--to", "me@example.com")
    assert told == f"email to me@example.com, through {url}: accepted as mail-1.\n"
    assert mails[0]["subject"] == "[gridwatch] A test: nothing is wrong"
    assert check_mail(mails[0]) == []
    with pytest.raises(ConfigError, match="Nobody to send it to: say --to ADDRESS, or set GRIDWATCH_ALERTS__RECIPIENT"):
        run("test")
    # A webhook that refuses keeps no mail back.
    monkeypatch.setenv("GRIDWATCH_ALERTS__RECIPIENTS", '["critical: boss@example.com"]')
    monkeypatch.setenv("GRIDWATCH_ALERTS__WEBHOOK_URL", f"{url}/nowhere/s3cret")
    with pytest.raises(DeliveryError, match=rf"^The webhook at {url} answered 404: ") as failed:
        run("test", "--json")
    assert "s3cret" not in str(failed.value)
    assert mails[1]["personalizations"] == [{"to": [{"email": "boss@example.com"}]}]
