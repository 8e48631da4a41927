"""From an anomaly row to its accepted email: real relay and handler processes, and a stand-in for SendGrid in a third.

SendGrid's own work and the detection that writes the rows run on other machines, or at other times; here they are on
this one as well, and their CPU is told apart.
"""

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
from gridwatch.containers import Store, open_store
from gridwatch.containers.catalog import DELIVERIES, anomaly_id, anomaly_info, score_info
from gridwatch.settings import Settings

_Process = subprocess.Popen[bytes]

SYMBOL = "BENCH"
BATCHES_PER_S = 10
WARM_UP = 20
_WAIT_S = 300.0


@dataclass(frozen=True)
class Load:
    """One way to bring rows: how many a second, how many in all, and what is set for it."""

    name: str
    rate: float
    rows: int
    settings: dict[str, str]


_EACH = {"GRIDWATCH_ALERTS__MAILS_PER_HOUR": "0"}
_DIGESTS = {"GRIDWATCH_ALERTS__DIGEST_S": "0.5", "GRIDWATCH_ALERTS__MAILS_PER_HOUR": str(20 + WARM_UP)}
LOADS = (
    Load("a mail for each", 1, 30, _EACH),
    Load("a mail for each", 10, 200, _EACH),
    Load("a mail for each", 50, 1_000, _EACH),
    Load("a mail for each", 100, 1_500, _EACH),
    Load("20 mails, then a digest every half second", 100, 1_000, _DIGESTS),
)


@contextmanager
def _child(*arguments: str, environ: dict[str, str], output: int = subprocess.DEVNULL) -> Iterator[_Process]:
    with subprocess.Popen(
        [sys.executable, "-m", *arguments], env=environ, stdout=output, stderr=subprocess.DEVNULL
    ) as child:
        try:
            yield child
        finally:
            child.terminate()


@contextmanager
def _mail_server(environ: dict[str, str]) -> Iterator[tuple[_Process, str]]:
    """The stand-in for SendGrid, and its address."""
    with _child("benchmarks.mail_server", environ=environ, output=subprocess.PIPE) as child:
        assert child.stdout is not None
        yield child, f"http://127.0.0.1:{int(child.stdout.readline())}"


def _wait(settings: Settings, server: _Process) -> None:
    for _ in range(int(_WAIT_S * 10)):
        if handler_url(settings) != handler_url(Settings(home=settings.home / "none")):
            return
        if server.poll() is not None:
            raise RuntimeError(f"The handler ended with {server.returncode}; `gridwatch serve` says why.")
        time.sleep(0.1)
    raise RuntimeError(f"The handler did not come up in {_WAIT_S:g} s.")


def _write_scores(store: Store) -> pd.DataFrame:
    """Give the mails' plots something to draw."""
    bars = minute_bars(3_000)
    scores = pd.DataFrame({"ts": bars["ts"], "actual": bars["close"], "expected": bars["close"]})
    scores["lower"], scores["upper"], scores["score"] = bars["low"], bars["high"], 10.0
    store.put_container(score_info(SYMBOL))
    store.put(f"SCORE_{SYMBOL}", scores)
    for info in (anomaly_info(SYMBOL), DELIVERIES):
        store.put_container(info)
    return scores


def _anomaly(scores: pd.DataFrame, place: int) -> pd.DataFrame:
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
    }
    return pd.DataFrame([values | {name: row[name] for name in ("expected", "lower", "upper")}])


def run() -> Iterator[Figure]:
    """Yield the 50th and 99th percentile of the seconds from a stored row to its accepted mail, by rows a second."""
    for load in LOADS:
        found = _measured(load)
        for share in (50, 99):
            value = float(np.percentile(found.seconds, share))
            note = f"{load.name}: {found.mails} mails for {len(found.seconds)} rows; CPU a row, ms: {found.cpu}"
            name = f"row to email, {load.rate:g} rows a second, p{share}"
            yield Figure(name, 1, "rows", value, aim=1 if share == 99 else None, note=note)


