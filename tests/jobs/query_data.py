"""A container of rows that are hard to query, and a plain Python reading of the query DSL over them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType

NOW_MS = 1_700_000_000_000
INFO = ContainerInfo(
    "orders",
    ContainerType.COLLECTION,
    (
        Column("id", ColumnType.STRING, nullable=False),
        Column("at_timestamp", ColumnType.TIMESTAMP),
        Column("geoip.country", ColumnType.STRING),
        Column("Gender", ColumnType.STRING),
        Column("count", ColumnType.LONG),
        Column("small", ColumnType.SHORT),
        Column("price", ColumnType.DOUBLE),
        Column("ratio", ColumnType.FLOAT),
        Column("paid", ColumnType.BOOL),
    ),
    ("id",),
)
TEXTS = [
    *("GB", "gb", "Gb", "FR", "", " ", "a*b", "a?b", "[x]", "50%", "5_0", "back\\slash", "Größe", "größe", "GRÖSSE"),
    *("日本", "🙂", "e\u0301", "true", "5", "5.0", "GB-MALE", "GB-FEMALE", "it's", "null", "^", "]", "-", "a\nb"),
]
TIMES_MS = [
    *(0, 1, NOW_MS, NOW_MS - 1, NOW_MS + 1, NOW_MS - 86_400_000, NOW_MS // 86_400_000 * 86_400_000),
    *(
        NOW_MS // 86_400_000 * 86_400_000 - 1,
        1_577_836_800_000,
        1_577_836_799_999,
        1_580_515_199_999,
        253_402_300_799_999,
    ),
]
LONGS = [0, 1, -1, 5, 7, 2**53, 2**53 + 1, -(2**63), 2**63 - 1, 1000]
DOUBLES = [0.0, 1.0, -1.5, 0.1, 0.1 + 0.2, 0.3, 1e300, -1e-300, 9007199254740993.0, 5.0]
FLOATS = [float(np.float32(one)) for one in (0.0, 0.1, 1.5, -2.25, 16777217.0, 3e38)]


def rows(count: int, seed: int) -> list[dict[str, Any]]:
    """Return rows of the container, times in epoch ms; about every fourth value is null."""
    rng = np.random.default_rng(seed)

    def pick(values: Sequence[Any]) -> Any:
        return None if rng.random() < 0.25 else values[int(rng.integers(0, len(values)))]

    return [
        {
            "id": f"{'row' if number % 3 else 'Row'} {number}",
            "at_timestamp": pick(TIMES_MS),
            "geoip.country": pick(TEXTS),
            "Gender": pick(["MALE", "FEMALE", "male", ""]),
            "count": pick(LONGS),
            "small": pick([-32768, -5, 0, 5, 7, 32767]),
            "price": pick(DOUBLES),
            "ratio": pick(FLOATS),
            "paid": pick([True, False]),
        }
        for number in range(count)
    ]


FIELDS = {
    "id": ("keyword", "id"),
    "@timestamp": ("date", "at_timestamp"),
    "geoip.country": ("keyword", "geoip.country"),
    "Gender": ("keyword", "Gender"),
    "count": ("long", "count"),
    "small": ("long", "small"),
    "price": ("double", "price"),
    "ratio": ("float", "ratio"),
    "paid": ("boolean", "paid"),
}

Row = Mapping[str, Any]


def matches(query: Mapping[str, Any], row: Row) -> bool:
    """Tell whether a row fits a query that is right; written apart from the compiler, from the documented meaning."""
    ((kind, body),) = query.items()
    return _KINDS[kind](body, row)


def _value(row: Row, field: str) -> tuple[str, Any]:
    kind, column = FIELDS.get(field, ("none", ""))
    return kind, row.get(column)


def _field(body: Mapping[str, Any]) -> tuple[str, Any]:
    return next((name, inner) for name, inner in body.items() if name not in ("boost", "_name"))


def _listed(clauses: Any) -> list[Any]:
    return clauses if isinstance(clauses, list) else [clauses]


def _bool(body: Mapping[str, Any], row: Row) -> bool:
    required = _listed(body.get("must", [])) + _listed(body.get("filter", []))
    should = _listed(body.get("should", []))
    if not all(matches(one, row) for one in required) or any(
        matches(one, row) for one in _listed(body.get("must_not", []))
    ):
        return False
    least = 1 if should and not required else 0
    asked = body.get("minimum_should_match")
    if asked is not None:
        least = max(least, _least(str(asked), len(should)))
    return sum(matches(one, row) for one in should) >= least


def _least(text: str, count: int) -> int:
    if "<" in text:
        result = count
        for step in text.split():
            bound, _, rest = step.partition("<")
            if count <= int(bound):
                return result
            result = _least(rest, count)
        return result
    if text.endswith("%"):
        share = int(text[:-1])
        amount = math.trunc(Decimal(count) * share / 100)
    else:
        amount = int(text)
    return max(0, count + amount if text.startswith("-") else amount)


def _term(body: Mapping[str, Any], row: Row) -> bool:
    field, inner = _field(body)
    options = inner if isinstance(inner, Mapping) else {"value": inner}
    return _equal(row, field, options["value"], any_case=bool(options.get("case_insensitive")))


def _ascii_lower(text: str) -> str:
    return re.sub("[A-Z]+", lambda one: one.group().lower(), text)


def _equal(row: Row, field: str, wanted: Any, *, any_case: bool = False) -> bool:
    kind, value = _value(row, field)
    if value is None:
        return False
    if kind == "keyword":
        text = {True: "true", False: "false"}[wanted] if isinstance(wanted, bool) else str(wanted)
        return _ascii_lower(value) == _ascii_lower(text) if any_case else bool(value == text)
    if kind == "boolean":
        return bool(value == (wanted in (True, "true")))
    if kind == "date":
        return _in_range(row, field, {"gte": wanted, "lte": wanted})
    exact = Decimal(wanted) if isinstance(wanted, int | str) else Decimal(repr(wanted))
    if kind == "long":
        return bool(exact == value)
    return bool(value == float(exact)) if kind == "double" else bool(value == float(np.float32(float(exact))))


def _terms(body: Mapping[str, Any], row: Row) -> bool:
    field, inner = _field(body)
    return any(_equal(row, field, one) for one in inner)


def _range(body: Mapping[str, Any], row: Row) -> bool:
    field, inner = _field(body)
    return _in_range(row, field, inner)


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "gt": lambda a, b: bool(a > b),
    "gte": lambda a, b: bool(a >= b),
    "lt": lambda a, b: bool(a < b),
    "lte": lambda a, b: bool(a <= b),
}


def _in_range(row: Row, field: str, bounds: Mapping[str, Any]) -> bool:
    kind, value = _value(row, field)
    if value is None:
        return False
    for key, bound in bounds.items():
        if key not in _COMPARE or bound is None:
            continue
        this: Any = value
        other: Any = bound
        if kind == "keyword":
            this, other = value.encode(), bound.encode()
        elif kind == "date":
            other = MOMENTS[bound][key in ("gt", "lte")] if isinstance(bound, str) else bound
        else:
            other = Decimal(bound) if isinstance(bound, int | str) else Decimal(repr(bound))
            this = Decimal(value)
            if kind != "long":
                this, other = float(value), float(other) if kind == "double" else float(np.float32(float(other)))
        if not _COMPARE[key](this, other):
            return False
    return True


_DAY = timedelta(days=1)


def _ms(year: int, month: int, day: int, **clock: int) -> int:
    return int((datetime(year, month, day, tzinfo=UTC) + timedelta(**clock)).timestamp() * 1000)


_TODAY = NOW_MS // 86_400_000 * 86_400_000

# What a text stands for as a lower bound that is included, and as an upper one.
MOMENTS = {
    "now": (NOW_MS, NOW_MS),
    "now-1d": (NOW_MS - 86_400_000, NOW_MS - 86_400_000),
    "now/d": (_TODAY, _TODAY + 86_399_999),
    "now-1d/d": (_TODAY - 86_400_000, _TODAY - 1),
    "2020-01-01": (1_577_836_800_000, 1_577_923_199_999),
    "2020": (1_577_836_800_000, 1_577_923_199_999),
    "2020-01-01||+1M-1d/d": (_ms(2020, 1, 31), _ms(2020, 2, 1) - 1),
    "2019-12-31T23:59:59.999Z": (1_577_836_799_999, 1_577_836_799_999),
    "1969-12-31": (-86_400_000, -1),
    str(NOW_MS): (NOW_MS, NOW_MS),
}


def _exists(body: Mapping[str, Any], row: Row) -> bool:
    names = [name for name in FIELDS if name == body["field"] or name.startswith(body["field"] + ".")]
    return any(_value(row, name)[1] is not None for name in names)


def _pattern(make: Callable[[str], str]) -> Callable[[Mapping[str, Any], Row], bool]:
    def fits(body: Mapping[str, Any], row: Row) -> bool:
        field, inner = _field(body)
        options = inner if isinstance(inner, Mapping) else {"value": inner}
        value = _value(row, field)[1]
        flags = re.DOTALL | (re.IGNORECASE | re.ASCII if options.get("case_insensitive") else 0)
        if value is None:
            return False
        pattern = make(options["value"])
        if options.get("case_insensitive"):
            # Python folds more than A to Z: İ, K and others; both sides are folded beforehand instead.
            return re.fullmatch(_ascii_lower(pattern), _ascii_lower(value), flags & ~re.IGNORECASE) is not None
        return re.fullmatch(pattern, value, flags) is not None

    return fits


def _from_wildcard(pattern: str) -> str:
    out, place = "", 0
    while place < len(pattern):
        sign = pattern[place]
        if sign == "\\" and place + 1 < len(pattern):
            place += 1
            out += re.escape(pattern[place])
        else:
            out += {"*": ".*", "?": "."}.get(sign, re.escape(sign))
        place += 1
    return out


_KINDS: dict[str, Callable[[Any, Row], bool]] = {
    "bool": _bool,
    "constant_score": lambda body, row: matches(body["filter"], row),
    "exists": _exists,
    "ids": lambda body, row: row["id"] in body["values"],
    "match_all": lambda body, row: True,
    "match_none": lambda body, row: False,
    "prefix": _pattern(lambda text: re.escape(text) + ".*"),
    "range": _range,
    "regexp": _pattern(lambda text: text),
    "term": _term,
    "terms": _terms,
    "wildcard": _pattern(_from_wildcard),
}
