"""The application over a store with one anomaly of Apple's, asked through Flask's client or over a real socket."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from flask import Flask

from gridwatch.containers import Store, open_store
from gridwatch.containers.catalog import anomaly_id, anomaly_info
from gridwatch.server.app import create_app
from gridwatch.server.run import serve
from gridwatch.settings import Settings
from tests.server.browser import browser, open_page

__all__ = ["browser", "open_page"]

NOW_MS = 1_760_000_000_000
SPLIT = datetime(2005, 2, 28, 5, tzinfo=UTC)


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., Settings]:
    def make(**groups: Any) -> Settings:
        groups.setdefault("alerts", {"recipients": ["ops@example.com"]})
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
def key(store: Store) -> str:
    """The key of one anomaly in ANOMALY_AAPL."""
    name = anomaly_id("INTRADAY_AAPL", "lstm", "", int(SPLIT.timestamp() * 1000))
    row = {
        "id": name, "ts": SPLIT, "detector": "<b>lstm</b>", "actual": 44.86, "expected": 88.8, "score": 100.0,
        "p_value": 0.0008, "severity": "critical", "detected_ms": NOW_MS,
    }  # fmt: skip
    store.put_container(anomaly_info("AAPL"))
    store.put("ANOMALY_AAPL", pd.DataFrame([row]))
    return name


@pytest.fixture
def make_app(store: Store) -> Callable[[Settings], Flask]:
    return lambda settings: create_app(settings, store, clock=lambda: NOW_MS)


@pytest.fixture
def app(make_app: Callable[[Settings], Flask], settings: Settings) -> Flask:
    return make_app(settings)


@pytest.fixture
def serving(store: Store) -> Iterator[Callable[..., str]]:
    """Serve settings in a thread until the test is over; calling it returns the base URL."""
    stop = threading.Event()
    threads: list[threading.Thread] = []

    def start(settings: Settings) -> str:
        urls: list[str] = []
        ready = threading.Event()

        def on_ready(url: str) -> None:
            urls.append(url)
            ready.set()

        parts = {"clock": lambda: NOW_MS, "on_ready": on_ready, "stop": stop}
        threads.append(threading.Thread(target=serve, args=(settings, store), kwargs=parts))
        threads[-1].start()
        assert ready.wait(120)
        return urls[0]

    yield start
    stop.set()
    for thread in threads:
        thread.join(120)
