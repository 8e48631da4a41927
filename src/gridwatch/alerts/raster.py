"""A small canvas for pictures that are drawn by the hundred: lines, bands, dots and text on Pillow.

Matplotlib takes some 70 ms for a mail's picture, most of it for text and for objects that are thrown away; this takes a
tenth. Lines are drawn at twice the size and brought down, which smooths them; text is drawn at its own size.
"""

from __future__ import annotations

from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from PIL import ImageFont

__all__ = ["Raster", "mixed", "text_width"]

_SCALE = 2


def mixed(colour: str, share: float) -> str:
    """Return a colour as it looks on white when it is see-through.

    >>> mixed("#000000", 0.5)
    '#808080'
    """
    parts = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    return "#" + "".join(f"{round(255 - (255 - part) * share):02x}" for part in parts)


class Raster:
    """A white picture; all lengths and places are in its pixels, y downwards.

    Args:
        width: In pixels.
        height: In pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        from PIL import Image, ImageDraw

        self._image = Image.new("RGB", (width * _SCALE, height * _SCALE), "white")
        self._draw = ImageDraw.Draw(self._image)
        self._smooth = False

    def line(self, points: NDArray[np.float64], colour: str, width: float) -> None:
        """Draw a line through points, float64 (n, 2); NaN leaves a gap, and a point between two gaps is a dot."""
        for part in _parts(points):
            self._piece(part, colour, width)

    def dashes(self, points: NDArray[np.float64], colour: str, width: float, *, on: float, off: float) -> None:
        """Draw a dashed line, `on` and `off` pixels in turn."""
        for part in _parts(points):
            for piece in _dashes(part, on, off):
                self._piece(piece, colour, width)

    def band(self, lower: NDArray[np.float64], upper: NDArray[np.float64], colour: str) -> None:
        """Fill between two lines over the same x, float64 (n, 2) each; NaN in either leaves a gap."""
        both = np.where(np.isfinite(lower).all(axis=1) & np.isfinite(upper).all(axis=1), 0.0, np.nan)[:, None]
        for low, high in zip(_parts(lower + both), _parts(upper + both), strict=True):
            if len(low) > 1:
                edge = np.concatenate([low, high[::-1]]) * _SCALE
                self._draw.polygon(edge.ravel().tolist(), fill=colour)

    def box(self, left: float, top: float, right: float, bottom: float, colour: str) -> None:
        """Fill a rectangle."""
        self._draw.rectangle([value * _SCALE for value in (left, top, right, bottom)], fill=colour)

    def dot(self, x: float, y: float, size: float, colour: str, *, edge: float = 0.0) -> None:
        """Draw a dot of a diameter, with a white edge around it."""
        for radius, fill in ((size / 2 + edge, "white"), (size / 2, colour)):
            sides = (x - radius, y - radius, x + radius, y + radius)
            self._draw.ellipse([value * _SCALE for value in sides], fill=fill)

    def text(self, x: float, y: float, text: str, colour: str, size: int, *, anchor: str, bold: bool = False) -> None:
        """Write text, after everything else is drawn; `anchor` is Pillow's: l, m, r and then a, m, s."""
        from PIL import ImageDraw

        if not self._smooth:
            self._image = self._image.reduce(_SCALE)
            self._draw = ImageDraw.Draw(self._image)
            self._smooth = True
        self._draw.text((x, y), text, fill=colour, font=_font(size, bold), anchor=anchor)

    def png(self) -> bytes:
        """Return the picture as a PNG."""
        picture = BytesIO()
        image = self._image if self._smooth else self._image.reduce(_SCALE)
        image.save(picture, "png", compress_level=1)
        return picture.getvalue()

    def _piece(self, points: NDArray[np.float64], colour: str, width: float) -> None:
        if len(points) == 1:
            self.dot(float(points[0, 0]), float(points[0, 1]), 2 * width, colour)
        else:
            self._draw.line((points * _SCALE).ravel().tolist(), fill=colour, width=round(width * _SCALE), joint="curve")


def text_width(text: str, size: int, *, bold: bool = False) -> float:
    """Return how wide a text is, in pixels."""
    return float(_font(size, bold).getlength(text))


@cache
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    """The font of matplotlib's pictures, which it brings along."""
    import matplotlib as mpl
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / name), size)


def _parts(points: NDArray[np.float64]) -> Iterator[NDArray[Any]]:
    """Yield the runs of points without NaN."""
    good = np.isfinite(points).all(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(np.int8)))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        yield points[begin:end]


def _dashes(points: NDArray[np.float64], on: float, off: float) -> Iterator[NDArray[Any]]:
    """Yield the pieces of a line that are drawn."""
    way = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    begins = np.arange(0.0, way[-1], on + off)
    ends = np.minimum(begins + on, way[-1])
    first, last = (np.stack([np.interp(at, way, points[:, axis]) for axis in (0, 1)], axis=1) for at in (begins, ends))
    inside = np.searchsorted(way, begins, "right"), np.searchsorted(way, ends, "left")
    for place, (low, high) in enumerate(zip(*inside, strict=True)):
        yield np.concatenate([first[place : place + 1], points[low:high], last[place : place + 1]])
