"""One real broker for all streaming tests, and frames to send."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gridwatch.containers import Store, open_store
from gridwatch.settings import KafkaSettings, Settings
from gridwatch.streaming import Broker


@pytest.fixture(scope="session")
def broker_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kafka-home")


@pytest.fixture(scope="session")
def bootstrap(broker_home: Path) -> Iterator[str]:
    """The address of a running broker."""
    broker = Broker(Settings(home=broker_home))
    try:
        yield broker.start()
    finally:
        broker.stop()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home and a consumer group of the test's own."""
    return Settings(home=tmp_path / "home", kafka=KafkaSettings(group_id=f"group-{uuid.uuid4().hex[:8]}"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        yield store


@pytest.fixture
def no_thread_stays() -> Iterator[None]:
    """The test fails when threads that it began go on; one that is just ending gets its time."""
    before = set(threading.enumerate())
    yield
    ends = time.monotonic() + 120
    while more := set(threading.enumerate()) - before:
        assert time.monotonic() < ends, more
        time.sleep(0.02)


@pytest.fixture
def topic() -> str:
    return f"INTRADAY_{uuid.uuid4().hex[:8].upper()}"


@pytest.fixture(scope="session")
def bars() -> Callable[..., pd.DataFrame]:
    """A function that makes `rows` minute bars as a dataset's frame has them."""

    def make(rows: int, *, start: str = "2024-03-08T14:30:00", seed: int = 7) -> pd.DataFrame:
        random = np.random.default_rng(seed)
        ts = pd.date_range(start, periods=rows, freq="1min", tz="UTC").as_unit("ms")
        names = ("open", "high", "low", "close")
        prices = {name: np.round(100 + random.standard_normal(rows).cumsum(), 4) for name in names}
        return pd.DataFrame({"ts": ts, **prices, "volume": random.integers(0, 10**6, rows)})

    return make
