"""From an anomaly row to its accepted email: real relay and handler processes, the local inbox as SendGrid."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.figure import Figure
from benchmarks.store import minute_bars
from gridwatch.alerts.address import handler_url
from gridwatch.alerts.inbox import Inbox
from gridwatch.containers import Store, open_store
from gridwatch.containers.catalog import DELIVERIES, anomaly_id, anomaly_info, score_info
from gridwatch.errors import ConfigError
from gridwatch.settings import Settings

SYMBOL = "BENCH"
MAILS = 40
PAUSE_S = 1.0
_WAIT_S = 60.0


@contextmanager
def _child(*arguments: str, environ: dict[str, str]) -> Iterator[None]:
    with subprocess.Popen(
        [sys.executable, "-m", "gridwatch.cli", *arguments],
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as child:
        try:
            yield
        finally:
            child.terminate()


def _wait(settings: Settings) -> None:
    for _ in range(int(_WAIT_S * 10)):
        try:
            handler_url(settings)
        except ConfigError:
            pass
        else:
            return
        time.sleep(0.1)
    raise RuntimeError(f"The handler did not come up in {_WAIT_S:g} s.")


def _write_scores(store: Store) -> pd.DataFrame:
    """Give the mails' plots something to draw."""
    bars = minute_bars(1_000)
    scores = pd.DataFrame({"ts": bars["ts"], "actual": bars["close"], "expected": bars["close"]})
    scores["lower"], scores["upper"], scores["score"] = bars["low"], bars["high"], 10.0
    store.put_container(score_info(SYMBOL))
    store.put(f"SCORE_{SYMBOL}", scores)
    for info in (anomaly_info(SYMBOL), DELIVERIES):
        store.put_container(info)
    return scores


def _anomaly(row: pd.Series, now_ms: int) -> pd.DataFrame:
    ts_ms = int(row["ts"].timestamp() * 1000)
    values = {
        "id": anomaly_id(f"INTRADAY_{SYMBOL}", "bench", "", ts_ms),
        "ts": row["ts"],
        "detector": "bench",
        "partition": "",
        "actual": row["actual"] * 1.2,
        "severity": "high",
        "score": 99.0,
        "p_value": 1e-5,
        "detected_ms": now_ms,
    }
    return pd.DataFrame([values | {name: row[name] for name in ("expected", "lower", "upper")}])


def run() -> Iterator[Figure]:
    """Yield the 50th and 99th percentile of the seconds from a stored row to the mail's acceptance."""
    with tempfile.TemporaryDirectory() as folder:
        environ = {
            **os.environ,
            "GRIDWATCH_HOME": folder,
            "GRIDWATCH_SERVER__PORT": "0",
            "GRIDWATCH_ALERTS__RECIPIENTS": '["bench@example.com"]',
            "GRIDWATCH_DATASETS_DIR": folder,
        }
        settings = Settings(home=Path(folder))
        with open_store(settings.store) as store:
            scores = _write_scores(store)
            with _child("serve", environ=environ):
                _wait(settings)
                with _child("relay", environ=environ):
                    # The first mail finds libraries unread; a service that runs for weeks pays that once.
                    first = _feed(store, scores, range(1))
                    _latencies(store, first)
                    written = _feed(store, scores, range(1, MAILS + 1))
                    seconds = _latencies(store, written)
        mails = len(Inbox(Path(folder) / "inbox").ids())
    note = f"one row a second, {mails} mails for {len(first) + len(written)} rows"
    for share in (50, 99):
        value = float(np.percentile(seconds, share))
        yield Figure(f"row to email, p{share}", 1, "mails", value, aim=1 if share == 99 else None, note=note)


def _feed(store: Store, scores: pd.DataFrame, places: range) -> dict[str, int]:
    """Write one anomaly a second, not in step with the relay; return when each was stored, in ms."""
    random = np.random.default_rng(3)
    written = {}
    for place in places:
        time.sleep(PAUSE_S * float(random.uniform(0.7, 1.3)))
        frame = _anomaly(scores.iloc[500 + place], time.time_ns() // 1_000_000)
        store.put(f"ANOMALY_{SYMBOL}", frame)
        written[str(frame["id"][0])] = time.time_ns() // 1_000_000
    return written


def _latencies(store: Store, written: dict[str, int]) -> list[float]:
    for _ in range(int(_WAIT_S * 10)):
        rows = store.sql("SELECT anomaly_id, last_ms FROM deliveries WHERE status = 'sent'").to_pylist()
        mine = [row for row in rows if row["anomaly_id"] in written]
        if len(mine) == len(written):
            return [(row["last_ms"] - written[row["anomaly_id"]]) / 1000 for row in mine]
        time.sleep(0.1)
    raise RuntimeError(f"Only {len(mine)} of {len(written)} mails were sent in {_WAIT_S:g} s.")