@dataclass(frozen=True)
class _Measured:
    """The seconds of each row, how many mails there were, and the CPU of each process in words."""

    seconds: list[float]
    mails: int
    cpu: str


def _measured(load: Load) -> _Measured:
    """Real processes, an empty home each time."""
    with tempfile.TemporaryDirectory() as folder, _mail_server({**os.environ}) as (sendgrid, url):
        environ = {
            **os.environ,
            "GRIDWATCH_HOME": folder,
            "GRIDWATCH_SERVER__PORT": "0",
            "GRIDWATCH_ALERTS__RECIPIENTS": '["bench@example.com"]',
            "GRIDWATCH_DATASETS_DIR": folder,
            "GRIDWATCH_SENDGRID__API_KEY": "SG.bench",
            "GRIDWATCH_SENDGRID__BASE_URL": url,
            **load.settings,
        }
        settings = Settings(home=Path(folder))
        with open_store(settings.store) as store:
            scores = _write_scores(store)
            with _child("gridwatch.cli", "serve", environ=environ) as server:
                _wait(settings, server)
                with _child("gridwatch.cli", "relay", environ=environ) as relay:
                    # The first mails find libraries unread; a service that runs for weeks pays that once.
                    _latencies(store, _feed(store, scores, 0, WARM_UP, 10.0))
                    children = {"handler": server, "relay": relay, "the stand-in for SendGrid": sendgrid}
                    before = {name: _cpu_s(child.pid) for name, child in children.items()}
                    own_s = time.process_time()
                    written = _feed(store, scores, WARM_UP, load.rows, load.rate)
                    own_s = time.process_time() - own_s
                    seconds = _latencies(store, written)
                    spent = {name: _cpu_s(child.pid) - before[name] for name, child in children.items()}
                    spent["the writer of rows"] = own_s
                    cpu = ", ".join(f"{name} {1000 * value / load.rows:.1f}" for name, value in spent.items())
                    return _Measured(seconds, _mails(store, written), cpu)


def _mails(store: Store, written: dict[str, int]) -> int:
    rows = store.sql("SELECT anomaly_id, message_id FROM deliveries").to_pylist()
    return len({row["message_id"] for row in rows if row["anomaly_id"] in written})


def _cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _feed(store: Store, scores: pd.DataFrame, first: int, rows: int, rate: float) -> dict[str, int]:
    """Write anomalies at a rate, not in step with the relay, ten batches a second at most; return when, in ms."""
    random = np.random.default_rng(3)
    # Made ahead: the writer is no part of what is measured.
    rows_all = pd.concat([_anomaly(scores, place) for place in range(first, first + rows)], ignore_index=True)
    written: dict[str, int] = {}
    batch = max(1, round(rate / BATCHES_PER_S))
    due = time.monotonic()
    for start in range(first, first + rows, batch):
        due += batch / rate * float(random.uniform(0.7, 1.3))
        time.sleep(max(0.0, due - time.monotonic()))
        frame = rows_all.iloc[start - first : start - first + batch].assign(detected_ms=time.time_ns() // 1_000_000)
        store.put(f"ANOMALY_{SYMBOL}", frame)
        written |= dict.fromkeys(map(str, frame["id"]), time.time_ns() // 1_000_000)
    return written


def _latencies(store: Store, written: dict[str, int]) -> list[float]:
    for _ in range(int(_WAIT_S * 2)):
        rows = store.sql("SELECT anomaly_id, last_ms FROM deliveries WHERE status = 'sent'").to_pylist()
        mine = [row for row in rows if row["anomaly_id"] in written]
        if len(mine) == len(written):
            return [(row["last_ms"] - written[row["anomaly_id"]]) / 1000 for row in mine]
        time.sleep(0.5)
    raise RuntimeError(f"Only {len(mine)} of {len(written)} mails were sent in {_WAIT_S:g} s.")
