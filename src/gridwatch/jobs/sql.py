"""Pieces of SQL that carry their parameters along: composed, never pasted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, LiteralString

from gridwatch.containers.store import ROWS_MAX
from gridwatch.errors import JobsRequestError, SqlRefusedError

if TYPE_CHECKING:
    import pyarrow as pa

    from gridwatch.containers import Store

__all__ = [
    "FALSE",
    "TRUE",
    "Parameter",
    "Sql",
    "all_of",
    "any_of",
    "ask",
    "compose",
    "joined",
    "name",
    "opposite",
    "value",
]


Parameter = bool | int | float | str | datetime | None
"""What stands for a `?`: TIMESTAMP parameters are datetimes in UTC."""


@dataclass(frozen=True, slots=True)
class Sql:
    """A piece of GridDB's SQL, whole in itself, and the values of its `?` from left to right."""

    text: str
    parameters: tuple[Parameter, ...] = ()


TRUE = Sql("(1 = 1)")
"""What every row fulfils."""
FALSE = Sql("(1 = 0)")
"""What no row fulfils."""


def name(identifier: str) -> Sql:
    """Return a container's or column's name in quotes, which keep its case and every character.

    >>> name('geoip.city').text
    '"geoip.city"'
    """
    quoted = identifier.replace('"', '""')
    return Sql(f'"{quoted}"')


def value(content: Parameter) -> Sql:
    """Return a parameter: `?` and its value.

    >>> value("it's")
    Sql(text='?', parameters=("it's",))
    """
    return Sql("?", (content,))


def compose(template: LiteralString, *parts: Sql) -> Sql:
    """Return the template with each `{}` replaced by a part, the parameters in the same order.

    Args:
        template: SQL written in the code itself; nothing of a request is ever a part of it.
        *parts: One for each `{}`.

    Raises:
        ValueError: There is another number of parts than of `{}`.

    >>> compose("({} = {})", name("a"), value(1))
    Sql(text='("a" = ?)', parameters=(1,))
    """
    texts = template.split("{}")
    if len(texts) != len(parts) + 1:
        raise ValueError(f"{len(texts) - 1} places in {template!r} with {len(parts)} parts.")
    words = [texts[0]]
    for part, text in zip(parts, texts[1:], strict=True):
        words += [part.text, text]
    return Sql("".join(words), tuple(one for part in parts for one in part.parameters))


def joined(separator: LiteralString, parts: Sequence[Sql]) -> Sql:
    """Return the parts with the separator between them.

    >>> joined(", ", [name("a"), name("b")]).text
    '"a", "b"'
    """
    return Sql(separator.join(part.text for part in parts), tuple(one for part in parts for one in part.parameters))


def ask(store: Store, statement: Sql, *, rows_max: int = ROWS_MAX) -> pa.Table:
    """Return what a store answers to a statement that queries, scripts and aggregations of a request went into.

    Args:
        store: Any backend.
        statement: One SELECT.
        rows_max: Most rows of the answer.

    Raises:
        JobsRequestError: The store does not take it: what is right piece by piece is too long or nested too deep as
            a whole.
        RangeTooLargeError: The answer has more rows.
    """
    try:
        return store.sql(statement.text, statement.parameters, rows_max=rows_max)
    except SqlRefusedError as error:
        raise JobsRequestError(
            f"the query, scripts and aggregations become SQL that the store refuses: {error} Fewer clauses, branches "
            "of scripts and runtime fields inside others make it shorter.",
            characters=len(statement.text),
        ) from error


def all_of(parts: Iterable[Sql]) -> Sql:
    """Return the conjunction; TRUE of none.

    >>> all_of([TRUE, name("b")]).text, all_of([name("b"), FALSE]).text
    ('"b"', '(1 = 0)')
    """
    return _chain(" AND ", parts, neutral=TRUE, final=FALSE)


def any_of(parts: Iterable[Sql]) -> Sql:
    """Return the disjunction; FALSE of none."""
    return _chain(" OR ", parts, neutral=FALSE, final=TRUE)


def opposite(part: Sql) -> Sql:
    """Return the negation; the part must be true or false, never null."""
    if part in (TRUE, FALSE):
        return FALSE if part == TRUE else TRUE
    return compose("(NOT {})", part)


def _chain(word: LiteralString, parts: Iterable[Sql], *, neutral: Sql, final: Sql) -> Sql:
    # 1, 1.0 and True are equal to Python and other values to SQL.
    once = {(part.text, *((type(one), one) for one in part.parameters)): part for part in parts}
    kept = [part for part in once.values() if part != neutral]
    if final in kept:
        return final
    if len(kept) <= 1:
        return kept[0] if kept else neutral
    return compose("({})", joined(word, kept))
