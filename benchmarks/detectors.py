"""The `auto` detector: rows a second of one series and of 1,000 at once, and which members take the time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from benchmarks.figure import Figure
from gridwatch.detectors.base import Floats, Times
from gridwatch.detectors.online import AutoConfig, AutoDetector, Bank

ROWS = 20_000
SERIES, ROWS_EACH = 1_000, 200
ONE_AIM, MANY_AIM = 20_000, 500_000  # rows a second: of one core, and of all of them


def run() -> Iterator[Figure]:
    """Yield the figures; `aim` is the time in which the aimed rate would be done."""
    times, values = _series(ROWS)
    yield Figure("auto, first call", 1, "row", _first_call_s(), note="compiles where no machine code is kept")
    for name, config in _members().items():
        seconds, cpu_s = _fastest(lambda config=config: AutoDetector(config).update(times, values))  # type: ignore[misc]
        aim = ROWS / ONE_AIM if config == AutoConfig() else None
        note = f"CPU {cpu_s / ROWS * 1e6:.1f} us a row"
        yield Figure(f"auto, one series{name}", ROWS, "rows", seconds, aim=aim, note=note)
    detector = AutoDetector()
    detector.learn(times, values)
    later, few = times[:1_000] + times[-1] + 300_000, values[:1_000]
    seconds, _ = _fastest(lambda: [detector.update(later[:1] + _tick(), few[:1]) for _ in range(1_000)])
    yield Figure("auto, row by row", 1_000, "rows", seconds, aim=1_000 / ONE_AIM, note="one call a row")
    yield from _many(times, values)


def _many(times: Times, values: Floats) -> Iterator[Figure]:
    warm = Bank(AutoConfig())
    warm.update(times[:5_000], values[None, :5_000])
    cores = os.cpu_count() or 1
    many = np.random.default_rng(2).normal(0.0, 1.0, (SERIES, ROWS_EACH)) + values[5_000 : 5_000 + ROWS_EACH]
    for threads in sorted({1, cores}):
        bank = warm.pick([0] * SERIES)
        seconds, cpu_s = _fastest(
            lambda bank=bank, threads=threads: bank.update(  # type: ignore[misc]
                times[5_000 : 5_000 + ROWS_EACH] + _tick(ROWS_EACH), many, threads=threads
            )
        )
        amount = SERIES * ROWS_EACH
        kib = bank.nbytes / SERIES / 1024
        note = f"{threads} threads, CPU {cpu_s / amount * 1e6:.1f} us a row, {kib:.0f} KiB a series"
        aim = amount / MANY_AIM if threads == cores else None
        yield Figure(f"auto, {SERIES:,} series at once", amount, "rows", seconds, aim=aim, note=note)


def _members() -> dict[str, AutoConfig]:
    whole = AutoConfig()
    return {
        "": whole,
        ", without shapes": replace(whole, shape=(), nearest=0),
        ", without days": replace(whole, aligned=(), seasonal=False),
        ", without shapes and days": replace(whole, shape=(), nearest=0, aligned=(), seasonal=False),
    }


def _series(rows: int) -> tuple[Times, Floats]:
    random = np.random.default_rng(1)
    values = 50.0 + 10.0 * np.sin(np.arange(rows) * 2 * np.pi / 288) + random.normal(0.0, 1.0, rows)
    return np.arange(rows, dtype=np.int64) * 300_000, values


_ticks = 0


def _tick(rows: int = 1) -> int:
    """Return milliseconds that go on from call to call: a detector takes later rows only."""
    global _ticks
    _ticks += rows
    return _ticks * 300_000


def _first_call_s() -> float:
    start = time.perf_counter()
    AutoDetector().update(*_series(1))
    return time.perf_counter() - start


def _fastest(work: Callable[[], object], rounds: int = 3) -> tuple[float, float]:
    """Return the least duration and the least processor time, in seconds, once the code is compiled."""
    best_s = best_cpu_s = float("inf")
    for _ in range(rounds):
        start_s, start_cpu_s = time.perf_counter(), time.process_time()
        work()
        best_s = min(best_s, time.perf_counter() - start_s)
        best_cpu_s = min(best_cpu_s, time.process_time() - start_cpu_s)
    return best_s, best_cpu_s
