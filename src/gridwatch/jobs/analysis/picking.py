"""State of series taken over from others, array by array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

__all__ = ["Arrays", "take_over"]

Arrays: TypeAlias = "tuple[npt.NDArray[Any], ...]"
"""All of a state; the first axis of each is the series."""


def take_over(own: Arrays, others: Sequence[Arrays], which: npt.NDArray[np.int64], starts: Sequence[int]) -> None:
    """Fill arrays with the state of series of others.

    Args:
        own: Of s series.
        others: Where from, each with the arrays of `own` in their order.
        which: int64 (s,), the number of each series of this one.
        starts: The number of the first series of each of the others.
    """
    for start, other in zip(starts, others, strict=True):
        there = (which >= start) & (which < start + len(other[0]))
        for ours, theirs in zip(own, other, strict=True):
            ours[there] = theirs[which[there] - start]
