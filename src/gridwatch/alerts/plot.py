"""Pictures of scored rows: the one in a mail, and the wide one of a whole range. Matplotlib's object API, no pyplot."""

from __future__ import annotations

import threading
from datetime import UTC, tzinfo
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from gridwatch.alerts.wording import number, one_in

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from gridwatch.alerts.anomaly import Anomaly
    from gridwatch.containers import Store

__all__ = ["anomaly_plot", "rows_around", "series_plot"]

INK, GRID, VALUE, EXPECTED, ALERT = "#1f2933", "#e4e7eb", "#1d4e89", "#e08e0b", "#d02c2c"

# Matplotlib shares font caches between figures and does not promise that threads may draw at once.
_DRAWING = threading.Lock()


def rows_around(store: Store, anomaly: Anomaly, *, each_side: int = 60) -> pa.Table | None:
    """Return the scored rows around an anomaly, oldest first, or None where there are none.

    Args:
        store: Holds `SCORE_<S>`.
        anomaly: In the middle, its own row included.
        each_side: Most rows before it, and most after it.
    """
    import pyarrow as pa

    info = store.container(anomaly.score_container)
    if info is None:
        return None
    columns = "ts, actual, expected, lower, upper, score"
    name = info.name.replace('"', '""')
    before = f'SELECT {columns} FROM "{name}" WHERE ts <= ? ORDER BY ts DESC LIMIT {each_side + 1}'  # noqa: S608 - quoted
    after = f'SELECT {columns} FROM "{name}" WHERE ts > ? ORDER BY ts LIMIT {each_side}'  # noqa: S608 - quoted
    rows = pa.concat_tables([store.sql(before, [anomaly.when]), store.sql(after, [anomaly.when])])
    return rows.sort_by("ts") if rows.num_rows else None


def anomaly_plot(rows: pa.Table, anomaly: Anomaly, *, title: str, zone: tzinfo = UTC, label: str = "actual") -> bytes:
    """Draw the rows around one anomaly, the anomaly in red.

    Args:
        rows: As `rows_around` returns them.
        anomaly: The row to mark.
        title: Above the picture.
        zone: Time zone of the time axis.
        label: What the value is called, such as `close`.

    Returns:
        A PNG of 1280 x 560 pixels.
    """
    with _DRAWING:
        figure, axes = _mail_canvas()
        _clear(axes)
        _set_zone(axes, zone)
        arrays = _arrays(rows)
        _lines(axes, arrays, label=label)
        values = [arrays[name] for name in ("actual", "expected", "lower", "upper")]
        if anomaly.actual is not None:
            when = np.datetime64(anomaly.ts_ms, "ms")
            if anomaly.expected is not None:
                axes.plot([when, when], [anomaly.expected, anomaly.actual], color=ALERT, linewidth=1, linestyle=":")
                values.append(np.array([anomaly.expected]))
            name = f"anomaly ({anomaly.driver})" if anomaly.driver else "anomaly"
            axes.plot([when], [anomaly.actual], "o", color=ALERT, markersize=7, markeredgecolor="white", label=name)
            values.append(np.array([anomaly.actual]))
        _set_limits(axes, arrays["ts"], np.concatenate(values))
        return _png(figure, axes, title, _normal(anomaly), limits=False)


@cache
def _mail_canvas() -> tuple[Figure, Axes]:
    """The canvas of all mails' pictures: half of the time goes into making axes and their ticks anew."""
    return _canvas(6.4, 2.8, UTC)


def _clear(axes: Axes) -> None:
    for artist in (*axes.lines, *axes.collections):
        artist.remove()


def _set_limits(axes: Axes, ts: Any, values: Any) -> None:
    """Set the limits that matplotlib would find: what was drawn before has left its own behind."""
    times = ts.astype("datetime64[ms]").astype(np.int64)
    first, last = (int(times.min()), int(times.max())) if times.size else (0, 1)
    # A single row stands in the middle of a day.
    side = round((last - first) * 0.02) or 43_200_000
    axes.set_xlim(np.datetime64(first - side, "ms"), np.datetime64(last + side, "ms"))  # type: ignore[arg-type]
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    side_y = (high - low) * 0.05 or abs(high) * 0.05 or 0.05
    axes.set_ylim(low - side_y, high + side_y)


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


def _normal(anomaly: Anomaly) -> str:
    """Return in a line what would have been normal, with the numbers; empty where they are not known."""
    why = anomaly.why
    if why is None:
        return ""
    band = f"expected {number(why.expected)}, ordinary {number(why.lower)} to {number(why.upper)}"
    return f"{band}, {one_in(why.p_value)}\nnormal: {why.normal}"


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
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    figure = Figure(figsize=(width, height), dpi=200, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _set_zone(axes, zone)
    # Whole numbers at each tick: matplotlib's own would move a common factor to where the title is.
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.grid(visible=True, color=GRID, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#9aa5b1")
    axes.tick_params(colors=INK, labelsize=8, length=3)
    axes.xaxis.get_offset_text().set(size=7, color=INK)
    return figure, axes


def _set_zone(axes: Axes, zone: tzinfo) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(tz=zone, minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=zone))  # type: ignore[no-untyped-call]


def _lines(axes: Axes, rows: dict[str, Any], *, label: str) -> None:
    if not np.isnan(rows["lower"]).all() and not np.isnan(rows["upper"]).all():
        axes.fill_between(
            rows["ts"], rows["lower"], rows["upper"], color=EXPECTED, alpha=0.18, linewidth=0, label="expected range"
        )
    if not np.isnan(rows["expected"]).all():
        axes.plot(rows["ts"], rows["expected"], color=EXPECTED, linewidth=1.1, linestyle="--", label="expected")
    axes.plot(rows["ts"], rows["actual"], color=VALUE, linewidth=1.4, label=label)


def _png(figure: Figure, axes: Axes, title: str, below: str = "", *, limits: bool = True) -> bytes:
    # With its place given, matplotlib does not lay out every tick once more to look for it.
    axes.set_title(title, loc="left", y=1.0, fontsize=10, color=INK, fontweight="bold", parse_math=False)
    axes.set_xlabel(below, loc="left", fontsize=7, color=INK, parse_math=False)
    legend = axes.legend(loc="best", fontsize=8, frameon=True, framealpha=0.85, edgecolor="none")
    for text in legend.get_texts():
        text.set_parse_math(False)
    if limits:
        axes.margins(x=0.02)
    _margins(figure, axes, lines=below.count("\n") + 1 if below else 0)
    picture = BytesIO()
    # Zlib's fastest levels cost a few KiB and save a tenth of the time.
    figure.savefig(picture, format="png", pil_kwargs={"compress_level": 2})
    return picture.getvalue()


def _margins(figure: Figure, axes: Axes, *, lines: int = 0) -> None:
    """Leave room for title and tick labels by counting characters: a layout engine would draw everything twice."""
    labels = axes.yaxis.get_major_formatter().format_ticks(list(axes.get_yticks()))
    width, height = figure.get_size_inches()
    left = (0.3 + 0.07 * max((len(label) for label in labels), default=0)) / width
    figure.subplots_adjust(
        left=left, right=1 - 0.12 / width, bottom=(0.42 + 0.14 * lines) / height, top=1 - 0.32 / height
    )
