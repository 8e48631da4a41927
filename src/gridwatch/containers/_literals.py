"""SQL text that carries values: parameters as typed literals, names in quotes, all written by sqlglot.

GridDB's Web API takes no parameters, so each `?` of a statement is replaced by a literal of the value's type. The
places of the `?` come from the tokenizer, the literals from sqlglot's syntax tree; no text of a value is ever put
into a statement as it is.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from gridwatch.containers._keys import moment_of
from gridwatch.containers.dialect.parse import GridDB, check_text, refused, time_parameter, tokens_of
from gridwatch.containers.schema import TIMESTAMP_MS_MAX

__all__ = ["literal", "name_sql", "one_line", "time_sql", "tuple_sql"]

_DIALECT = GridDB()
_LONG = range(-(2**63), 2**63)
_LAST = datetime.fromtimestamp(TIMESTAMP_MS_MAX // 1000, UTC).replace(microsecond=999_999)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def name_sql(name: str) -> str:
    """Return a name in quotes.

    >>> name_sql('a"b')
    '"a""b"'
    """
    return str(exp.to_identifier(name, quoted=True).sql(dialect=_DIALECT))


def literal(value: Any) -> str:
    r"""Return a value as a literal of GridDB's SQL.

    Args:
        value: None, bool, int, float, str, bytes or a datetime (naive means UTC; micro- and nanoseconds are kept).

    Raises:
        SqlRefusedError: NaN or infinity, a NUL or broken Unicode, a number or time out of range, another type.

    >>> literal("it's"), literal(-5), literal(b"\x00\xff"), literal(1e20)
    ("'it''s'", '(-5)', "x'00ff'", '1e+20')
    """
    return str(_tree(value).sql(dialect=_DIALECT))


def time_sql(ms: int) -> str:
    """Return an instant, UTC epoch ms, as a literal."""
    return literal(moment_of(ms))


def tuple_sql(values: Iterable[Any]) -> str:
    """Return values as the list of an IN."""
    return f"({', '.join(literal(value) for value in values)})"


def one_line(statement: str, parameters: Sequence[Any] = ()) -> str:
    """Return a statement with its parameters filled in, without comments, on one line unless a text has several.

    Raises:
        SqlRefusedError: It cannot be read, has another number of `?` than there are parameters, or a parameter is
            refused.
    """
    found = tokens_of(statement)
    marks = sum(token.token_type is TokenType.PLACEHOLDER for token in found)
    if marks != len(parameters):
        raise refused(f"{marks} '?' with {len(parameters)} parameters", code=None)
    values = iter(enumerate(parameters, 1))
    words = []
    for number, token in enumerate(found):
        if token.token_type is TokenType.PLACEHOLDER:
            words.append(_parameter(*next(values)))
            continue
        word = statement[token.start : token.end + 1]
        # `count (` and `a . b` would be read alike, but the server's messages show the statement.
        glued = number and found[number - 1].end + 1 == token.start
        if glued and words and found[number - 1].token_type is not TokenType.PLACEHOLDER:
            words[-1] += word
        else:
            words.append(word)
    return " ".join(words)


def _parameter(number: int, value: Any) -> str:
    if isinstance(value, datetime):
        # As on the other stores, where a parameter is a TIMESTAMP; TIMESTAMP_US('...') in the text is finer.
        return time_sql(time_parameter(number, value))
    return str(_tree(value, f"parameter {number}").sql(dialect=_DIALECT))


def _tree(value: Any, what: str = "a value") -> exp.Expression:
    if value is None:
        return exp.Null()
    if isinstance(value, bool):
        return exp.Boolean(this=value)
    if isinstance(value, datetime):
        return _time(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return exp.HexString(this=bytes(value).hex())
    if isinstance(value, float) or type(value).__name__ in {"float16", "float32"}:
        return _float(float(value), what)
    try:
        number = operator.index(value)
    except TypeError:
        raise refused(f"{what} of type {type(value).__name__}", code=None) from None
    if number not in _LONG:
        raise refused(f"{what}, {number}, which is outside the range of LONG", code=305004)
    return _signed(str(abs(number)), negative=number < 0)


def _signed(digits: str, *, negative: bool) -> exp.Expression:
    number = exp.Literal.number(digits)
    # In parentheses: `5 - -1` without blanks would begin a comment.
    return exp.paren(exp.Neg(this=number)) if negative else number


def _float(value: float, what: str) -> exp.Expression:
    if not math.isfinite(value):
        raise refused(f"{what}, {value}, which is not finite", code=None)
    if value == 0 and math.copysign(1, value) < 0:
        # GridDB reads -0.0 as 0.0, which is another value to GROUP BY and DISTINCT.
        return exp.paren(exp.Mul(this=exp.Literal.number("0.0"), expression=exp.Neg(this=exp.Literal.number("1"))))
    digits = repr(abs(value))
    return _signed(digits if set(digits) & set(".en") else f"{digits}.0", negative=value < 0)


def _text(value: str) -> exp.Expression:
    check_text(value)
    return exp.Literal.string(value)


def _time(value: datetime) -> exp.Expression:
    aware = (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    if not _EPOCH <= aware <= _LAST:
        raise refused(f"a value, {value.isoformat()}, which is outside 1970 to 9999", code=60079)
    whole = aware.strftime("%Y-%m-%dT%H:%M:%S")
    nanoseconds = getattr(value, "nanosecond", 0)
    if nanoseconds:
        name, text = "TIMESTAMP_NS", f"{whole}.{aware.microsecond:06d}{nanoseconds:03d}Z"
    elif aware.microsecond % 1000:
        name, text = "TIMESTAMP_US", f"{whole}.{aware.microsecond:06d}Z"
    else:
        name, text = "TIMESTAMP", f"{whole}.{aware.microsecond // 1000:03d}Z"
    return exp.Anonymous(this=name, expressions=[exp.Literal.string(text)])
