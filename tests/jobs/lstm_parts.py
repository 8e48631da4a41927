"""Series with a daily season, and a small network that nobody had to train."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from gridwatch.detectors.onnx import LayerWeights, build_lstm
from gridwatch.jobs.analysis.lstm_lesson import Lesson
from gridwatch.jobs.analysis.lstm_network import Learnt, Network
from gridwatch.jobs.config import JobConfig, parse_job

HOUR = 3_600_000
START = 1_708_128_000_000
WINDOW = 12
BUCKETS = 120


def lstm_job(function: str = "count", **more: Any) -> JobConfig:
    """Return a job of hourly buckets a partition."""
    detector = {"function": function, "partition_field_name": "p"}
    detector |= {} if function == "count" else {"field_name": "v"}
    model = {"type": "lstm", "window": WINDOW, "units": 4, "epochs": 2, "train_buckets": BUCKETS}
    analysis = {"bucket_span": "1h", "detectors": [detector], **more.pop("analysis", {})}
    return parse_job({"analysis_config": analysis, "model": model | more.pop("model", {}), **more}, job_id="deep")


def rows(buckets: int, partitions: int = 3, *, odd: int | None = None, seed: int = 1) -> pd.DataFrame:
    """Return some 20 rows an hour, more at noon; ten times as many in one bucket of all partitions."""
    rng = np.random.default_rng(seed)
    parts = []
    for one in range(partitions):
        hour = np.arange(buckets)
        many = rng.poisson(20 + 15 * np.sin(2 * np.pi * (hour + 3 * one) / 24))
        if odd is not None:
            many[odd] += 200
        at = np.repeat(hour, many)
        when = START + at * HOUR + rng.integers(0, HOUR, len(at))
        parts.append(pd.DataFrame({"time": when, "p": f"p{one}", "v": rng.normal(10.0, 1.0, len(at))}))
    return pd.concat(parts).sort_values("time", kind="stable").reset_index(drop=True)


def network(window: int = WINDOW, to_ms: int = START + BUCKETS * HOUR, memory_rows: int = BUCKETS) -> Network:
    """Return a network that expects something between the level and the newest values."""
    rng = np.random.default_rng(5)
    units = 4
    weights = [rng.normal(0.0, 0.4, shape).astype(np.float32) for shape in ((1, 4 * units), (units, 4 * units))]
    layer = LayerWeights(weights[0], weights[1], np.zeros(4 * units, np.float32))
    onnx = build_lstm(
        [layer], rng.normal(0.0, 0.5, (units, 1)).astype(np.float32), np.zeros(1, np.float32), window=window
    )
    return Network(onnx, window, memory_rows, Learnt(START, to_ms, 3, 300, 30, 0.5, 1.0, 2, "d1"))


def handy(job: JobConfig, lesson: Lesson, at_ms: int, before: Network | None) -> Network | None:
    """Teach what nobody had to train, where there is enough to learn."""
    return network(job.model.window, at_ms, lesson.memory_rows) if lesson.enough and before is None else None
