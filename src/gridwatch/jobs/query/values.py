"""Values of a query as the fields' types take them, the way Elasticsearch converts them."""

from __future__ import annotations

import math
import re
import struct
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from fractions import Fraction

from gridwatch.containers import TIMESTAMP_MS_MAX
from gridwatch.jobs.date_formats import DateFormat
from gridwatch.jobs.date_math import instant_ms
from gridwatch.jobs.fields import FieldType
from gridwatch.jobs.query.reading import Part, shown

__all__ = [
    "LONG_MAX",
    "LONG_MIN",
    "TIMESTAMP_MS_MAX",
    "as_boolean",
    "as_double",
    "as_exact",
    "as_instant",
    "as_keyword",
    "moment",
]

LONG_MIN, LONG_MAX = -(2**63), 2**63 - 1

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?", re.ASCII)
_DIGITS_MAX = 400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(ms: int) -> datetime:
    """Return the parameter of an instant, UTC epoch ms."""
    return _EPOCH + timedelta(milliseconds=ms)


def as_keyword(part: Part) -> str:
    """Return a value as a keyword: numbers and booleans as Java writes them.

    Raises:
        JobsQueryError: It is null, an object or an array, or text that no row has.
    """
    content = part.content
    if isinstance(content, bool):
        return "true" if content else "false"
    if isinstance(content, int):
        return str(_bounded(part, content))
    if isinstance(content, float):
        return _java_double(part.number())
    if content is None or not isinstance(content, str):
        raise part.wrong(f"expected a value but found [{shown(content)}]")
    return part.text()


def as_boolean(part: Part) -> bool:
    """Return a value of a boolean field.

    Raises:
        JobsQueryError: It is none.
    """
    return part.truth()


def as_exact(part: Part) -> Fraction:
    """Return a number without loss, also from text.

    Raises:
        JobsQueryError: It is no number, or longer than 400 digits.
    """
    content = part.content
    if isinstance(content, int) and not isinstance(content, bool):
        return Fraction(_bounded(part, content))
    if isinstance(content, float):
        return Fraction(part.number())
    if isinstance(content, str) and len(content) <= _DIGITS_MAX and _NUMBER.fullmatch(content):
        number = Decimal(content)
        if number == 0 or abs(number.adjusted()) <= _DIGITS_MAX:
            return Fraction(number)
    raise part.wrong(f"expected a number but found [{shown(content)}]")


def _bounded(part: Part, number: int) -> int:
    if number.bit_length() > 1300:
        raise part.wrong(f"a number of more than {_DIGITS_MAX} digits")
    return number


def as_double(part: Part, kind: FieldType) -> float:
    """Return a number as a DOUBLE, or as a FLOAT rounded to single precision, as the column holds it.

    Raises:
        JobsQueryError: It is no number, or beyond the type's range.
    """
    exact = as_exact(part)
    try:
        found = float(exact)
        if kind is FieldType.FLOAT:
            found = float(struct.unpack("<f", struct.pack("<f", found))[0])
    except OverflowError as error:
        raise part.wrong(f"[{kind}] supports only finite values, but got [{shown(part.content)}]") from error
    # The store keeps no -0.0.
    return found or 0.0


def as_instant(part: Part, formats: DateFormat | None, zone: tzinfo, *, round_up: bool) -> int:
    """Return a bound of time in UTC epoch ms.

    Raises:
        JobsQueryError: It is no date and no date maths.
    """
    content = part.content
    if isinstance(content, bool) or not isinstance(content, str | int | float):
        raise part.wrong(f"expected a date but found [{shown(content)}]")
    text = content if isinstance(content, str) else str(_bounded(part, content)) if isinstance(content, int) else ""
    if isinstance(content, float):
        number = part.number()
        text = str(int(number)) if number == math.trunc(number) else repr(number)
    return part.read(
        lambda: instant_ms(text, now_ms=part.reading.now_ms, formats=formats, zone=zone, round_up=round_up)
    )


def _java_double(number: float) -> str:
    """Return a DOUBLE as Java writes it.

    >>> _java_double(5.0), _java_double(1e10), _java_double(0.00012)
    ('5.0', '1.0E10', '1.2E-4')
    """
    sign = "-" if math.copysign(1, number) < 0 else ""
    size = abs(number)
    if size == 0:
        return f"{sign}0.0"
    digits, _, power = f"{Decimal(repr(size)):E}".partition("E")
    if 1e-3 <= size < 1e7:
        plain = f"{Decimal(repr(size)):f}"
        return sign + (plain if "." in plain else f"{plain}.0")
    whole, _, rest = digits.partition(".")
    return f"{sign}{whole}.{rest.rstrip('0') or '0'}E{int(power)}"
