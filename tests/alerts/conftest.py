"""A store with Apple's split in it, a clock that tests turn, and a mail server that does what it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gridwatch.containers import Store, open_store
from gridwatch.containers.catalog import anomaly_id, anomaly_info, score_info
from gridwatch.settings import Settings

SPLIT = datetime(2005, 2, 28, 5, tzinfo=UTC)
SPLIT_MS = int(SPLIT.timestamp() * 1000)
NOW_MS = 1_760_000_000_000


class Clock:
    """UTC epoch ms that only moves when told."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


@dataclass
class Reply:
    """One scripted answer; status 0 hangs up without any."""

    status: int = 202
    headers: dict[str, str] = field(default_factory=lambda: {"X-Message-Id": "scripted"})
    body: str = ""
    gate: threading.Event | None = None


class MailServer:
    """Speaks enough of SendGrid to be tested against: answers by the script, then with 202."""

    def __init__(self) -> None:
        self.script: list[Reply] = []
        self.mails: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.callers: list[int] = []
        self.arrived = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                reply = outer.script.pop(0) if outer.script else Reply()
                outer.mails.append(json.loads(body))
                outer.keys.append(self.headers.get("Authorization"))
                outer.callers.append(self.client_address[1])
                outer.arrived.set()
                if reply.gate:
                    reply.gate.wait(120)
                if reply.status == 0:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body.encode())

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    server = MailServer()
    yield server
    server.close()


@pytest.fixture
def reply() -> type[Reply]:
    return Reply


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., Settings]:
    """Settings of a fresh home; keywords are setting groups."""

    def make(**groups: Any) -> Settings:
        groups.setdefault("alerts", {"recipients": ["ops@example.com"], "poll_s": 0.05})
        groups.setdefault("server", {"port": 0})
        return Settings(_env_file=None, home=tmp_path / "home", datasets_dir=tmp_path / "datasets", **groups)

    return make


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings()


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with open_store(settings.store) as opened:
        yield opened


@pytest.fixture
def put_anomaly(store: Store) -> Callable[..., str]:
    """Put one anomaly of AAPL (or another series) and return its key."""

    def put(day: int = 0, *, symbol: str = "AAPL", **values: Any) -> str:
        ts = SPLIT + timedelta(days=day)
        key = anomaly_id(f"INTRADAY_{symbol}", "lstm", "", int(ts.timestamp() * 1000))
        row = {
            "id": key, "ts": ts, "detector": "lstm", "partition": "", "actual": 44.86, "expected": 88.80,
            "lower": 85.5, "upper": 92.1, "loss": 31.4, "score": 100.0, "p_value": 0.0008, "severity": "critical",
            "detected_ms": NOW_MS, "model_uri": "models:/gridwatch-aapl_daily/3", "model_sha256": "ab" * 32,
            "run_id": "5c0ffee5", "validation_id": "val-1", "flow_run_id": "flow-1",
            "input_from_ms": SPLIT_MS - 30 * 86_400_000, "input_to_ms": SPLIT_MS,
        } | values  # fmt: skip
        store.put_container(anomaly_info(symbol))
        store.put(f"ANOMALY_{symbol}", pd.DataFrame([row]))
        return key

    return put


@pytest.fixture
def scores(store: Store) -> pd.DataFrame:
    """Put 201 scored days around the split into SCORE_AAPL, and return them."""
    days = np.arange(-100, 101)
    level = 88.8 + np.sin(days / 7) * 4
    actual = np.where(days < 0, level, level / 2) + np.cos(days * 1.7)
    actual[100] = 44.86
    expected = np.concatenate([[level[0]], actual[:-1]])
    frame = pd.DataFrame(
        {
            "ts": pd.to_datetime([SPLIT + timedelta(days=int(day)) for day in days], utc=True).as_unit("ms"),
            "actual": actual,
            "expected": expected,
            "lower": expected - 3,
            "upper": expected + 3,
            "loss": np.abs(actual - expected),
            "score": np.where(days == 0, 100.0, 20.0),
            "p_value": np.where(days == 0, 0.0008, 0.5),
            "detector": "lstm",
            "model_version": "3",
        }
    )
    store.put_container(score_info("AAPL"))
    store.put("SCORE_AAPL", frame)
    return frame


@pytest.fixture
def write_dataset(tmp_path: Path) -> Callable[..., Path]:
    """Write a dataset file and return its path."""

    def write(name: str = "aapl_daily", **fields: Any) -> Path:
        (tmp_path / "datasets").mkdir(exist_ok=True)
        path = tmp_path / "datasets" / f"{name}.json"
        path.write_text(
            json.dumps(
                {"name": name, "symbol": "AAPL", "source": {"kind": "sample", "series": "AAPL"}, "interval": "1D"}
                | fields
            )
        )
        return path

    return write
