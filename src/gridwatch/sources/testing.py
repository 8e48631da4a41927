"""For tests and for trying things out: a server that speaks Alpha Vantage's protocol, and a made-up labelled folder."""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import numpy as np
from typing_extensions import override

__all__ = ["AlphaVantageServer", "Answer", "write_labelled"]

_HOLD_S = 120.0
_HEADER = "timestamp,open,high,low,close,volume\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; `cut` bytes of its body are promised in Content-Length and never sent."""

    body: str | bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int = 0


class AlphaVantageServer:
    """Serves months of bars, and before them whatever answers are queued. A context manager.

    Args:
        months: CSV lines without header by month (`YYYY-MM`); a month that is not there answers with a header alone.
            The key `daily` is what a request without a month gets.
        api_key: The only key that is taken; another one gets Alpha Vantage's answer to it.
        symbol: The only symbol that is known.
    """

    def __init__(self, months: dict[str, str], *, api_key: str = "secret-key", symbol: str = "IBM") -> None:
        self.months = months
        self.api_key = api_key
        self.symbol = symbol
        self.answers: deque[Answer] = deque()
        self.asked: list[dict[str, str]] = []
        self.holding = threading.Event()
        self._held: dict[str, threading.Event] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer._answer(self)

            @override
            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing: the queries hold keys."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def hold(self, month: str) -> threading.Event:
        """Let the next request for a month wait until the event is set; `holding` is set once it is waiting."""
        return self._held.setdefault(month, threading.Event())

    @property
    def url(self) -> str:
        """Base address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        query = dict(parse_qsl(urlsplit(handler.path).query))
        self.asked.append(query)
        if (held := self._held.pop(query.get("month", "daily"), None)) is not None:
            self.holding.set()
            held.wait(_HOLD_S)
        answer = self.answers.popleft() if self.answers else self._data(query)
        body = answer.body.encode() if isinstance(answer.body, str) else answer.body
        handler.send_response_only(answer.status)
        for name, value in {"Content-Length": str(len(body) + answer.cut), **answer.headers}.items():
            handler.send_header(name, value)
        handler.close_connection = True
        try:
            handler.end_headers()
            handler.wfile.write(body)
        except OSError:
            return  # who asked is gone

    def _data(self, query: dict[str, str]) -> Answer:
        if query.get("apikey") != self.api_key:
            return Answer(
                '{"Error Message": "the parameter apikey is invalid or missing. Please claim your free API key on '
                '(https://www.alphavantage.co/support/#api-key)."}'
            )
        if query.get("symbol") != self.symbol:
            return Answer(
                '{"Error Message": "Invalid API call. Please retry or visit the documentation for '
                f'{query.get("function")}."}}'
            )
        return Answer(_HEADER + self.months.get(query.get("month", "daily"), ""))


def write_labelled(folder: Path, *, rows: int = 400, seed: int = 1) -> None:
    """Write a small labelled folder in NAB's layout: noise with two spikes, a daily wave that stops, and plain noise.

    Args:
        folder: Gets `data/made/{spikes,stop,plain}.csv` and `labels/combined_windows.json`.
        rows: Of each file, five minutes apart; at least 100.
        seed: Of the noise.
    """
    random, row = np.random.default_rng(seed), np.arange(rows)
    noise = random.normal(size=(3, rows))
    spikes, stop = 10.0 + noise[0], 10.0 * np.sin(2.0 * np.pi * row / 48.0) + 0.3 * noise[1]
    first, second, halt = rows * 2 // 5, rows * 7 // 10, rows * 3 // 5
    spikes[[first, second]] += 15.0
    stop[halt : halt + rows // 10] = 0.0
    width = rows // 20
    windows = {
        "spikes": [(first - 2, first - 2 + width), (second - 2, second - 2 + width)],
        "stop": [(halt, halt + rows // 10 - 1)],
        "plain": [],
    }
    times = (np.datetime64("2024-01-01T00:00:00") + row * np.timedelta64(300, "s")).astype(str)
    texts = [str(time).replace("T", " ") for time in times]
    (folder / "data" / "made").mkdir(parents=True)
    (folder / "labels").mkdir()
    for name, values in (("spikes", spikes), ("stop", stop), ("plain", noise[2])):
        lines = "".join(f"{time},{value:.6f}\n" for time, value in zip(texts, values, strict=True))
        (folder / "data" / "made" / f"{name}.csv").write_text(f"timestamp,value\n{lines}")
    labels = {f"made/{name}.csv": [[texts[a], texts[b]] for a, b in pairs] for name, pairs in windows.items()}
    (folder / "labels" / "combined_windows.json").write_text(json.dumps(labels))
