"""A small canvas for pictures that are drawn by the hundred: lines, bands, dots and text on Pillow.

Matplotlib takes some 70 ms for a mail's picture, most of it for text and for objects that are thrown away; this takes a
tenth. Lines are drawn at twice the size and brought down, which smooths them; text is drawn at its own size, once for
each word. A pixel is the number of a colour, one byte: there is a third to draw, and PNG packs it without filters.
"""

from __future__ import annotations

from functools import cache, lru_cache
from io import BytesIO
from itertools import combinations_with_replacement
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from PIL import Image, ImageFont

__all__ = ["COLOURS_MAX", "Raster", "mixed", "text_width"]

_SCALE = 2
COLOURS_MAX = 7
"""Most colours beside white: with it, three bits name one."""

_SHADES = 32
"""Of text, from white to its ink; they are the first colours of the palette, so that numbers can be mixed."""

_RUNS = 3
"""zlib's name for a search for runs alone, `Z_RLE`."""

_STRAIGHT = 0.97
"""Cosine of the sharpest bend of a line that needs no rounding."""


def mixed(colour: str, share: float) -> str:
    """Return a colour as it looks on white when it is see-through.

    >>> mixed("#000000", 0.5)
    '#808080'
    """
    return "#" + "".join(f"{round(255 - (255 - part) * share):02x}" for part in _parts_of(colour))


class Raster:
    """A white picture; all lengths and places are in its pixels, y downwards.

    Args:
        width: In pixels.
        height: In pixels.
        colours: All that is drawn with, beside white.
        ink: Of text, which is written on white.

    Raises:
        ValueError: There are more than `COLOURS_MAX` colours.
    """

    def __init__(self, width: int, height: int, colours: tuple[str, ...], ink: str) -> None:
        from PIL import Image, ImageDraw

        if len(colours) > COLOURS_MAX:
            raise ValueError(f"A picture has at most {COLOURS_MAX} colours beside white, got {len(colours)}.")
        self._numbers = {"white": 0} | {colour: number for number, colour in enumerate(colours, start=1)}
        self._blends, self._palette = _blends(colours, ink)
        self._image = Image.new("L", (width * _SCALE, height * _SCALE), 0)
        self._draw = ImageDraw.Draw(self._image)
        self._smooth = False

    def line(self, points: NDArray[np.float64], colour: str, width: float) -> None:
        """Draw a line through points, float64 (n, 2); NaN leaves a gap, and a point between two gaps is a dot."""
        for part in _parts(points):
            if len(part) == 1:
                self.dot(float(part[0, 0]), float(part[0, 1]), 2 * width, colour)
                continue
            self.rule(*(part * _SCALE).ravel().tolist(), colour=colour, width=width, scale=1)
            for x, y in part[1:-1][_bends(part)].tolist():
                self.dot(x, y, width - 1, colour)

    def rule(self, *places: float, colour: str, width: float, scale: int = _SCALE) -> None:
        """Draw a line through x, y, x, y, ... without rounding its bends."""
        fill = self._numbers[colour]
        self._draw.line([place * scale for place in places], fill=fill, width=round(width * _SCALE))

    def dashes(self, points: NDArray[np.float64], colour: str, width: float, *, on: float, off: float) -> None:
        """Draw a dashed line, `on` and `off` pixels in turn."""
        fill, thick = self._numbers[colour], round(width * _SCALE)
        for part in _parts(points):
            for piece in _dashes(part, on, off):
                self._draw.line(piece, fill=fill, width=thick)

    def band(self, lower: NDArray[np.float64], upper: NDArray[np.float64], colour: str) -> None:
        """Fill between two lines over the same x, float64 (n, 2) each; NaN in either leaves a gap."""
        both = np.where(np.isfinite(lower).all(axis=1) & np.isfinite(upper).all(axis=1), 0.0, np.nan)[:, None]
        for low, high in zip(_parts(lower + both), _parts(upper + both), strict=True):
            if len(low) > 1:
                edge = np.concatenate([low, high[::-1]]) * _SCALE
                self._draw.polygon(edge.ravel().tolist(), fill=self._numbers[colour])

    def box(self, left: float, top: float, right: float, bottom: float, colour: str) -> None:
        """Fill a rectangle."""
        self._draw.rectangle([value * _SCALE for value in (left, top, right, bottom)], fill=self._numbers[colour])

    def dot(self, x: float, y: float, size: float, colour: str, *, edge: float = 0.0) -> None:
        """Draw a dot of a diameter, with a white edge around it where one is wanted."""
        for radius, fill in ((size / 2 + edge, "white"), (size / 2, colour))[0 if edge else 1 :]:
            sides = (x - radius, y - radius, x + radius, y + radius)
            self._draw.ellipse([value * _SCALE for value in sides], fill=self._numbers[fill])

    def text(self, x: float, y: float, text: str, size: int, *, anchor: str, bold: bool = False) -> None:
        """Write text, after everything else is drawn; `anchor` is Pillow's: l, m, r and then a, m, s."""
        self._bring_down()
        # Long lines are about one anomaly alone.
        mask, left, top = (_written if len(text) <= _WORD_MAX else _written.__wrapped__)(text, size, bold, anchor)
        if mask is not None:
            place = (round(x) + left, round(y) + top)
            self._image.paste(_SHADES - 1, (*place, place[0] + mask.width, place[1] + mask.height), mask)

    def png(self) -> bytes:
        """Return the picture as a PNG."""
        self._bring_down()
        picture = BytesIO()
        self._image.putpalette(self._palette)
        # Most of it is one colour after the other: runs are all that is worth looking for.
        self._image.save(picture, "png", compress_level=1, compress_type=_RUNS)
        return picture.getvalue()

    def _bring_down(self) -> None:
        """Make one pixel of each four."""
        from PIL import Image

        if self._smooth:
            return
        # Two neighbours are read as one number, whichever of them comes first; the two below go between their bits.
        near = np.asarray(self._image).view(np.uint16)
        self._image = Image.fromarray(np.take(self._blends, near[::2] | near[1::2] << 3))
        self._smooth = True


