"""A picture of one judged file, as PNG bytes: its values, windows and alarms, and the segment score below."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gridwatch.pipeline.evaluation_report import JudgedFile

__all__ = ["judged_plot"]


def judged_plot(file: JudgedFile, threshold: float) -> bytes:
    """Return the picture; alarms are the rows whose `anomaly_score` is at or above the threshold."""
    # Not pyplot: it keeps figures for ever and looks for a screen.
    from matplotlib.figure import Figure

    from gridwatch.detectors.evaluation import probation_rows

    series, judged = file.series, file.judged
    figure = Figure(figsize=(10, 5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    times = series.times_ms.astype("datetime64[ms]")
    upper.plot(times, series.values, color="black", linewidth=0.7, label="value")
    flagged = np.flatnonzero(judged.anomaly_score >= threshold)
    upper.plot(times[flagged], series.values[flagged], "o", color="tab:red", markersize=4, label="alarm")
    lower.plot(times, judged.segment_score, color="tab:blue", linewidth=0.7)
    start = probation_rows(len(series))
    for axes in (upper, lower):
        axes.axvspan(times[0], times[max(start - 1, 0)], color="0.5", alpha=0.15, label="probation")
        for first, last in series.windows:
            axes.axvspan(times[first], times[last], color="tab:orange", alpha=0.25)
    upper.set(title=f"{series.name}: labelled windows (orange) and alarms at {threshold:g} or above")
    upper.legend(loc="upper left")
    lower.set(ylabel="segment score")
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=90)
    return out.getvalue()
