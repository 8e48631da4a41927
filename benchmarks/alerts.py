"""From an anomaly row to its accepted email: real relay and handler processes, the local inbox as SendGrid."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from benchmarks.figure import Figure
from benchmarks.store import minute_bars
from gridwatch.alerts.address import handler_url
from gridwatch.alerts.inbox import Inbox
from gridwatch.containers import Store, open_store
from gridwatch.containers.catalog import DELIVERIES, anomaly_id, anomaly_info, score_info
from gridwatch.settings import Settings

SYMBOL = "BENCH"
BATCHES_PER_S = 10
_WAIT_S = 300.0


@dataclass(frozen=True)
class Load:
    """One way to bring rows: how many a second, how many in all, and what is set for it."""

    name: str
    rate: float
    rows: int
    settings: dict[str, str]


_EACH = {"GRIDWATCH_ALERTS__MAILS_PER_HOUR": "0"}
LOADS = (
    Load("a mail for each", 1, 30, _EACH),
    Load("a mail for each", 10, 200, _EACH),
    Load("a mail for each", 100, 500, _EACH),
    Load("20 mails, then a digest every half second", 100, 1_000, {"GRIDWATCH_ALERTS__DIGEST_S": "0.5"}),
)


@contextmanager
def _child(*arguments: str, environ: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-m", "gridwatch.cli", *arguments],
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as child:
        try:
            yield child
        finally:
            child.terminate()


def _wait(settings: Settings, server: subprocess.Popen[bytes]) -> None:
    for _ in range(int(_WAIT_S * 10)):
        if handler_url(settings) != handler_url(Settings(home=settings.home / "none")):
            return
        if server.poll() is not None:
            raise RuntimeError(f"The handler ended with {server.returncode}; `gridwatch serve` says why.")
        time.sleep(0.1)
    raise RuntimeError(f"The handler did not come up in {_WAIT_S:g} s.")


def _write_scores(store: Store) -> pd.DataFrame:
    """Give the mails' plots something to draw."""
    bars = minute_bars(2_000)
    scores = pd.DataFrame({"ts": bars["ts"], "actual": bars["close"], "expected": bars["close"]})
    scores["lower"], scores["upper"], scores["score"] = bars["low"], bars["high"], 10.0
    store.put_container(score_info(SYMBOL))
    store.put(f"SCORE_{SYMBOL}", scores)
    for info in (anomaly_info(SYMBOL), DELIVERIES):
        store.put_container(info)
    return scores


def _anomaly(scores: pd.DataFrame, place: int, now_ms: int) -> pd.DataFrame:
    row = scores.iloc[100 + place]
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
    """Yield the 50th and 99th percentile of the seconds from a stored row to its accepted mail, by rows a second."""
    for load in LOADS:
        seconds, mails, cpu_s = _measured(load)
        for share in (50, 99):
            value = float(np.percentile(seconds, share))
            cpu = f"{1000 * cpu_s / len(seconds):.0f} ms of CPU a row in relay and handler"
            note = f"{load.name}: {mails} mails for {len(seconds)} rows; {cpu}"
            name = f"row to email, {load.rate:g} rows a second, p{share}"
            yield Figure(name, 1, "rows", value, aim=1 if share == 99 else None, note=note)


def _measured(load: Load) -> tuple[list[float], int, float]:
    """Return the seconds of each row, how many mails there were, and the CPU seconds of relay and handler.

    Real processes, an empty home each time.
    """
    with tempfile.TemporaryDirectory() as folder:
        environ = {
            **os.environ,
            "GRIDWATCH_HOME": folder,
            "GRIDWATCH_SERVER__PORT": "0",
            "GRIDWATCH_ALERTS__RECIPIENTS": '["bench@example.com"]',
            "GRIDWATCH_DATASETS_DIR": folder,
            **load.settings,
        }
        settings = Settings(home=Path(folder))
        inbox = Inbox(Path(folder) / "inbox")
        with open_store(settings.store) as store:
            scores = _write_scores(store)
            with _child("serve", environ=environ) as server:
                _wait(settings, server)
                with _child("relay", environ=environ) as relay:
                    # The first mails find libraries unread; a service that runs for weeks pays that once.
                    _latencies(store, _feed(store, scores, 0, 2, 1.0))
                    before = len(inbox.ids())
                    began_s = _cpu_s(server) + _cpu_s(relay)
                    seconds = _latencies(store, _feed(store, scores, 2, load.rows, load.rate))
                    spent_s = _cpu_s(server) + _cpu_s(relay) - began_s
                    return seconds, len(inbox.ids()) - before, spent_s


def _cpu_s(child: subprocess.Popen[bytes]) -> float:
    times = psutil.Process(child.pid).cpu_times()
    return float(times.user + times.system)


def _feed(store: Store, scores: pd.DataFrame, first: int, rows: int, rate: float) -> dict[str, int]:
    """Write anomalies at a rate, not in step with the relay, ten batches a second at most; return when, in ms."""
    random = np.random.default_rng(3)
    written: dict[str, int] = {}
    batch = max(1, round(rate / BATCHES_PER_S))
    due = time.monotonic()
    for start in range(first, first + rows, batch):
        due += batch / rate * float(random.uniform(0.7, 1.3))
        time.sleep(max(0.0, due - time.monotonic()))
        now_ms = time.time_ns() // 1_000_000
        frame = pd.concat([_anomaly(scores, place, now_ms) for place in range(start, min(start + batch, first + rows))])
        store.put(f"ANOMALY_{SYMBOL}", frame)
        written |= dict.fromkeys(map(str, frame["id"]), time.time_ns() // 1_000_000)
    return written


def _latencies(store: Store, written: dict[str, int]) -> list[float]:
    for _ in range(int(_WAIT_S * 10)):
        rows = store.sql("SELECT anomaly_id, last_ms FROM deliveries WHERE status = 'sent'").to_pylist()
        mine = [row for row in rows if row["anomaly_id"] in written]
        if len(mine) == len(written):
            return [(row["last_ms"] - written[row["anomaly_id"]]) / 1000 for row in mine]
        time.sleep(0.1)
    raise RuntimeError(f"Only {len(mine)} of {len(written)} mails were sent in {_WAIT_S:g} s.")
