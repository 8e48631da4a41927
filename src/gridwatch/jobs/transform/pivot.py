"""`pivot`: what rows are grouped by, and what is worked out of each group; read strictly."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from gridwatch.errors import JobsBodyError, JobsValueError
from gridwatch.jobs import units
from gridwatch.jobs.config.reading import check_name
from gridwatch.jobs.transform.calendar import CALENDAR, Buckets, calendar_buckets

__all__ = ["Condition", "Group", "Measure", "Pivot", "read_pivot"]

Kind: TypeAlias = Literal["value_count", "sum", "avg", "min", "max", "cardinality", "doc_count"]

_METRICS: tuple[Kind, ...] = ("value_count", "sum", "avg", "min", "max", "cardinality")
_GROUPS = ("terms", "date_histogram")
_UTC = ("UTC", "Z", "GMT", "Etc/UTC")
_ZONE = re.compile(r"([+-])([01]\d|2[0-3]):?([0-5]\d)")
_YEARS_MS = 100 * 366 * 86_400_000
_MEASURES_MAX = 200
_GROUPS_MAX = 16
"""Most columns of a row key."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A `filter` aggregation: the query that its rows match."""

    query: object = field(compare=False)
    path: str


@dataclass(frozen=True, slots=True)
class Group:
    """One of `group_by`.

    Attributes:
        name: Field that it becomes.
        path: Where it stands.
        field: Field that it reads.
        buckets: How it cuts time, None for terms.
        missing_bucket: Whether rows without the field are a group too.
    """

    name: str
    path: str
    field: str
    buckets: Buckets | None = None
    missing_bucket: bool = False


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of a group.

    Attributes:
        name: Field that it becomes.
        path: Where it stands.
        kind: What is worked out; `doc_count` of a filter without aggregations of its own.
        field: Field that it reads, "" for `doc_count`.
        missing: What a row without the field counts as, None to leave it out.
        conditions: Filters around it.
    """

    name: str
    path: str
    kind: Kind
    field: str = ""
    missing: float | None = None
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Pivot:
    """What a transform works out."""

    groups: tuple[Group, ...]
    measures: tuple[Measure, ...]

    @property
    def time(self) -> Group | None:
        """The first group that cuts time, None without one."""
        return next((group for group in self.groups if group.buckets is not None), None)


def read_pivot(raw: object, path: str = "pivot") -> Pivot:
    """Return a pivot from its JSON.

    Raises:
        JobsBodyError: Its shape is wrong, or a key or kind is unknown or not supported.
        JobsValueError: A value is not allowed, or names contradict each other.
    """
    body = _object(raw, path)
    _known(body, path, ("group_by", "aggregations", "aggs"))
    if "aggregations" in body and "aggs" in body:
        raise JobsValueError("[aggs] and [aggregations] are the same; give one.", path=f"{path}.aggs")
    key = "aggs" if "aggs" in body else "aggregations"
    for needed in ("group_by", key):
        if needed not in body:
            raise JobsBodyError("is required and is missing.", path=f"{path}.{needed}")
    groups = tuple(_groups(body["group_by"], f"{path}.group_by"))
    measures = tuple(_measures(body[key], f"{path}.{key}", "", ()))
    if not 0 < len(groups) <= _GROUPS_MAX:
        raise JobsValueError(f"{len(groups)} groups; 1 to {_GROUPS_MAX}.", path=f"{path}.group_by")
    if not 0 < len(measures) <= _MEASURES_MAX:
        raise JobsValueError(f"{len(measures)} aggregations; 1 to {_MEASURES_MAX}.", path=f"{path}.{key}")
    _check_names([*groups, *measures])
    return Pivot(groups, measures)


def _groups(raw: object, path: str) -> Iterable[Group]:
    for name, body in _object(raw, path).items():
        here = f"{path}.{name}"
        check_name(name, here)
        kind, options = _only(body, here, _GROUPS, "group")
        yield (
            _terms(name, options, f"{here}.terms")
            if kind == "terms"
            else _histogram(name, options, f"{here}.date_histogram")
        )


def _terms(name: str, raw: object, path: str) -> Group:
    body = _object(raw, path)
    _known(body, path, ("field", "missing_bucket"), script="name a runtime field that has the script")
    return Group(name, path, _field(body, path), missing_bucket=_flag(body, path))


def _histogram(name: str, raw: object, path: str) -> Group:
    body = _object(raw, path)
    _known(
        body, path, ("field", "fixed_interval", "calendar_interval", "time_zone", "offset", "missing_bucket"),
        script="name a runtime field that has the script",
        interval='write "fixed_interval": "1h", or calendar_interval',
    )  # fmt: skip
    zone_ms = _zone_ms(body.get("time_zone"), f"{path}.time_zone")
    offset_ms = _offset_ms(body.get("offset"), f"{path}.offset")
    if ("fixed_interval" in body) == ("calendar_interval" in body):
        raise JobsBodyError("give one of [fixed_interval] and [calendar_interval].", path=path)
    if "calendar_interval" in body:
        where = f"{path}.calendar_interval"
        text = _text(body["calendar_interval"], where)
        if text not in CALENDAR:
            raise JobsValueError(
                f"unknown calendar interval [{text}]; fixed_interval takes any length", path=where, allowed=CALENDAR
            )
        buckets = calendar_buckets(text, zone_ms, offset_ms)
    else:
        where = f"{path}.fixed_interval"
        every = units.ms_of(_text(body["fixed_interval"], where), where)
        if not 0 < every <= _YEARS_MS:
            raise JobsValueError(f"has to be above 0, got [{body['fixed_interval']}].", path=where)
        buckets = Buckets(every, zone_ms=zone_ms, first_ms=offset_ms)
    return Group(name, path, _field(body, path), buckets, _flag(body, path))


def _measures(raw: object, path: str, prefix: str, conditions: tuple[Condition, ...]) -> Iterable[Measure]:
    for name, body in _object(raw, path).items():
        here = f"{path}.{name}"
        check_name(name, here)
        content = dict(_object(body, here))
        inner = [content.pop(key) for key in ("aggs", "aggregations") if key in content]
        kind, options = _only(content, here, (*_METRICS, "filter"), "aggregation")
        where = f"{here}.{kind}"
        if kind == "filter":
            within = (*conditions, Condition(options, where))
            if not inner:
                yield Measure(f"{prefix}{name}", where, "doc_count", conditions=within)
            for one in inner:
                yield from _measures(one, f"{here}.aggregations", f"{prefix}{name}.", within)
            continue
        if inner:
            raise JobsBodyError(f"[{kind}] takes no aggregations of its own.", path=here)
        yield _metric(f"{prefix}{name}", kind, options, where, conditions)


def _metric(name: str, kind: Any, raw: object, path: str, conditions: tuple[Condition, ...]) -> Measure:
    body = _object(raw, path)
    _known(body, path, ("field", "missing"), script="name a runtime field that has the script",
           precision_threshold="the number is exact, leave it out")  # fmt: skip
    missing = body.get("missing")
    if missing is not None:
        if isinstance(missing, bool) or not isinstance(missing, int | float) or not math.isfinite(missing):
            raise JobsBodyError(f"expected a number, got [{missing!r}].", path=f"{path}.missing")
        if kind in {"value_count", "cardinality"}:
            raise JobsValueError(f"is not supported for {kind}.", path=f"{path}.missing")
    return Measure(name, path, kind, _field(body, path), None if missing is None else float(missing), conditions)


def _check_names(parts: list[Group | Measure]) -> None:
    """Refuse names that cannot be fields of one document."""
    taken: dict[str, str] = {}
    for one in parts:
        if one.name in taken:
            raise JobsValueError(f"duplicate field [{one.name}] detected, also at [{taken[one.name]}].", path=one.path)
        taken[one.name] = one.path
        if one.name.startswith(".") or one.name.endswith(".") or ".." in one.name:
            raise JobsValueError(f"field [{one.name}] must not start or end with '.', nor hold two.", path=one.path)
        if one.name == "_id":
            raise JobsValueError("field [_id] is a row's key; give it another name.", path=one.path)
    for name in taken:
        parents = name.split(".")
        for count in range(1, len(parents)):
            above = ".".join(parents[:count])
            if above in taken:
                raise JobsValueError(
                    f"field [{above}] cannot be both an object and a field: there is [{name}] too.", path=taken[above]
                )


def _only(raw: object, path: str, allowed: tuple[str, ...], what: str) -> tuple[str, object]:
    """Return kind and options of `{kind: options}`."""
    body = _object(raw, path)
    if len(body) != 1:
        raise JobsBodyError(f"expected one kind of {what}, got {sorted(body)}.", path=path, allowed=allowed)
    ((kind, options),) = body.items()
    if kind not in allowed:
        raise JobsBodyError(f"the {what} [{kind}] is unknown or not supported", path=f"{path}.{kind}", allowed=allowed)
    return kind, options


def _object(raw: object, path: str) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping) or not all(isinstance(key, str) for key in raw):
        raise JobsBodyError(f"expected an object, got [{str(raw)[:60]}].", path=path)
    return raw


def _known(body: Mapping[str, Any], path: str, allowed: tuple[str, ...], **hints: str) -> None:
    for key in body:
        if key in hints:
            raise JobsBodyError(f"[{key}] is not supported: {hints[key]}.", path=f"{path}.{key}")
        if key not in allowed:
            raise JobsBodyError(f"unknown field [{key}]", path=f"{path}.{key}", allowed=allowed)


def _text(raw: object, path: str) -> str:
    if not isinstance(raw, str) or not raw:
        raise JobsBodyError(f"expected a text, got [{str(raw)[:60]}].", path=path)
    return raw


def _field(body: Mapping[str, Any], path: str) -> str:
    if "field" not in body:
        raise JobsBodyError("is required and is missing.", path=f"{path}.field")
    return _text(body["field"], f"{path}.field")


def _flag(body: Mapping[str, Any], path: str) -> bool:
    told = body.get("missing_bucket", False)
    if not isinstance(told, bool):
        raise JobsBodyError(f"expected true or false, got [{told!r}].", path=f"{path}.missing_bucket")
    return told


def _zone_ms(raw: object, path: str) -> int:
    if raw is None or raw in _UTC:
        return 0
    match = _ZONE.fullmatch(_text(raw, path))
    if match is None:
        raise JobsValueError(
            f"the zone [{raw}] is not supported: an offset of the whole year is", path=path, allowed=("UTC", "+09:00")
        )
    ms = (int(match[2]) * 60 + int(match[3])) * 60_000
    return -ms if match[1] == "-" else ms


def _offset_ms(raw: object, path: str) -> int:
    if raw is None:
        return 0
    text = _text(raw, path)
    return -units.ms_of(text[1:], path) if text.startswith("-") else units.ms_of(text.removeprefix("+"), path)
