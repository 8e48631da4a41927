"""Detectors side by side as a picture: the same rows, a panel each, with what it expected and what it flagged."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from gridwatch.pipeline.compare import Side

__all__ = ["compare_plot"]

_BAND, _VALUE, _ALERT = "#e08e0b", "#1d4e89", "#d02c2c"


def compare_plot(sides: Sequence[Side], *, title: str, label: str, zone: tzinfo = UTC) -> bytes:
    """Draw a panel for each detector.

    Args:
        sides: What each says of the same rows; at least one.
        title: Above the picture.
        label: What the value is called.
        zone: Time zone of the time axis.

    Returns:
        A PNG of 2200 pixels' width, 560 pixels in height for each panel.
    """
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 2.8 * len(sides)), dpi=200, facecolor="white", layout="constrained")
    panels = figure.subplots(len(sides), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, side in zip(panels, sides, strict=True):
        _panel(axes, side, label)
        locator = AutoDateLocator(tz=zone, minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=zone))  # type: ignore[no-untyped-call]
    actual = sides[0].scored.columns["actual"]
    if len(actual):
        # The bands of a detector may be far wider than all values.
        room = 0.35 * (float(np.ptp(actual)) or 1.0)
        panels[0].set_ylim(float(actual.min()) - room, float(actual.max()) + room)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold", parse_math=False)
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()


def _panel(axes: Any, side: Side, label: str) -> None:
    said, times = side.scored.columns, side.scored.times_ms.astype("datetime64[ms]")
    axes.fill_between(times, said["lower"], said["upper"], color=_BAND, alpha=0.18, linewidth=0, label="expected range")
    axes.plot(times, said["expected"], color=_BAND, linewidth=1.0, linestyle="--", label="expected")
    axes.plot(times, said["actual"], color=_VALUE, linewidth=1.2, label=label)
    count = int(side.flagged.sum())
    marked = {"color": _ALERT, "markersize": 6, "markeredgecolor": "white", "label": f"flagged: {count:,}"}
    axes.plot(times[side.flagged], said["actual"][side.flagged], "o", **marked)
    rule = f"{side.rule.name} ≥ {side.rule.value:.4g}"
    axes.set_title(f"{side.detector} ({side.feature}, {rule}): {count:,} of {len(times):,}", loc="left", fontsize=9)
    axes.grid(visible=True, color="#e4e7eb", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, length=3)
    legend = axes.legend(loc="best", fontsize=7, framealpha=0.85, edgecolor="none")
    for text in legend.get_texts():
        text.set_parse_math(False)
