"""Queries of one field: term, terms, range, exists, prefix, wildcard, regexp; and ids."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction

from gridwatch.jobs import sql
from gridwatch.jobs.date_formats import date_format, zone_of
from gridwatch.jobs.fields import Field, FieldType
from gridwatch.jobs.query import patterns, values
from gridwatch.jobs.query.reading import TERMS_MAX, Part, shown
from gridwatch.jobs.sql import FALSE, TRUE, Sql, all_of, any_of, compose

__all__ = ["exists", "ids", "prefix", "regexp", "term", "terms", "value_range", "wildcard"]

_ID_FORMAT = "epoch_millis||strict_date_optional_time"
_BOUNDS = ("gt", "gte", "lt", "lte")


def exists(part: Part) -> Sql:
    """`{"exists": {"field": name}}`: a field, or an object that has a field with a value."""
    options = part.options("field")
    if "field" not in options:
        raise part.wrong("exists needs [field]")
    name = options["field"].text()
    below = [options["field"].field(one.name) for one in part.reading.fields.below(name)]
    found = [options["field"].field(name)] if name in part.reading.fields or not below else below
    return any_of(_present(one) for one in found if one is not None)


def _present(found: Field) -> Sql:
    return compose("({} IS NOT NULL)", found.sql) if found.nullable else TRUE


def term(part: Part) -> Sql:
    """`{"term": {name: value}}` or `{"term": {name: {"value": value, "case_insensitive": true}}}`."""
    name, inner = part.single()
    options = {"value": inner}
    if isinstance(inner.content, Mapping):
        options = inner.options("value", "case_insensitive")
    wanted = _needed(inner, options, "value")
    found = inner.field(name)
    any_case = "case_insensitive" in options and options["case_insensitive"].truth()
    if found is None:
        return FALSE
    if any_case:
        _keyword(inner, found, "a term without case")
        pattern = patterns.literal_like(values.as_keyword(wanted))
        return inner.guarded(found, compose("({} LIKE {} ESCAPE '\\')", found.sql, sql.value(pattern)))
    return _equal(found, wanted)


def terms(part: Part) -> Sql:
    """`{"terms": {name: [value, ...]}}`."""
    name, inner = part.single()
    if isinstance(inner.content, Mapping):
        raise inner.wrong("a terms lookup in another index is not supported", allowed=("a list of values",))
    if not isinstance(inner.content, Sequence) or isinstance(inner.content, str | bytes):
        raise inner.wrong(f"expected a list of values but found [{shown(inner.content)}]")
    if len(inner.content) > TERMS_MAX:
        raise inner.wrong(f"{len(inner.content)} terms; at most {TERMS_MAX}")
    found = inner.field(name)
    if found is None:
        return FALSE
    wanted = [inner.at(number, content) for number, content in enumerate(inner.content)]
    if found.type.time:
        inner.reading.count(inner, len(wanted))
        return any_of(_equal(found, one) for one in wanted)
    parameters = [one for one in (_parameter(found, part) for part in wanted) if one is not None]
    if not parameters:
        return FALSE
    marks = sql.joined(", ", [sql.value(one) for one in dict.fromkeys(parameters)])
    return inner.guarded(found, compose("({} IN ({}))", found.sql, marks))


def _equal(found: Field, wanted: Part) -> Sql:
    if found.type.time:
        return _between(found, wanted, {"gte": wanted, "lte": wanted}, None, None)
    parameter = _parameter(found, wanted)
    if parameter is None:
        return FALSE
    return wanted.guarded(found, compose("({} = {})", found.sql, sql.value(parameter)))


def _parameter(found: Field, wanted: Part) -> bool | int | float | str | None:
    """Return what the field's column is compared with; None where no row can have it."""
    if found.type is FieldType.KEYWORD:
        return values.as_keyword(wanted)
    if found.type is FieldType.BOOLEAN:
        return values.as_boolean(wanted)
    if found.type.whole:
        exact = values.as_exact(wanted)
        whole = exact.denominator == 1 and values.LONG_MIN <= exact.numerator <= values.LONG_MAX
        return exact.numerator if whole else None
    if found.type.numeric:
        return values.as_double(wanted, found.type)
    raise wanted.wrong(f"the field [{found.name}] is of type [{found.type}], which cannot be searched")


