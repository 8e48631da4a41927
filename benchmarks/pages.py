"""A chart of a million rows: what a zoom waits for, beside reading the rows of its range with pandas."""

from __future__ import annotations

import http.client
import json
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa

from benchmarks.figure import Figure
from gridwatch.containers import Store, open_store
from gridwatch.containers.catalog import anomaly_id, anomaly_info, score_info
from gridwatch.server import serve
from gridwatch.settings import Settings

ROWS = 1_000_000
ZOOMS = 150
PIECES = 1_200
"""About the pixels of a chart on a wide screen."""

_FIRST_MS = 1_700_000_000_000
_STEP_MS = 60_000
_AIM_S = 0.1
"""What people take for at once (Nielsen, "Response Times: The 3 Important Limits")."""


def fill(store: Store, name: str, rows: int, *, anomalies: int = 200) -> None:
    """Write scored rows, one a minute, with a daily and a weekly season, noise, and spikes that are anomalies."""
    random = np.random.default_rng(7)
    at = np.arange(rows)
    expected = 50 + 10 * np.sin(2 * np.pi * at / 1_440) + 4 * np.sin(2 * np.pi * at / 10_080)
    actual = expected + random.normal(0, 1, rows)
    spikes = np.sort(random.choice(rows, min(anomalies, rows), replace=False))
    actual[spikes] += random.choice([-25, -12, 12, 25], len(spikes))
    times = _FIRST_MS + at * _STEP_MS
    columns = {"actual": actual, "expected": expected, "lower": expected - 3.5, "upper": expected + 3.5}
    table = pa.table({"ts": pa.array(times).cast(pa.timestamp("ms", "UTC")), **columns})
    store.put_container(score_info(name))
    for begin in range(0, rows, 200_000):
        store.put(f"SCORE_{name}", table.slice(begin, 200_000))
    info = anomaly_info(name)
    store.put_container(info)
    found = [
        {
            "id": anomaly_id(name, "auto", "", int(times[place])), "ts": int(times[place]), "detector": "auto",
            "actual": actual[place], "expected": expected[place], "score": 90.0, "severity": "high", "driver": "value",
        }
        for place in spikes
    ]  # fmt: skip
    store.put(info.name, pa.Table.from_pylist(found, schema=info.arrow))


@contextmanager
def served(settings: Settings, store: Store) -> Iterator[str]:
    """Serve a store in a thread; gives the address."""
    stop, ready, urls = threading.Event(), threading.Event(), []

    def on_ready(url: str) -> None:
        urls.append(url)
        ready.set()

    parts: dict[str, Any] = {"clock": lambda: time.time_ns() // 1_000_000, "on_ready": on_ready, "stop": stop}
    thread = threading.Thread(target=serve, args=(settings, store), kwargs=parts)
    thread.start()
    try:
        if not ready.wait(60):
            raise RuntimeError("The server did not come up within 60 s.")
        yield urls[0]
    finally:
        stop.set()
        thread.join(30)


def run() -> Iterator[Figure]:
    """Yield the figures: the first look, zooms by request, and zooms in a browser where there is one."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(_env_file=None, home=Path(folder), server={"port": 0})
        with open_store(settings.store) as store:
            fill(store, "big", ROWS)
            with served(settings, store) as url:
                yield from _requests(store, url)
                yield from _browser(url)


def _requests(store: Store, url: str) -> Iterator[Figure]:
    first_s = _timed(lambda: _asked(url, _FIRST_MS, _FIRST_MS + ROWS * _STEP_MS))
    raw_s = _timed(lambda: store.read("SCORE_big").to_pandas())
    yield Figure("chart, first look", ROWS, "rows", first_s, "all rows with pandas", raw_s, note="then kept in memory")
    ranges = list(_ranges())
    ours, theirs, rows = [], [], []
    cpu_s = 0.0
    for from_ms, to_ms in ranges:
        begin_s = time.process_time()
        ours.append(_timed(lambda: rows.append(_asked(url, from_ms, to_ms)["rows"])))  # noqa: B023 - called at once
        cpu_s += time.process_time() - begin_s
        theirs.append(_timed(lambda: store.read("SCORE_big", from_ms, to_ms).to_pandas()))  # noqa: B023
    note = f"{len(ranges)} zooms to {min(rows):,}..{max(rows):,} of {ROWS:,} rows, with anomalies and labels"
    note += f"; CPU {cpu_s / len(ranges) * 1000:.0f} ms a zoom, client and server"
    for percent in (50, 95):
        mine, other = (float(np.percentile(times, percent)) for times in (ours, theirs))
        yield Figure(
            f"zoom, p{percent}", 1, "zooms", mine, "its rows with pandas", other, note=f"{note}; aim {_AIM_S} s"
        )


def _ranges() -> Iterator[tuple[int, int]]:
    """Yield ranges of all widths, from 500 rows to all of them, in no order."""
    random = np.random.default_rng(3)
    for width in np.exp(random.uniform(np.log(min(500, ROWS)), np.log(ROWS), ZOOMS)):
        from_ms = _FIRST_MS + round(random.uniform(0, ROWS - width)) * _STEP_MS
        yield from_ms, from_ms + round(width) * _STEP_MS


def _asked(url: str, from_ms: int, to_ms: int) -> dict[str, Any]:
    """Ask as the chart does: one connection a request, the answer read as JSON."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    connection.request("GET", f"/pages/data/series/big?from={from_ms}&to={to_ms}&pieces={PIECES}")
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"The server answered {answer.status}: {body[:200]!r}")
    found: dict[str, Any] = json.loads(body)
    return found


def _browser(url: str) -> Iterator[Figure]:
    program = shutil.which("chromium")
    if program is None:
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        page = started.new_page(viewport={"width": PIECES + 100, "height": 800})
        page.goto(f"{url}/series/big")
        page.locator("#chart[aria-busy='false']").wait_for()
        # The page's own clock: from the key until two frames after the answer was drawn.
        times = page.evaluate(_ZOOM, ["+", "+", "ArrowRight", "+", "ArrowLeft", "-", "ArrowRight", "-"] * 8)
        started.close()
    for percent in (50, 95):
        seconds = float(np.percentile(times, percent)) / 1000
        note = f"{len(times)} keys in Chromium, key to picture"
        yield Figure(f"zoom or pan to picture, p{percent}", 1, "keys", seconds, note=note)


_ZOOM = """async (keys) => {
  const host = document.getElementById("chart");
  const idle = () => new Promise((done) => {
    const watch = new MutationObserver(() => {
      if (host.getAttribute("aria-busy") !== "false") return;
      watch.disconnect();
      requestAnimationFrame(() => requestAnimationFrame(done));
    });
    watch.observe(host, { attributes: true, attributeFilter: ["aria-busy"] });
  });
  const times = [];
  for (const key of keys) {
    const begin = performance.now();
    const done = idle();
    host.dispatchEvent(new KeyboardEvent("keydown", { key }));
    await done;
    times.push(performance.now() - begin);
  }
  return times;
}"""


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
