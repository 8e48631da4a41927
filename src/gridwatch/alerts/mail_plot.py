"""The picture in a mail: the rows around one anomaly, what was expected, and what stood out."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Any

import numpy as np

from gridwatch.alerts.raster import Raster, mixed, text_width
from gridwatch.alerts.ticks import time_ticks, value_ticks
from gridwatch.alerts.wording import number, one_in

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from gridwatch.alerts.anomaly import Anomaly

__all__ = ["anomaly_plot"]

INK, AXIS, GRID, VALUE, EXPECTED, ALERT = "#1f2933", "#9aa5b1", "#e4e7eb", "#1d4e89", "#e08e0b", "#d02c2c"
BAND = mixed(EXPECTED, 0.18)
COLOURS = (BAND, GRID, AXIS, EXPECTED, VALUE, ALERT)
WIDTH, HEIGHT = 1280, 560
TITLE, TICK, SMALL = 28, 22, 19
"""Sizes of text, in pixels; a mail shows the picture at half its size."""

_LOADING = threading.Lock()

_DAY_MS = 86_400_000
_TOP, _RIGHT, _TICKS, _LINE = 62, 24, 84, 26


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where the axes are, in pixels, and what they show: times in ms, values in the series' units."""

    left: float
    right: float
    top: float
    bottom: float
    times: tuple[float, float]
    values: tuple[float, float]

    def points(self, times: Any, values: Any) -> NDArray[np.float64]:
        """Places of rows in the picture, float64 (n, 2)."""
        return np.stack(np.broadcast_arrays(self.x(times), self.y(values)), axis=-1).astype(np.float64)

    def x(self, times: Any) -> Any:
        """Where times are, in pixels from the left."""
        return self.left + (times - self.times[0]) / (self.times[1] - self.times[0]) * (self.right - self.left)

    def y(self, values: Any) -> Any:
        """Where values are, in pixels from the top."""
        return self.bottom - (values - self.values[0]) / (self.values[1] - self.values[0]) * (self.bottom - self.top)


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
    _load()
    times, columns = _columns(rows)
    below = _normal(anomaly)
    marked = np.array([value for value in (anomaly.actual, anomaly.expected) if value is not None], np.float64)
    values = _value_range(np.concatenate([*columns.values(), marked]))
    ticks = value_ticks(*values)
    names = [f"{tick:,.10g}" for tick in ticks]
    left = 44 + max((text_width(name, TICK) for name in names), default=0.0)
    frame = _Frame(left, WIDTH - _RIGHT, _TOP, HEIGHT - _TICKS - _LINE * len(below), _time_range(times), values)
    raster = Raster(WIDTH, HEIGHT, COLOURS, INK)
    moments, words, offset = time_ticks(*frame.times, zone)
    _rows(raster, frame, times, columns, ticks, moments)
    _mark(raster, frame, anomaly)
    entries = _entries(columns, label, anomaly)
    corner = _corner(frame, frame.points(times, columns["actual"]), entries)
    _legend(raster, corner, entries)
    # Text comes last: it is drawn at its own size.
    _axis_texts(raster, frame, zip(ticks, names, strict=True), zip(moments, words, strict=True), offset)
    for (x, y), (_, _, name) in zip(_places(corner, entries), entries, strict=True):
        raster.text(x + 64, y, name, TICK, anchor="lm")
    raster.text(frame.left, _TOP - 16, title, TITLE, anchor="ls", bold=True)
    for place, line in enumerate(below):
        raster.text(frame.left, frame.bottom + 62 + _LINE * place, line, SMALL, anchor="lm")
    return raster.png()


def _load() -> None:
    # Two threads that import matplotlib for the first time at once may each see half of it.
    with _LOADING:
        import matplotlib as mpl  # noqa: F401
        import PIL.ImageFont  # noqa: F401


def _columns(rows: pa.Table) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """Times in ms and the values of the lines, float64 (n,) each; NaN for null or missing."""
    import pyarrow as pa

    times = rows.column("ts").cast(pa.timestamp("ms", "UTC")).cast(pa.int64()).to_numpy().astype(np.float64)
    found = {}
    for name in ("actual", "expected", "lower", "upper"):
        known = name in rows.column_names
        found[name] = (
            rows.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False)
            if known
            else np.full(len(times), np.nan)
        )
    return times, found


def _time_range(times: NDArray[np.float64]) -> tuple[float, float]:
    first, last = float(times.min()), float(times.max())
    # A single row stands in the middle of a day.
    side = (last - first) * 0.02 or _DAY_MS / 2
    return first - side, last + side


def _value_range(values: NDArray[np.float64]) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    side = (high - low) * 0.05 or abs(high) * 0.05 or 0.05
    return low - side, high + side


