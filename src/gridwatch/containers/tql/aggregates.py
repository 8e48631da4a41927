"""Aggregates over columns of values, number by number as GridDB's engines add them up.

Sums of floats are taken in order, which decides their last digits, and sums of integers wrap at the width that the
engine adds in. `numpy.cumsum` adds in order; `numpy.sum` would not.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from gridwatch.containers.dialect.kinds import INTEGRAL, T
from gridwatch.containers.schema import ColumnType

__all__ = ["native_average", "native_spread", "native_sum", "spread", "sum_of", "time_average", "wrapped"]

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]
_Array = npt.NDArray[Any]

_BITS = {T.BYTE: 8, T.SHORT: 16, T.INTEGER: 32, T.LONG: 64}


def wrapped(value: int, bits: int) -> int:
    """Return an integer as a register of so many bits holds it."""
    half = 1 << (bits - 1)
    return (value + half) % (1 << bits) - half


def _total(values: _Ints) -> int:
    """Sum of integers, modulo 2^64."""
    with np.errstate(over="ignore"):
        return int(np.sum(values, dtype=np.int64)) if len(values) else 0


def _in_order(values: _Array) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.cumsum(values, dtype=values.dtype)[-1])


def _narrow(values: _Ints, bits: int) -> int:
    """Sum in which each step reads the sum so far back in the column's width, as an INTEGER holds it."""
    if bits >= 32:
        return wrapped(_total(values), bits)
    return wrapped(_total(values[:-1]), bits) + int(values[-1])


def native_sum(values: _Array, kind: ColumnType) -> int | float:
    """Return the sum that GridDB's time-series engine gives, in the width of the column.

    Args:
        values: int64 or float64 (n,), n > 0, in order of time.
        kind: Type of the column.
    """
    if kind in INTEGRAL:
        return _narrow(values, _BITS[kind])
    return _in_order(values.astype(np.float32 if kind is T.FLOAT else np.float64))


def native_average(values: _Array, kind: ColumnType) -> float:
    """Return the average that GridDB's time-series engine gives; arguments as for `native_sum`."""
    return float(native_sum(values, kind)) / len(values)


def native_spread(values: _Array, kind: ColumnType, *, root: bool) -> float:
    """Return the population's variance, or its root, as the time-series engine gives it; may be NaN.

    Args:
        values: int64 or float64 (n,), n > 0, in order of time.
        kind: Type of the column.
        root: Whether to return the standard deviation.
    """
    count = len(values)
    if kind in INTEGRAL:
        bits = _BITS[kind]
        with np.errstate(over="ignore"):
            squares = values * values
        # The first square is kept as it is, each further one is read back in the column's width before it is added.
        wide = max(bits, 32)
        first = wrapped(int(squares[0]), wide)
        if count == 1:
            square_sum: float = first
        else:
            inner = [first, *(wrapped(int(x), bits) for x in squares[1:-1])] if bits < 32 else None
            rest = sum(inner) if inner is not None else _total(squares[:-1])
            square_sum = wrapped(wrapped(rest, bits) + wrapped(int(squares[-1]), bits), wide)
    else:
        narrow: _Array = values.astype(np.float32 if kind is T.FLOAT else np.float64)
        with np.errstate(all="ignore"):
            squares = np.square(narrow)
        square_sum = _in_order(squares)
    mean = float(native_sum(values, kind)) / count
    variance = float(square_sum) / count - _product(mean, mean)
    return _root(variance) if root else variance


def _product(a: float, b: float) -> float:
    # Python raises nothing here, but numpy's floats warn.
    return float(a) * float(b)


def _root(variance: float) -> float:
    return math.sqrt(variance) if variance >= 0 else math.nan


def sum_of(values: _Array, kind: ColumnType) -> int | float:
    """Return the sum of rows that were looked for one by one: integers add up in 32 bits or, if LONG, in 64.

    Args:
        values: int64 or float64 (n,), n > 0, in the order in which the rows were found.
        kind: Type of the column.
    """
    if kind in INTEGRAL:
        return wrapped(_total(values), 64 if kind is T.LONG else 32)
    return _in_order(values.astype(np.float32 if kind is T.FLOAT else np.float64))


def spread(values: _Array, *, sample: bool, root: bool) -> float:
    """Return a variance or standard deviation of a sample or a population; may be NaN.

    Args:
        values: Numbers (n,), n > 0, in the order in which the rows were found.
        sample: Divide by n - 1.
        root: Return the standard deviation.
    """
    count = len(values)
    if count == 1:
        return 0.0
    numbers = values.astype(np.float64)
    with np.errstate(all="ignore"):
        squares = np.square(numbers)
    total = _in_order(numbers)
    rest = _in_order(squares) - _product(total, total) / count
    variance = rest / (count - 1 if sample else count)
    return _root(variance) if root else variance


def time_average(times_ms: _Ints, values: _Array) -> float:
    """Return the average weighted by time: each value counts from halfway to the one before to halfway to the next.

    Args:
        times_ms: int64 (n,), n > 0, strictly increasing.
        values: Numbers (n,).
    """
    if len(times_ms) == 1:
        return float(values[0])
    halfway = (times_ms[1:] - times_ms[:-1]) // 2 + times_ms[:-1]
    edges = np.concatenate([times_ms[:1], halfway, times_ms[-1:]])
    weights = (edges[1:] - edges[:-1]).astype(np.float64)
    with np.errstate(all="ignore"):
        weighted = values.astype(np.float64) * weights
    return _in_order(weighted) / _in_order(weights)
