"""The wide picture of a whole range of scored rows. Matplotlib's object API, no pyplot."""

from __future__ import annotations

import threading
from datetime import UTC, tzinfo
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from gridwatch.alerts.background import EACH_SIDE, rows_around_all

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from gridwatch.alerts.anomaly import Anomaly
    from gridwatch.containers import Store

__all__ = ["rows_around", "series_plot"]

INK, GRID, VALUE, EXPECTED, ALERT = "#1f2933", "#e4e7eb", "#1d4e89", "#e08e0b", "#d02c2c"

# Matplotlib shares font caches between figures and does not promise that threads may draw at once.
_DRAWING = threading.Lock()


def rows_around(store: Store, anomaly: Anomaly, *, each_side: int = EACH_SIDE) -> pa.Table | None:
    """Return the scored rows around an anomaly, oldest first, or None where there are none.

    Args:
        store: Holds `SCORE_<S>`.
        anomaly: In the middle, its own row included.
        each_side: Most rows before it, and most after it.
    """
    return rows_around_all(store, [anomaly], each_side=each_side)[0]


def series_plot(
    scores: pa.Table | pd.DataFrame,
    anomalies: pa.Table | pd.DataFrame,
    title: str,
    *,
    zone: tzinfo = UTC,
    label: str = "actual",
) -> bytes:
    """Draw a whole range of scored rows with every anomaly marked.

    Args:
        scores: Rows of `SCORE_<S>`: ts, actual, expected, lower, upper.
        anomalies: Rows of `ANOMALY_<S>`: ts, actual; may be empty.
        title: Above the picture.
        zone: Time zone of the time axis.
        label: What the value is called, such as `close`.

    Returns:
        A PNG of 2200 x 840 pixels.
    """
    marked = _arrays(anomalies)
    with _DRAWING:
        figure, axes = _canvas(11.0, 4.2, zone)
        _lines(axes, _arrays(scores), label=label)
        if marked["ts"].size:
            count = f"{marked['ts'].size:,} anomal{'y' if marked['ts'].size == 1 else 'ies'}"
            axes.plot(
                marked["ts"], marked["actual"], "o", color=ALERT, markersize=6, markeredgecolor="white", label=count
            )
        return _png(figure, axes, title)


def _arrays(rows: pa.Table | pd.DataFrame) -> dict[str, Any]:
    """Columns as arrays: `ts` datetime64[ms] (n,), the others float64 (n,) with NaN for null or missing."""
    import pandas as pd

    frame = rows if isinstance(rows, pd.DataFrame) else rows.to_pandas()
    ts = pd.to_datetime(frame["ts"], utc=True).dt.tz_localize(None).to_numpy(dtype="datetime64[ms]")
    names = ("actual", "expected", "lower", "upper")
    empty = np.full(len(frame), np.nan)
    return {"ts": ts} | {
        name: frame[name].to_numpy(dtype="float64", na_value=np.nan) if name in frame else empty for name in names
    }


def _canvas(width: float, height: float, zone: tzinfo) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    figure = Figure(figsize=(width, height), dpi=200, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    locator = AutoDateLocator(tz=zone, minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=zone))  # type: ignore[no-untyped-call]
    # Whole numbers at each tick: matplotlib's own would move a common factor to where the title is.
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.grid(visible=True, color=GRID, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#9aa5b1")
    axes.tick_params(colors=INK, labelsize=8, length=3)
    axes.xaxis.get_offset_text().set(size=7, color=INK)
    return figure, axes


def _lines(axes: Axes, rows: dict[str, Any], *, label: str) -> None:
    if not np.isnan(rows["lower"]).all() and not np.isnan(rows["upper"]).all():
        axes.fill_between(
            rows["ts"], rows["lower"], rows["upper"], color=EXPECTED, alpha=0.18, linewidth=0, label="expected range"
        )
    if not np.isnan(rows["expected"]).all():
        axes.plot(rows["ts"], rows["expected"], color=EXPECTED, linewidth=1.1, linestyle="--", label="expected")
    axes.plot(rows["ts"], rows["actual"], color=VALUE, linewidth=1.4, label=label)


def _png(figure: Figure, axes: Axes, title: str) -> bytes:
    axes.set_title(title, loc="left", fontsize=10, color=INK, fontweight="bold", parse_math=False)
    legend = axes.legend(loc="best", fontsize=8, frameon=True, framealpha=0.85, edgecolor="none")
    for text in legend.get_texts():
        text.set_parse_math(False)
    axes.margins(x=0.02)
    _margins(figure, axes)
    picture = BytesIO()
    # Zlib's fastest levels cost a few KiB and save a tenth of the time.
    figure.savefig(picture, format="png", pil_kwargs={"compress_level": 2})
    return picture.getvalue()


def _margins(figure: Figure, axes: Axes) -> None:
    """Leave room for title and tick labels by counting characters: a layout engine would draw everything twice."""
    labels = axes.yaxis.get_major_formatter().format_ticks(list(axes.get_yticks()))
    width, height = figure.get_size_inches()
    left = (0.3 + 0.07 * max((len(label) for label in labels), default=0)) / width
    figure.subplots_adjust(left=left, right=1 - 0.12 / width, bottom=0.42 / height, top=1 - 0.32 / height)