def _rows(
    raster: Raster,
    frame: _Frame,
    times: NDArray[np.float64],
    columns: dict[str, NDArray[np.float64]],
    ticks: list[float],
    moments: list[float],
) -> None:
    """Draw band, grid, axes and lines."""
    places = {name: frame.points(times, values) for name, values in columns.items()}
    raster.band(places["lower"], places["upper"], BAND)
    for y in map(frame.y, ticks):
        raster.rule(frame.left, y, frame.right, y, colour=GRID, width=1.5)
        raster.rule(frame.left - 8, y, frame.left, y, colour=AXIS, width=2)
    for x in map(frame.x, moments):
        raster.rule(x, frame.top, x, frame.bottom, colour=GRID, width=1.5)
        raster.rule(x, frame.bottom, x, frame.bottom + 8, colour=AXIS, width=2)
    corner = (frame.left, frame.top, frame.left, frame.bottom, frame.right, frame.bottom)
    raster.rule(*corner, colour=AXIS, width=2)
    raster.dashes(places["expected"], EXPECTED, 3, on=16, off=8)
    raster.line(places["actual"], VALUE, 4)


def _mark(raster: Raster, frame: _Frame, anomaly: Anomaly) -> None:
    if anomaly.actual is None:
        return
    x, y = frame.points(float(anomaly.ts_ms), anomaly.actual)
    if anomaly.expected is not None:
        ends = frame.points(float(anomaly.ts_ms), np.array([anomaly.expected, anomaly.actual]))
        raster.dashes(ends, ALERT, 3, on=4, off=6)
    raster.dot(x, y, 19, ALERT, edge=2.5)


_Entry = tuple[str, str, str]
"""How an entry of the legend is drawn, in which colour, and its words."""


def _entries(columns: dict[str, NDArray[np.float64]], label: str, anomaly: Anomaly) -> list[_Entry]:
    known = {name for name, values in columns.items() if np.isfinite(values).any()}
    found = [("band", BAND, "expected range")] if {"lower", "upper"} <= known else []
    found += [("dashes", EXPECTED, "expected")] if "expected" in known else []
    found.append(("line", VALUE, label))
    if anomaly.actual is not None:
        found.append(("dot", ALERT, f"anomaly ({anomaly.driver})" if anomaly.driver else "anomaly"))
    return found


def _corner(frame: _Frame, places: NDArray[np.float64], entries: list[_Entry]) -> tuple[float, float, float, float]:
    """The box of the legend, in the corner where it hides the fewest rows."""
    width = 84 + max(text_width(name, TICK) for _, _, name in entries)
    height = 34 * len(entries) + 10
    boxes = [
        (left, top, left + width, top + height)
        for left in (frame.right - width - 8, frame.left + 12)
        for top in (frame.top + 6, frame.bottom - height - 8)
    ]

    def hidden(box: tuple[float, float, float, float]) -> int:
        x, y = places[:, 0], places[:, 1]
        return int(((x > box[0]) & (x < box[2]) & (y > box[1]) & (y < box[3])).sum())

    return min(boxes, key=hidden)


def _places(box: tuple[float, float, float, float], entries: list[_Entry]) -> list[tuple[float, float]]:
    return [(box[0] + 10, box[1] + 22 + 34 * place) for place in range(len(entries))]


def _legend(raster: Raster, box: tuple[float, float, float, float], entries: list[_Entry]) -> None:
    raster.box(*box, "white")
    for (x, y), (kind, colour, _) in zip(_places(box, entries), entries, strict=True):
        ends = np.array([[x, y], [x + 48, y]])
        if kind == "band":
            raster.box(x, y - 9, x + 48, y + 9, colour)
        elif kind == "dashes":
            raster.dashes(ends, colour, 3, on=16, off=8)
        elif kind == "line":
            raster.line(ends, colour, 4)
        else:
            raster.dot(x + 24, y, 19, colour)


def _axis_texts(raster: Raster, frame: _Frame, ticks: Any, moments: Any, offset: str) -> None:
    for tick, name in ticks:
        raster.text(frame.left - 14, frame.y(tick), name, TICK, anchor="rm")
    for moment, name in moments:
        raster.text(frame.x(moment), frame.bottom + 14, name, TICK, anchor="ma")
    raster.text(frame.right, frame.bottom + 62, offset, SMALL, anchor="rm")


def _normal(anomaly: Anomaly) -> list[str]:
    """Lines that say what would have been normal, with the numbers; none where they are not known."""
    why = anomaly.why
    if why is None:
        return []
    band = f"expected {number(why.expected)}, ordinary {number(why.lower)} to {number(why.upper)}"
    return [f"{band}, {one_in(why.p_value)}", f"normal: {why.normal}"]
