"""How a long time is cut into pieces that have about as many rows each, as far as the piece before tells."""

from __future__ import annotations

__all__ = ["ROWS", "Pieces"]

ROWS = 100_000
"""Rows a piece is cut for: what arrives at once."""
_GROWTH_MAX = 64


class Pieces:
    """How long the next piece of time is.

    Args:
        length_ms: Of the first piece.
        most_ms: No piece is longer.
        every_ms: Pieces are multiples of it.
        rows: Rows that a piece should have.
    """

    def __init__(self, length_ms: int, most_ms: int, every_ms: int, rows: int = ROWS) -> None:
        self.length_ms = length_ms
        self._most_ms, self._every_ms = most_ms, every_ms
        self._rows = rows

    def learn(self, rows: int, length_ms: int) -> None:
        """Take note of how many rows the store gave for a piece."""
        fitting = length_ms * self._rows // max(rows, 1)
        wanted = min(fitting, self.length_ms * _GROWTH_MAX, self._most_ms) // self._every_ms * self._every_ms
        self.length_ms = max(wanted, self._every_ms)

    def halve(self) -> bool:
        """Make the piece half as long after one that was too large; tell whether it could be."""
        before = self.length_ms
        # Later pieces stay below what this one was too large for.
        self._rows = max(self._rows // 2, 1)
        self.length_ms = max(before // 2 // self._every_ms * self._every_ms, self._every_ms)
        return self.length_ms < before
