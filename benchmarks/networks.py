"""What an LSTM finds in made-up series that the usual model of a job does not, and the other way round.

Of each kind 20 series in buckets of 15 minutes: three weeks to learn from, three to judge, once as they are and once
with eight faults each. Told are the faults that are critical, by the usual model and with the network beside it, and
how often ordinary buckets are records (p < 0.01: ten of 1,000 should be) and critical (0.1). The time is that of the
training.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from benchmarks.figure import Figure
from gridwatch.jobs.analysis.evened import evened
from gridwatch.jobs.analysis.lstm_learning import learn
from gridwatch.jobs.analysis.lstm_lesson import lesson_of
from gridwatch.jobs.analysis.lstm_models import LstmModels
from gridwatch.jobs.analysis.models import BUCKETS, Models
from gridwatch.jobs.analysis.scoring import RECORD_P, score_of
from gridwatch.jobs.config import JobConfig, parse_job
from gridwatch.jobs.functions import Metric

SERIES, DAYS = 20, 21
SEED = 3
WINDOW, UNITS, EPOCHS = 24, 32, 20

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Random: TypeAlias = np.random.Generator

_SPAN_MS, _DAY_MS = 900_000, 86_400_000
_START_MS = 1_707_091_200_000
_FAULTS: dict[str, tuple[int, Callable[[Floats, float], Floats]]] = {
    "a burst": (1, lambda part, usual: part + 4.0 * usual + 5.0),
    "nothing, once": (1, lambda part, _: 0.0 * part),
    "twice as much for an hour": (4, lambda part, _: np.round(2.0 * part)),
    "0.4 of it for 90 minutes": (6, lambda part, _: np.round(0.4 * part)),
}


@dataclass(frozen=True)
class Kind:
    """One kind of series: its name, what a job would make of it, and its values (s, b) by chance and angle of day."""

    name: str
    metric: Metric
    make: Callable[[Random, Floats], Floats]


def run() -> Iterator[Figure]:
    """Yield a figure a kind; the note has what was found."""
    for kind in KINDS:
        yield _figure(kind)


def _figure(kind: Kind) -> Figure:
    rng = np.random.default_rng(SEED)
    learnt = DAYS * _DAY_MS // _SPAN_MS
    times = _START_MS + np.arange(2 * learnt) * _SPAN_MS
    # Each series has its noon at another hour.
    angle = 2.0 * np.pi * (times % _DAY_MS / _DAY_MS + rng.uniform(0.0, 1.0, (SERIES, 1)))
    usual = kind.make(rng, angle)
    faulty, where = _with_faults(rng, usual, learnt)
    job = _job(learnt)
    deep = _models(kind, learnt)
    deep.update(times[:learnt], evened(kind.metric, times[:learnt], usual[:, :learnt]))
    began = time.perf_counter()
    lesson = lesson_of([(deep.recent, 0)], WINDOW)
    network = learn(job, lesson).network
    seconds = time.perf_counter() - began
    found = []
    for values in (usual, faulty):
        even = evened(kind.metric, times, values)
        alone, deep = Models(BUCKETS, *_beside(kind)), _models(kind, learnt)
        deep.update(times[:learnt], even[:, :learnt])
        deep.adopt(network)
        plain = alone.update(times, even).surprise[:, learnt:]
        found.append((plain, deep.update(times[learnt:], even[:, learnt:]).surprise))
    told = [
        f"{name} {_critical(found[1][0], at, learnt):.0%}, {_critical(found[1][1], at, learnt):.0%}"
        for name, at in where.items()
    ]
    note = f"critical by the usual model, with the network: {'; '.join(told)}; of 1,000 ordinary buckets "
    note += f"{_ordinary(found[0][0])}, {_ordinary(found[0][1])}; its error {network.learnt.val_loss:.3f}"
    return Figure(kind.name, network.learnt.windows, "windows", seconds, note=note)


def _job(learnt: int) -> JobConfig:
    model = {"type": "lstm", "window": WINDOW, "units": UNITS, "epochs": EPOCHS, "train_buckets": learnt}
    analysis = {"bucket_span": "15m", "detectors": [{"function": "count"}]}
    return parse_job({"analysis_config": analysis, "model": model}, job_id="bench")


def _beside(kind: Kind) -> tuple[int, int | None, int, int, int]:
    counts = kind.metric == "count"
    return 1, None, 0, _SPAN_MS if counts else 0, int(counts)


def _models(kind: Kind, learnt: int) -> LstmModels:
    threads, most, *spaced = _beside(kind)
    return LstmModels(BUCKETS, threads, most, *spaced, buckets=learnt)


def _with_faults(rng: Random, usual: Floats, learnt: int) -> tuple[Floats, dict[str, tuple[Ints, int]]]:
    """Return values with faults after those learnt, and where each fault begins, int64 (s, 2), and its length."""
    values, series, buckets = usual.copy(), *usual.shape
    many = 2 * len(_FAULTS)
    places = np.linspace(learnt + 30, buckets - 40, many)
    places = (places + rng.integers(0, 10, (series, 1))).astype(np.int64)
    where = {}
    for number, (name, (length, change)) in enumerate(_FAULTS.items()):
        where[name] = places[:, number :: len(_FAULTS)], length
        for one in range(series):
            for at in where[name][0][one].tolist():
                part = values[one, at : at + length]
                values[one, at : at + length] = change(part, float(np.median(usual[one])))
    return values, where


def _critical(surprise: Floats, at: tuple[Ints, int], learnt: int) -> float:
    """Return the share of faults that are critical in one of their buckets, or in the one after."""
    places, length = at
    reach = places[:, :, None] - learnt + np.arange(length + 1)
    rows = np.arange(len(places))[:, None, None]
    return float((score_of(10.0 ** -surprise[rows, reach].max(axis=2)) >= 75.0).mean())


def _ordinary(surprise: Floats) -> str:
    probability = 10.0**-surprise
    records, critical = probability <= RECORD_P, score_of(probability) >= 75.0
    return f"{1000 * records.mean():.1f} records and {1000 * critical.mean():.2f} critical"


def _follow(rng: Random, angle: Floats) -> Floats:
    chance, values = rng.normal(0.0, 5.0, angle.shape), np.zeros(angle.shape)
    for at in range(1, angle.shape[1]):
        values[:, at] = 0.9 * values[:, at - 1] + chance[:, at]
    return 100.0 + values + 20.0 * np.sin(angle)


def _daily(rng: Random, angle: Floats) -> Floats:
    return rng.poisson(30.0 * (1.0 + 0.8 * np.sin(angle))).astype(np.float64)


def _office(rng: Random, angle: Floats) -> Floats:
    return rng.poisson(np.where(np.sin(angle) > 0.0, 60.0, 8.0)).astype(np.float64)


def _flat(rng: Random, angle: Floats) -> Floats:
    return rng.poisson(30.0, angle.shape).astype(np.float64)


KINDS = (
    Kind("means that follow from those before", "mean", _follow),
    Kind("counts with a daily season", "count", _daily),
    Kind("counts of hours of work", "count", _office),
    Kind("counts, 30 a bucket", "count", _flat),
)
