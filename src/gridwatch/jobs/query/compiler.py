"""One query and those inside it: bool, constant_score, match_all, match_none, and the table of all kinds."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from gridwatch.jobs import sql
from gridwatch.jobs.fields import Fields
from gridwatch.jobs.query import leaves
from gridwatch.jobs.query.reading import Part, Reading, shown
from gridwatch.jobs.sql import FALSE, TRUE, Sql, all_of, any_of, compose, opposite

__all__ = ["Condition", "compile_query"]

TEXT_MAX = 150_000
_CLAUSES = ("must", "filter", "should", "must_not")
_INSTEAD = {
    "match": "term (columns are keywords, not analysed text)",
    "match_phrase": "term",
    "match_phrase_prefix": "prefix",
    "fuzzy": "wildcard or regexp",
    "query_string": "bool of term, range and wildcard",
    "simple_query_string": "bool of term, range and wildcard",
    "script": "a runtime field and a query of it",
    "nested": "dotted field names",
}


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled query.

    Args:
        where: The condition: true for rows that match, false or null for the others.
        fields: Names of the fields that it reads.
        unmapped: Names that the container has no field of: nothing matches there, as in Elasticsearch.
    """

    where: Sql
    fields: tuple[str, ...]
    unmapped: tuple[str, ...]

    @property
    def everything(self) -> bool:
        """Whether every row matches."""
        return self.where == TRUE


def compile_query(query: object, fields: Fields, *, now_ms: int, path: str = "query") -> Condition:
    """Return a query as SQL's condition.

    Args:
        query: The JSON of one query, such as `{"term": {"geoip.continent_name": "Europe"}}`.
        fields: Of the container, runtime fields among them.
        now_ms: What `now` is, UTC epoch ms.
        path: Where the query stands, for messages.

    Raises:
        JobsQueryError: It is wrong or not supported; has the path, the value and what is allowed.
    """
    reading = Reading(fields, now_ms)
    part = Part(query, path, reading)
    where = _query(part)
    if len(where.text) > TEXT_MAX:
        raise part.wrong(f"a query that becomes SQL of {len(where.text)} characters; at most {TEXT_MAX}")
    return Condition(where, tuple(reading.used), tuple(reading.unmapped))


def _query(part: Part) -> Sql:
    content = part.object()
    part.reading.count(part)
    if len(content) != 1:
        raise part.wrong(
            f"expected one query but found {len(content)} keys ({', '.join(map(shown, content)) or 'none'})",
            allowed=_KINDS,
        )
    ((kind, inner),) = content.items()
    read = _KINDS.get(kind)
    found = part.at(kind, inner)
    if read is None:
        hint = f"; use {_INSTEAD[kind]}" if kind in _INSTEAD else ""
        raise found.wrong(f"the query [{shown(kind)}] is unknown or not supported{hint}", allowed=_KINDS)
    return read(found)


def _all(part: Part) -> Sql:
    part.options()
    return TRUE


def _none(part: Part) -> Sql:
    part.options()
    return FALSE


def _constant(part: Part) -> Sql:
    options = part.options("filter")
    if "filter" not in options:
        raise part.wrong("constant_score needs [filter]")
    return _query(options["filter"].inner())


def _bool(part: Part) -> Sql:
    """Return a bool query: must and filter all match, must_not none, and enough of should."""
    options = part.options(*_CLAUSES, "minimum_should_match", "adjust_pure_negative")
    if "adjust_pure_negative" in options:
        options["adjust_pure_negative"].truth()
    lists = {key: _clauses(options[key]) if key in options else [] for key in _CLAUSES}
    required = [_query(one.inner()) for key in ("must", "filter") for one in lists[key]]
    refused = [_query(one.inner(strict=True)) for one in lists["must_not"]]
    should = [_query(one.inner()) for one in lists["should"]]
    # By itself should asks for one match, beside must or filter for none.
    least = 1 if should and not required else 0
    asked = options.get("minimum_should_match")
    if asked is not None and asked.content is not None:
        least = max(least, _least(asked, len(should)))
    if least > len(should):
        return FALSE
    return all_of([*required, *(opposite(one) for one in refused), _enough(should, least)])


def _clauses(part: Part) -> list[Part]:
    if isinstance(part.content, list):
        return [part.at(number, one) for number, one in enumerate(part.content)]
    return [part]


_EQUAL = re.compile(r'\(("(?:[^"]|"")*") = \?\)')


def _one_of(should: list[Sql]) -> Sql:
    """Return the disjunction; terms of one column become a list, in which a value is found faster."""
    values: dict[str, list[Sql]] = {}
    rest = []
    for one in should:
        column = _EQUAL.fullmatch(one.text)
        if column is None:
            rest.append(one)
        else:
            values.setdefault(column[1], []).append(one)
    for column_text, equal in values.items():
        marks = sql.joined(", ", [sql.value(one.parameters[0]) for one in equal])
        rest.append(compose("({} IN ({}))", Sql(column_text), marks) if len(equal) > 1 else equal[0])
    return any_of(rest)


def _enough(should: list[Sql], least: int) -> Sql:
    if least == 0:
        return TRUE
    if least == 1:
        return _one_of(should)
    if least == len(should):
        return all_of(should)
    counted = sql.joined(" + ", [compose("(CASE WHEN {} THEN 1 ELSE 0 END)", one) for one in should])
    return compose("(({}) >= {})", counted, sql.value(least))


def _least(part: Part, count: int) -> int:
    """Return how many of `count` have to match: `2`, `-1`, `75%`, `-25%`, or `3<90%` and several of them."""
    content = part.content
    if isinstance(content, bool) or not isinstance(content, int | str):
        raise part.wrong(f"expected a number or a text such as 75% but found [{shown(content)}]")
    text = str(content) if isinstance(content, str) or abs(content) < 10**9 else ""
    if "<" not in text:
        return max(0, _share(part, text, count))
    result = count
    for step in text.split():
        bound, sign, rest = step.partition("<")
        if not sign or not re.fullmatch(r"\d{1,9}", bound, re.ASCII):
            raise part.wrong(f"minimum_should_match [{shown(content)}] cannot be read", allowed=_LEAST)
        wanted = _share(part, rest, count)
        if count <= int(bound):
            return result
        result = max(0, wanted)
    return result


_LEAST = ("2", "-1", "75%", "-25%", "2<75%", "2<-25% 9<-3")


def _share(part: Part, text: str, count: int) -> int:
    found = re.fullmatch(r"\s*([+-]?)(\d{1,9})(%?)\s*", text, re.ASCII)
    if found is None:
        raise part.wrong(f"minimum_should_match [{shown(part.content)}] cannot be read", allowed=_LEAST)
    # A share is rounded down, whichever end it is counted from.
    amount = count * int(found[2]) // 100 if found[3] else int(found[2])
    return count - amount if found[1] == "-" else amount


_KINDS: dict[str, Callable[[Part], Sql]] = {
    "bool": _bool,
    "constant_score": _constant,
    "exists": leaves.exists,
    "ids": leaves.ids,
    "match_all": _all,
    "match_none": _none,
    "prefix": leaves.prefix,
    "range": leaves.value_range,
    "regexp": leaves.regexp,
    "term": leaves.term,
    "terms": leaves.terms,
    "wildcard": leaves.wildcard,
}