def value_range(part: Part) -> Sql:
    """`{"range": {name: {"gte": value, "lt": value, "format": ..., "time_zone": ...}}}`; a null bound is none."""
    name, inner = part.single()
    options = inner.options(*_BOUNDS, "format", "time_zone")
    found = inner.field(name)
    bounds = {key: options[key] for key in _BOUNDS if key in options and options[key].content is not None}
    for pair in (("gt", "gte"), ("lt", "lte")):
        if all(key in bounds for key in pair):
            raise inner.wrong(f"both [{pair[0]}] and [{pair[1]}]; give one of them")
    shape, zone = options.get("format"), options.get("time_zone")
    if shape is not None:
        shape.read(functools.partial(date_format, shape.text()))
    if zone is not None:
        zone.read(functools.partial(zone_of, zone.text()))
    if found is None:
        return FALSE
    if found.type.time:
        return _between(found, inner, bounds, shape, zone)
    for option in (shape, zone):
        if option is not None:
            raise option.wrong(f"this is for dates; the field [{name}] is of type [{found.type}]")
    if not bounds:
        return _present(found)
    if found.type.whole:
        return _whole_range(found, inner, bounds)
    if found.type is FieldType.BOOLEAN:
        raise inner.wrong(f"a range of the field [{name}], which is of type [boolean]", allowed=("term", "terms"))
    signs = {"gt": "({} > {})", "gte": "({} >= {})", "lt": "({} < {})", "lte": "({} <= {})"}
    conditions = []
    for key, bound in bounds.items():
        parameter = _parameter(found, bound)
        conditions.append(compose(signs[key], found.sql, sql.value(parameter)))
    return inner.guarded(found, all_of(conditions))


def _whole_range(found: Field, part: Part, bounds: Mapping[str, Part]) -> Sql:
    """Return a range of whole numbers: bounds with decimals are moved inwards, those beyond LONG left out."""
    low: int = values.LONG_MIN
    high: int = values.LONG_MAX
    for key, bound in bounds.items():
        exact: Fraction = values.as_exact(bound)
        if key == "gt":
            low = math.floor(exact) + 1
        elif key == "gte":
            low = math.ceil(exact)
        elif key == "lt":
            high = math.ceil(exact) - 1
        else:
            high = math.floor(exact)
    if low > high or low > values.LONG_MAX or high < values.LONG_MIN:
        return FALSE
    conditions = []
    if low > values.LONG_MIN:
        conditions.append(compose("({} >= {})", found.sql, sql.value(low)))
    if high < values.LONG_MAX:
        conditions.append(compose("({} <= {})", found.sql, sql.value(high)))
    return part.guarded(found, all_of(conditions)) if conditions else _present(found)


def _between(found: Field, part: Part, bounds: Mapping[str, Part], shape: Part | None, zone: Part | None) -> Sql:
    """Return a range of time; bounds are rounded to whole milliseconds, towards the side that the sign asks for."""
    formats = date_format(shape.text()) if shape is not None else None
    where = zone_of(zone.text()) if zone is not None else UTC
    low, high = -1, values.TIMESTAMP_MS_MAX + 1
    for key, bound in bounds.items():
        up = key in {"gt", "lte"}
        ms = values.as_instant(bound, formats, where, round_up=up)
        if key in {"gt", "gte"}:
            low = ms + (key == "gt")
        else:
            high = ms - (key == "lt")
    if low > high or low > values.TIMESTAMP_MS_MAX or high < 0:
        return FALSE
    conditions = []
    if low > 0:
        conditions.append(compose("({} >= {})", found.sql, sql.value(values.moment(low))))
    if high < values.TIMESTAMP_MS_MAX and found.type is FieldType.DATE:
        conditions.append(compose("({} <= {})", found.sql, sql.value(values.moment(high))))
    elif high < values.TIMESTAMP_MS_MAX:
        # A finer time inside the last millisecond belongs to it.
        conditions.append(compose("({} < {})", found.sql, sql.value(values.moment(high + 1))))
    return part.guarded(found, all_of(conditions)) if conditions else _present(found)


def prefix(part: Part) -> Sql:
    """`{"prefix": {name: value}}`."""
    found, wanted, any_case, inner = _pattern(part, "prefix", "value")
    if found is None:
        return FALSE
    if any_case:
        return _like(inner, found, patterns.literal_like(wanted) + "%")
    return _glob(inner, found, [patterns.literal_glob(wanted) + "*"])


def wildcard(part: Part) -> Sql:
    r"""`{"wildcard": {name: pattern}}`: `*` any text, `?` one character, `\` before one of them."""
    found, wanted, any_case, inner = _pattern(part, "wildcard", "value", "wildcard")
    if found is None:
        return FALSE
    if any_case:
        return _like(inner, found, patterns.like_of(wanted))
    return _glob(inner, found, [patterns.globs_of_wildcard(wanted)])


