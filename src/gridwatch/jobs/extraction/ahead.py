"""Reading ahead: while one piece is analysed, the next is read."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["ahead"]

T = TypeVar("T")


def ahead(pieces: Iterator[T]) -> Generator[T]:
    """Yield what an iterator gives, one step of which a thread of its own always does in advance.

    An error comes when the piece that it belongs to is asked for. Closed early, it waits for the step at hand.

    Args:
        pieces: None among them would end it.

    >>> list(ahead(iter("abc")))
    ['a', 'b', 'c']
    """
    with ThreadPoolExecutor(1, "read-ahead") as pool:
        following = pool.submit(next, pieces, None)
        while (piece := following.result()) is not None:
            following = pool.submit(next, pieces, None)
            yield piece
