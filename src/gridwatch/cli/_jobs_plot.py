"""A job's results as a picture: the score of each bucket, and below it who was out of the ordinary when."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

__all__ = ["COLOURS", "results_plot"]

COLOURS = {"critical": "#d02c2c", "major": "#e0700e", "minor": "#e5b80b", "warning": "#6aa9d8", "": "#c3cad2"}
_LANES = 10


def results_plot(
    title: str,
    buckets: Sequence[tuple[int, float, str]],
    records: Sequence[tuple[int, float, str, str]],
) -> bytes:
    """Draw results.

    Args:
        title: Above the picture.
        buckets: Start (UTC epoch ms), score and severity of each.
        records: The same and whose it is, the worst first; the first ten of these get a line each.

    Returns:
        A PNG of 2200 pixels' width.
    """
    import numpy as np
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    lanes = list(dict.fromkeys(whose for *_, whose in records))[:_LANES]
    below = 0.6 + 0.3 * len(lanes)
    figure = Figure(figsize=(11.0, 2.8 + below), dpi=200, facecolor="white", layout="constrained")
    above, under = figure.subplots(2, 1, sharex=True, height_ratios=(2.8, below))
    for severity, colour in COLOURS.items():
        mine = [(ms, score) for ms, score, named in buckets if named == severity]
        if mine:
            times = np.array([ms for ms, _ in mine], "datetime64[ms]")
            above.vlines(times, 0.0, [score for _, score in mine], color=colour, linewidth=1.4, label=severity or None)
    above.set_ylim(0.0, 102.0)
    above.set_ylabel("bucket score", fontsize=8)
    for place, lane in enumerate(lanes):
        mine_too = [(ms, score, severity) for ms, score, severity, whose in records if whose == lane]
        times = np.array([ms for ms, *_ in mine_too], "datetime64[ms]")
        sizes = [8.0 + score for _, score, _ in mine_too]
        under.scatter(
            times,
            [place] * len(mine_too),
            s=sizes,
            c=[COLOURS[named] for *_, named in mine_too],
            linewidths=0,
            zorder=2,
        )
    under.set_yticks(range(len(lanes)), lanes, fontsize=7)
    for label in under.get_yticklabels():
        label.set_parse_math(False)
    under.set_ylim(len(lanes) - 0.5 if lanes else 0.5, -0.5)
    _finish(figure, (above, under), title, AutoDateLocator, ConciseDateFormatter)
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()


def _finish(figure: Any, panels: Sequence[Any], title: str, locator: Any, formatter: Any) -> None:
    placed = locator(tz="UTC", minticks=4, maxticks=9)
    panels[-1].xaxis.set_major_locator(placed)
    panels[-1].xaxis.set_major_formatter(formatter(placed, tz="UTC"))
    for axes in panels:
        axes.grid(visible=True, color="#e4e7eb", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8, length=3)
    if panels[0].get_legend_handles_labels()[0]:
        panels[0].legend(loc="upper left", fontsize=7, framealpha=0.85, edgecolor="none", ncols=4)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold", parse_math=False)
