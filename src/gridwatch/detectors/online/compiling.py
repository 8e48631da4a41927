"""How a function of this package becomes machine code, and what tells that code kept on disk is of these sources."""

# mypy: disable-error-code="no-any-return"
# Arrays are Any here and in the kernels: NumPy's own types do not say what a compiled function takes.

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

__all__ = ["SOURCES", "compiled", "fast", "part", "sources"]

# Sums may be taken in any order, which is what lets a loop use the whole width of a register. Not `contract`: a fused
# multiplication and addition would make the sums differ between machines.
_FAST = {"nnan", "nsz", "reassoc"}
# Without Numba's counts of references: each slice of an array would cost two locked additions, together nearly half the
# time. A kernel may then neither make an array nor return one; what it works on belongs to its caller.
_HOW: dict[str, Any] = {"error_model": "numpy", "_nrt": False}
_HOW_PART = {**_HOW, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
# Files that machine code is made of; `sources` looks at them.
SOURCES = ("compiling", "layout", "rows", "shapes", "aligned", "forecast", "tails", "kernels")


def compiled(function: Callable[..., Any]) -> Any:
    """Return a function as machine code, kept on disk where there is a place for it.

    Numba keeps it beside the source file, or below `$XDG_CACHE_HOME` (`~/.cache`) where that folder is read-only, or
    in `$NUMBA_CACHE_DIR`. Where none of them can be written, it is compiled in each process.
    """
    try:
        return numba.njit(cache=True, nogil=True, **_HOW)(function)
    except RuntimeError:
        return numba.njit(nogil=True, **_HOW)(function)


def part(function: Callable[..., Any]) -> Any:
    """Return a part of a compiled function, which Python itself cannot call: half the code, and half the time."""
    return numba.njit(**_HOW_PART)(function)


def fast(function: Callable[..., Any]) -> Any:
    """Return a part whose sums may be taken in any order; nothing in it may be NaN."""
    return numba.njit(fastmath=_FAST, **_HOW_PART)(function)


def sources() -> int:
    """Return a number that stands for the text of all kernels.

    Numba looks at the time and size of one file, that of the function it keeps, and at what this function closes over.
    One that closes over this number is compiled anew when any of the files has changed.
    """
    folder = Path(__file__).parent
    text = b"".join((folder / f"{name}.py").read_bytes() for name in SOURCES)
    return int.from_bytes(hashlib.sha256(text).digest()[:7], "big")
