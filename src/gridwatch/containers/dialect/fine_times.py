"""Constant times finer than a millisecond: TIMESTAMP_US('...') and TIMESTAMP_NS('...')."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gridwatch.containers.dialect.casts import BAD_TEXT, OUT_OF_RANGE, timestamp_of
from gridwatch.containers.dialect.kinds import Expr, T, make, mismatch, name_of
from gridwatch.containers.dialect.parse import refused
from gridwatch.errors import SqlFailedError

if TYPE_CHECKING:
    from gridwatch.containers.dialect.expressions import Expressions

__all__ = ["fine_timestamp"]

_KINDS = {"TIMESTAMP_US": T.TIMESTAMP_6, "TIMESTAMP_NS": T.TIMESTAMP_9}
_DECIMALS = re.compile(r"\.(\d+)(?=Z|[+-]\d\d:?\d\d$)")


def fine_timestamp(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    """Return TIMESTAMP_US or TIMESTAMP_NS of constant text, which has 0, 3, 6 or (of NS) 9 decimals.

    Raises:
        SqlRefusedError: It is no text (305010), or not constant.
        SqlFailedError: The text is no such time (305005), or out of range (305004).
    """
    kind = _KINDS[name]
    arg = args[0]
    if arg.kind is None:
        return make("NULL", kind, args)
    if arg.kind is not T.STRING:
        raise mismatch(f"{name} of {name_of(arg.kind)}")
    if not isinstance(arg.value, str):
        raise refused(f"{name} of anything but a constant", code=None)
    precision = kind.precision or 3
    found = _DECIMALS.search(arg.value)
    decimals = found.group(1) if found else ""
    if len(decimals) % 3 or len(decimals) > precision:
        raise SqlFailedError(f"{arg.value!r} is no time with up to {precision} decimals.", code=BAD_TEXT)
    ms = timestamp_of(_DECIMALS.sub("", arg.value)) if found else timestamp_of(arg.value)
    number = ms * 10 ** (precision - 3) + int(decimals.ljust(precision, "0") if decimals else 0)
    if number >= 2**63:
        raise SqlFailedError(f"{arg.value!r} is after 2262, where this store's nanoseconds end.", code=OUT_OF_RANGE)
    return Expr(f"({number})", kind, number, number, number, nullable=False)