_WORD_MAX = 40


def text_width(text: str, size: int, *, bold: bool = False) -> float:
    """Return how wide a text is, in pixels."""
    return float(_font(size, bold).getlength(text))


def _parts_of(colour: str) -> list[int]:
    return [int(colour[place : place + 2], 16) for place in (1, 3, 5)]


@cache
def _blends(colours: tuple[str, ...], ink: str) -> tuple[NDArray[np.uint8], bytes]:
    """Return the colour of each four pixels that are made one, uint8 (16384,), and the palette, three bytes a colour.

    The places of the former are four numbers of three bits each, from bits 0, 3, 8 and 11 on.
    """
    known = np.array([[255] * 3, *(map(_parts_of, colours)), *[[255] * 3] * (COLOURS_MAX - len(colours))], np.float64)
    shades = np.linspace(known[0], np.array(_parts_of(ink)), _SHADES)
    # Three and four colours in one pixel are rare: the nearest one of two will do.
    pairs = [
        (left * part + right * (4 - part)) / 4
        for left, right in combinations_with_replacement(known[: len(colours) + 1], 2)
        for part in (1, 2, 3)
    ]
    palette = np.unique(np.round([*pairs]), axis=0)
    palette = np.concatenate([np.round(shades), palette])
    codes = np.arange(4096)
    found = np.mean([known[codes >> place & 7] for place in (0, 3, 6, 9)], axis=0)
    far = ((found[:, None, :] - palette[None, :, :]) ** 2).sum(axis=2)
    spread = np.arange(1 << 14)
    found_at = far.argmin(axis=1).astype(np.uint8)[spread & 0x3F | spread >> 8 << 6]
    return found_at, palette.astype(np.uint8).tobytes()


@lru_cache(maxsize=1024)
def _written(text: str, size: int, bold: bool, anchor: str) -> tuple[Image.Image | None, int, int]:
    """Return how much ink a text lays where, and its left and top beside the anchor; most words come again."""
    from PIL import Image, ImageDraw

    left, top, right, bottom = (round(side) for side in _font(size, bold).getbbox(text, anchor=anchor))
    if right <= left or bottom <= top:
        return None, 0, 0
    # A pixel more on each side: glyphs begin between two.
    mask = Image.new("L", (right - left + 2, bottom - top + 2), 0)
    ImageDraw.Draw(mask).text((1 - left, 1 - top), text, fill=255, font=_font(size, bold), anchor=anchor)
    return mask, left - 1, top - 1


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
    if good.all():
        if len(points):
            yield points
        return
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(np.int8)))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        yield points[begin:end]


def _bends(points: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell at which points between the ends a line turns so much that a gap would show, bool (n - 2,)."""
    steps = np.diff(points, axis=0)
    steps = steps / np.maximum(np.hypot(steps[:, 0], steps[:, 1]), 1e-9)[:, None]
    turned: NDArray[np.bool_] = (steps[1:] * steps[:-1]).sum(axis=1) < _STRAIGHT
    return turned


def _dashes(points: NDArray[np.float64], on: float, off: float) -> Iterator[list[float]]:
    """Yield the pieces of a line that are drawn, x, y, x, y, ..., at the size that they are drawn at."""
    way = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    begins = np.arange(0.0, way[-1], on + off)
    ends = np.minimum(begins + on, way[-1])
    cells = [np.interp(at, way, points[:, axis]) * _SCALE for at in (begins, ends) for axis in (0, 1)]
    flat = (points * _SCALE).ravel().tolist()
    inside = np.searchsorted(way, begins, "right") * 2, np.searchsorted(way, ends, "left") * 2
    for low, high, *(x, y, next_x, next_y) in zip(*(part.tolist() for part in (*inside, *cells)), strict=True):
        yield [x, y, *flat[low:high], next_x, next_y]
