"""Serving: a free port, an address that is found, a clean end; and a handler that is killed in the middle of a mail."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pytest
import requests

from gridwatch.alerts.address import handler_url
from gridwatch.alerts.delivery import claim_ms
from gridwatch.containers import Store
from gridwatch.containers.catalog import DELIVERIES
from gridwatch.errors import MissingServiceError
from gridwatch.server.run import serve
from gridwatch.settings import Settings

SERVE = """
import json, sys
from gridwatch.containers import open_store
from gridwatch.server.run import serve
from gridwatch.settings import Settings
settings = Settings(_env_file=None, **json.loads(sys.argv[1]))
serve(settings, open_store(settings.store), clock=lambda: int(sys.argv[2]), on_ready=lambda url: print(url, flush=True))
"""


# A short grace and few turns, for the test; the rest is the command line as it is.
COMMAND = """
import gridwatch.server.run, gridwatch.server.state
from gridwatch.cli import main
gridwatch.server.state.STATEMENTS_MAX = 2
gridwatch.server.run.GRACE_S = 0.2
main()
"""


def test_a_free_port_is_told_and_forgotten_at_the_end(settings: Settings, store: Store) -> None:
    stop, found = threading.Event(), []

    def on_ready(url: str) -> None:
        found.append((url, handler_url(settings)))
        stop.set()

    assert serve(settings, store, clock=lambda: 0, on_ready=on_ready, stop=stop) == 0
    ((url, handler),) = found
    assert handler == f"{url}/trigger"
    assert not (settings.home / "server.json").exists()
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{url}/healthz", timeout=120)


def test_what_cannot_be_loaded_ahead_stops_no_server(
    serving: Callable[..., str], settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise RuntimeError("half loaded by another thread")

    monkeypatch.setattr("gridwatch.server.run.warm_up", broken)
    assert requests.get(f"{serving(settings)}/healthz", timeout=120).status_code == 200
    said, ends = "", time.monotonic() + 120
    while "warm_up_failed" not in said:
        assert time.monotonic() < ends
        time.sleep(0.02)
        said += capsys.readouterr().out
    assert "RuntimeError('half loaded by another thread')" in said


def test_a_taken_port_is_told(make_settings: Any, store: Store) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(MissingServiceError, match=rf"Cannot serve on 127.0.0.1:{port}: .*GRIDWATCH_SERVER__PORT"):
            serve(make_settings(server={"port": port}), store, clock=lambda: 0, on_ready=print)


def test_an_unknown_address_is_told(make_settings: Any, store: Store) -> None:
    with pytest.raises(MissingServiceError, match=r"Cannot serve on no\.such\.host\.invalid:0"):
        serve(make_settings(server={"host": "no.such.host.invalid", "port": 0}), store, clock=lambda: 0, on_ready=print)


def test_strangers_are_told_apart_over_a_real_socket(serving: Callable[..., str], settings: Settings) -> None:
    url = serving(settings)
    assert requests.get(f"{url}/healthz", timeout=120).json()["mail"] == "inbox"
    refused = requests.get(f"{url}/inbox", headers={"Host": "evil.example"}, timeout=120)
    assert refused.status_code == 421
    # The server in front of the application must not take away what tells that a proxy is there.
    for name in ("X-Forwarded-For", "X-Forwarded-Proto", "Forwarded"):
        assert requests.get(f"{url}/inbox", headers={name: "https"}, timeout=120).status_code == 403
        asked = requests.get(
            f"{url}/griddb/v2/gridwatch/dbs/public/checkConnection", headers={name: "https"}, timeout=120
        )
        assert asked.status_code == (401 if name == "X-Forwarded-Proto" else 403)


def test_clients_that_say_nothing_shut_nobody_out(serving: Callable[..., str], settings: Settings) -> None:
    url = serving(settings)
    address = urlsplit(url)
    with contextlib.ExitStack() as stack:
        for _ in range(150):
            half = stack.enter_context(
                socket.create_connection((str(address.hostname), address.port or 0), timeout=120)
            )
            half.sendall(b"POST /griddb/v2/gridwatch/dbs/public/sql HTTP/1.1\r\nContent-Length: 100\r\n")
        assert requests.get(f"{url}/healthz", timeout=120).status_code == 200


def test_a_file_that_is_half_sent_is_closed_at_the_end(settings: Settings, store: Store) -> None:
    """What is left open is a warning when it is forgotten, and that fails the test."""
    stop, ready, urls = threading.Event(), threading.Event(), list[str]()

    def on_ready(url: str) -> None:
        urls.append(url)
        ready.set()

    parts: dict[str, Any] = {"clock": lambda: 0, "on_ready": on_ready, "stop": stop}
    thread = threading.Thread(target=serve, args=(settings, store), kwargs=parts)
    thread.start()
    assert ready.wait(120)
    asked = b"GET /static/vendor/uplot/uPlot.esm.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            reader = stack.enter_context(socket.socket())
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            reader.settimeout(120)
            reader.connect(("127.0.0.1", urlsplit(urls[0]).port))
            for _ in range(50):
                reader.sendall(asked)
            assert reader.recv(1) == b"H"
        stop.set()
        thread.join(120)
    assert not thread.is_alive()
    gc.collect()


def test_the_command_ends_while_a_statement_runs_on(settings: Settings, store: Store) -> None:
    store.execute("create table big (id integer primary key, v integer)")
    store.put("big", pa.table({"id": pa.array(range(3000), pa.int32()), "v": pa.array(range(3000), pa.int32())}))
    home = {"GRIDWATCH_HOME": str(settings.home), "GRIDWATCH_SERVER__PORT": "0"}
    child = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "serve"], stderr=subprocess.PIPE, text=True, env=os.environ | home
    )
    endless = [{"stmt": "select count(*) from big a, big b, big c where a.v < b.v + c.id * 0"}]
    callers = []
    try:
        assert child.stderr is not None
        url = next(found[1] for line in child.stderr if (found := re.search(r"serves at (\S+);", line)))
        sql = f"{url}/griddb/v2/gridwatch/dbs/public/sql"
        for _ in range(2):
            callers.append(threading.Thread(target=_ask_until_taken, args=(sql, endless)))
            callers[-1].start()
        while requests.post(sql, json=[{"stmt": "select 1"}], timeout=120).status_code != 503:
            time.sleep(0.05)
        assert requests.get(sql.replace("sql", "checkConnection"), timeout=120).status_code == 200
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=120) == 0
        assert "2 requests or datafeeds were still at work and are cut off." in child.stderr.read()
    finally:
        child.kill()
        child.wait()
        for caller in callers:
            caller.join()
        assert child.stderr is not None
        child.stderr.close()


class SlowSendGrid:
    """Takes a mail and answers only when its gate opens."""

    def __init__(self) -> None:
        self.mails: list[dict[str, Any]] = []
        self.arrived, self.gate = threading.Event(), threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.mails.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                outer.arrived.set()
                outer.gate.wait(120)
                self.send_response(202)
                self.send_header("X-Message-Id", f"m-{len(outer.mails)}")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # Its caller is killed: a broken pipe is what is wanted.
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def close(self) -> None:
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def slow() -> Iterator[SlowSendGrid]:
    server = SlowSendGrid()
    yield server
    server.close()


@pytest.fixture
def spawn(settings: Settings, slow: SlowSendGrid) -> Iterator[Callable[[int], tuple[subprocess.Popen[str], str]]]:
    """Start a handler process whose clock stands at `now_ms`; returns it and its URL."""
    started: list[subprocess.Popen[str]] = []
    groups = {
        "home": str(settings.home),
        "datasets_dir": str(settings.datasets_dir),
        "alerts": {"recipients": ["ops@example.com"]},
        "server": {"port": 0},
        "sendgrid": {"base_url": f"http://127.0.0.1:{slow.server.server_port}"},
    }

    def start(now_ms: int) -> tuple[subprocess.Popen[str], str]:
        child = subprocess.Popen(
            [sys.executable, "-c", SERVE, json.dumps(groups), str(now_ms)], stdout=subprocess.PIPE, text=True
        )
        started.append(child)
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith("http"):
                return child, line.strip()
        raise AssertionError("the handler did not start")

    yield start
    for child in started:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def test_a_handler_killed_between_acceptance_and_receipt(
    spawn: Any, slow: SlowSendGrid, key: str, store: Store, settings: Settings
) -> None:
    trigger = {"container": "ANOMALY_AAPL", "event": "put", "row": {"id": key}}
    now_ms = 1_760_000_000_000
    child, url = spawn(now_ms)
    caller = threading.Thread(target=lambda: _ignore_hangup(f"{url}/trigger", trigger))
    caller.start()
    assert slow.arrived.wait(120)
    child.send_signal(signal.SIGKILL)
    child.wait()
    caller.join()
    slow.gate.set()
    row = store.get(DELIVERIES.name, [f"{key}:email"]).to_pylist()[0]
    assert (row["status"], row["attempts"]) == ("sending", 1)

    _, url = spawn(now_ms + 1000)
    early = requests.post(f"{url}/trigger", json=trigger, timeout=120)
    assert (early.status_code, early.json()["status"]) == (202, "in_progress")
    assert len(slow.mails) == 1

    _, url = spawn(now_ms + claim_ms(settings) + 1)
    late = requests.post(f"{url}/trigger", json=trigger, timeout=120)
    assert (late.json()["status"], late.json()["possible_duplicate"]) == ("sent", True)
    again = requests.post(f"{url}/trigger", json=trigger, timeout=120)
    assert again.json()["status"] == "already_sent"
    first, second = slow.mails
    assert "possible_duplicate" not in first["custom_args"]
    assert second["custom_args"]["possible_duplicate"] == "true"
    assert first["custom_args"]["gridwatch_key"] == second["custom_args"]["gridwatch_key"] == f"{key}:email"


def test_two_handler_processes_make_one_mail(spawn: Any, slow: SlowSendGrid, key: str) -> None:
    slow.gate.set()
    trigger = {"container": "ANOMALY_AAPL", "event": "put", "row": {"id": key}}
    urls = [spawn(1_760_000_000_000)[1] for _ in range(2)] * 8
    with ThreadPoolExecutor(len(urls)) as pool:
        answers = list(pool.map(lambda url: requests.post(f"{url}/trigger", json=trigger, timeout=120), urls))
    assert [answer.json()["status"] for answer in answers].count("sent") == 1
    assert {answer.status_code for answer in answers} <= {200, 202}
    assert len(slow.mails) == 1


def _ask_until_taken(url: str, body: Any) -> None:
    """Send a statement until it gets a turn, which another request may have at the moment."""
    with contextlib.suppress(requests.RequestException):
        while requests.post(url, json=body, timeout=240).status_code == 503:
            time.sleep(0.05)


def _ignore_hangup(url: str, body: Any) -> None:
    try:
        requests.post(url, json=body, timeout=120)
    except requests.ConnectionError:
        # The handler is killed while it works on this.
        return
