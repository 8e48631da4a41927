"""The threads beside the server: they leave a store without jobs alone, run what is started, end with the server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from gridwatch.containers import Store
from gridwatch.errors import StoreError
from gridwatch.server.feeds import Feeds
from gridwatch.server.state import state
from gridwatch.settings import Settings

NAMES = {"datafeeds", "transforms"}


@pytest.fixture
def running() -> Callable[[], set[str]]:
    """Return which threads run that did not before the test: servers of other tests have theirs."""
    others = set(threading.enumerate())
    return lambda: {thread.name for thread in set(threading.enumerate()) - others} & NAMES


def test_a_store_that_is_only_served_gets_no_container(
    app: Flask, store: Store, running: Callable[[], set[str]]
) -> None:
    before = store.containers()
    feeds = Feeds(state(app))
    feeds.start()
    assert running() == NAMES
    feeds.end()
    assert feeds.wait(time.monotonic() + 120) == 0
    assert running() == set()
    assert store.containers() == before
    assert not state(app).has_jobs


@pytest.mark.parametrize("run_feeds", [True, False])
def test_the_setting_says_whether_they_run(
    running: Callable[[], set[str]],
    serving: Callable[..., str],
    make_settings: Callable[..., Settings],
    run_feeds: bool,
) -> None:
    serving(make_settings(jobs={"run_feeds": run_feeds}))
    assert running() == (NAMES if run_feeds else set())


def test_a_store_that_fails_is_asked_again(
    app: Flask, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = state(app)
    asked: list[str] = []

    def fails(name: str) -> Any:
        asked.append(name)
        if len(asked) < 5:
            raise StoreError("The store is away.")
        return object()

    monkeypatch.setattr(parts.store, "container", fails)
    monkeypatch.setattr("gridwatch.server.feeds._LOOK_S", 0.01)
    monkeypatch.setattr("gridwatch.server.feeds._ASK_S", 0.01)
    feeds = Feeds(parts)
    assert feeds._wait_for("ml_datafeeds", lambda: False)
    assert len(asked) == 5
    assert "datafeeds_not_looked_at" in capsys.readouterr().out
    feeds.end()
    assert not feeds._wait_for("ml_datafeeds", lambda: True)