def regexp(part: Part) -> Sql:
    """`{"regexp": {name: pattern}}`, as far as GLOB can say it."""
    found, wanted, any_case, inner = _pattern(part, "regexp", "value", "flags", "max_determinized_states")
    flags = inner.content.get("flags", "ALL") if isinstance(inner.content, Mapping) else "ALL"
    if flags not in ("ALL", "NONE"):
        raise inner.wrong(f"the flags [{shown(flags)}] of a regular expression", allowed=("ALL", "NONE"))
    globs = patterns.globs_of_regexp(wanted, inner.wrong, flags=flags == "ALL", case_insensitive=any_case)
    return _glob(inner, found, globs) if found is not None else FALSE


def _pattern(part: Part, kind: str, *known: str) -> tuple[Field | None, str, bool, Part]:
    """Return the field, the text, whether case does not count, and the part of a query by pattern."""
    name, inner = part.single()
    options = {"value": inner}
    if isinstance(inner.content, Mapping):
        options = inner.options(*known, "case_insensitive", "rewrite")
        if "wildcard" in options:
            options.setdefault("value", options["wildcard"])
        if "max_determinized_states" in options:
            options["max_determinized_states"].number()
        if "rewrite" in options:
            options["rewrite"].text()
    wanted = _needed(inner, options, "value").text()
    if len(wanted) > patterns.PATTERN_MAX:
        raise inner.wrong(f"a pattern of {len(wanted)} characters; at most {patterns.PATTERN_MAX}")
    found = inner.field(name)
    if found is not None:
        _keyword(inner, found, kind)
    any_case = "case_insensitive" in options and options["case_insensitive"].truth()
    return found, wanted, any_case, inner


def _needed(part: Part, options: Mapping[str, Part], key: str) -> Part:
    if key not in options or options[key].content is None:
        raise part.wrong(f"[{key}] is missing or null")
    return options[key]


def _keyword(part: Part, found: Field, what: str) -> None:
    if found.type is not FieldType.KEYWORD:
        raise part.wrong(f"{what} works on keyword fields; [{found.name}] is of type [{found.type}]")


def _like(part: Part, found: Field, pattern: str) -> Sql:
    return part.guarded(found, compose("({} LIKE {} ESCAPE '\\')", found.sql, sql.value(pattern)))


def _glob(part: Part, found: Field, globs: Sequence[str]) -> Sql:
    part.reading.count(part, len(globs) - 1)
    conditions = []
    for one in globs:
        # What has no sign of a pattern is compared as it is, which an index can serve.
        plain = not set(one) & set("*?[")
        template = "({} = {})" if plain else "({} GLOB {})"
        conditions.append(compose(template, found.sql, sql.value(one)))
    return part.guarded(found, any_of(conditions))


def ids(part: Part) -> Sql:
    """`{"ids": {"values": [id, ...]}}`: the row key as text; of a TIMESTAMP key epoch ms, or a date."""
    options = part.options("values")
    wanted = _needed(part, options, "values")
    content = wanted.content if isinstance(wanted.content, list) else [wanted.content]
    if len(content) > TERMS_MAX:
        raise wanted.wrong(f"{len(content)} ids; at most {TERMS_MAX}")
    if not content:
        return FALSE
    key = part.reading.fields.key
    if len(key) != 1:
        raise part.wrong(f"ids need a container with one row key column; this one has {len(key)}")
    parts = [wanted.at(number, one) for number, one in enumerate(content)]
    found = [one for one in (_id(key[0], one) for one in parts) if one is not None]
    if not found:
        return FALSE
    marks = sql.joined(", ", [sql.value(one) for one in dict.fromkeys(found)])
    return compose("({} IN ({}))", key[0].sql, marks)


def _id(key: Field, part: Part) -> str | int | datetime | None:
    if key.type.time:
        ms = values.as_instant(part, date_format(_ID_FORMAT), UTC, round_up=False)
        return values.moment(ms) if 0 <= ms <= values.TIMESTAMP_MS_MAX else None
    text = values.as_keyword(part)
    if key.type is FieldType.KEYWORD:
        return text
    # An id is a text: no row has "7.0" or "abc" where the key is a whole number.
    whole = text.lstrip("-").isascii() and text.lstrip("-").isdigit() and len(text) <= 20
    number = int(text) if whole and text.count("-") <= 1 else None
    return (
        number if number is not None and values.LONG_MIN <= number <= values.LONG_MAX and str(number) == text else None
    )
