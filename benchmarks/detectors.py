"""The `auto` detector: rows a second of one series and of 1,000 at once, and which members take the time.

Beside it: what a user would otherwise run, a rolling z-score over 1,000 rows by pandas, one series after another. That
one looks for spikes alone, where `auto` has a dozen members and p-values.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from benchmarks.figure import Figure
from gridwatch.detectors.base import Floats, Times
from gridwatch.detectors.online import AutoConfig, AutoDetector, Bank

ROWS = 20_000
SERIES, ROWS_EACH = 1_000, 200
CALLS = 300
ONE_AIM, CALLS_AIM, MANY_AIM = 20_000, 20_000, 500_000  # rows a second: of one core, by single calls, of all cores
ROLLING = 1_000
BASELINE = "pandas rolling z-score"


def run() -> Iterator[Figure]:
    """Yield the figures; without a baseline `aim` is the time in which the aimed rate would be done."""
    times, values = _series(ROWS)
    yield Figure("auto, first call", 1, "row", _first_call_s(), note="compiles where no machine code is kept")
    beside_s, _ = _fastest(lambda: _rolling(values))
    for name, config in _members().items():
        seconds, cpu_s = _fastest(lambda config=config: AutoDetector(config).update(times, values))  # type: ignore[misc]
        note = f"CPU {cpu_s / ROWS * 1e6:.2f} us a row"
        note += f"; aim {ONE_AIM:,} rows/s" if config == AutoConfig() else ""
        yield Figure(f"auto{name}, one series", ROWS, "rows", seconds, BASELINE, beside_s, note=note)
    yield _row_by_row(times, values)
    for name, config in (("", AutoConfig()), (" light", AutoConfig.light())):
        yield from _many(name, config, times, values)


def _row_by_row(times: Times, values: Floats) -> Figure:
    detector = AutoDetector()
    detector.learn(times, values)
    few, window = values[:1], values[-ROLLING:]
    seconds, cpu_s = _fastest(lambda: [detector.update(times[-1:] + _tick(), few) for _ in range(CALLS)])
    beside_s, _ = _fastest(lambda: [_rolling_last(window) for _ in range(CALLS)])
    note = f"one call a row, CPU {cpu_s / CALLS * 1e6:.0f} us; aim {CALLS_AIM:,} calls/s"
    return Figure("auto, row by row", CALLS, "rows", seconds, BASELINE, beside_s, note=note)


def _many(name: str, config: AutoConfig, times: Times, values: Floats) -> Iterator[Figure]:
    warm = Bank(config)
    warm.update(times[:5_000], values[None, :5_000])
    many = np.random.default_rng(2).normal(0.0, 1.0, (SERIES, ROWS_EACH)) + values[5_000 : 5_000 + ROWS_EACH]
    before = np.broadcast_to(values[5_000 - ROLLING : 5_000], (SERIES, ROLLING))
    beside_s, _ = _fastest(lambda: [_rolling(row) for row in np.hstack([before, many])], rounds=2)
    one_s, _ = _fastest(lambda: [_rolling_last(row) for row in before], rounds=2)
    cores = os.cpu_count() or 1
    for threads in sorted({1, cores}):
        for rows, baseline_s in ((ROWS_EACH, beside_s), (1, one_s)):
            bank = warm.pick([0] * SERIES)
            seconds, cpu_s = _fastest(
                lambda bank=bank, rows=rows, threads=threads: bank.update(  # type: ignore[misc]
                    times[5_000 : 5_000 + rows] + _tick(rows), many[:, :rows], threads=threads
                ),
                rounds=6,
            )
            amount = SERIES * rows
            kib = bank.nbytes / SERIES / 1024
            note = f"{threads} threads, CPU {cpu_s / amount * 1e6:.1f} us a row, {kib:.0f} KiB a series"
            note += f"; aim {MANY_AIM:,} rows/s" if threads == cores and rows > 1 else ""
            named = f"auto{name}, {SERIES:,} series, {rows} a call"
            yield Figure(named, amount, "rows", seconds, BASELINE, baseline_s, note=note)


def _rolling(values: Floats) -> Floats:
    series = pd.Series(values)
    rolling = series.rolling(ROLLING)
    score: Floats = ((series - rolling.mean().shift()) / rolling.std().shift()).abs().to_numpy()
    return score


def _rolling_last(window: Floats) -> float:
    """Return the score of the last row alone, as one does who keeps the last rows of each series."""
    series = pd.Series(window)
    return abs(float(series.iloc[-1] - series.iloc[:-1].mean()) / float(series.iloc[:-1].std()))


def _members() -> dict[str, AutoConfig]:
    whole = AutoConfig()
    return {
        "": whole,
        ", without shapes": replace(whole, shape=(), nearest=0),
        ", without days": replace(whole, aligned=(), seasonal=False),
        " light": AutoConfig.light(),
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
