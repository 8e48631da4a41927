"""The JSON of `aggregations` as a tree: which kinds there are, and what each may hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gridwatch.jobs.aggregations.intervals import read_date_histogram, read_histogram
from gridwatch.jobs.aggregations.parts import Part, shown
from gridwatch.jobs.aggregations.tree import Aggregation, Composite, Filter, Histogram, Interval, Key, Metric, Terms

__all__ = ["read_aggregations"]

AGGREGATIONS_MAX = 200
DEPTH_MAX = 20
COMPOSITE_SIZE, COMPOSITE_SIZE_MAX = 10, 65_536
_METRICS = ("max", "min", "avg", "sum", "value_count", "cardinality", "percentiles")
_NUMBERS = ("max", "min", "avg", "sum", "percentiles")
_INNER = ("aggregations", "aggs")
_SCRIPT = {"script": "name a runtime field (runtime_mappings) that has the script"}
_NO_MATTER: dict[str, tuple[str, ...]] = {
    "cardinality": ("precision_threshold", "execution_hint"),
    "percentiles": ("percents", "keyed", "tdigest", "hdr"),
    "terms": (
        "size", "shard_size", "order", "shard_min_doc_count", "show_term_doc_count_error", "execution_hint",
        "collect_mode", "format",
    ),
}  # fmt: skip
"""Keys that ask for another way to the same answer, or for fewer rows than there are, which no feed wants."""
_INSTEAD = {
    "stats": "max, min, avg, sum, each by its name",
    "extended_stats": "max, min, avg, sum, each by its name",
    "filters": "one filter each",
    "range": "a filter with a range query",
    "date_range": "the datafeed's query",
    "significant_terms": "terms",
    "rare_terms": "terms",
    "multi_terms": "terms inside terms, or composite",
    "median_absolute_deviation": "percentiles",
    "auto_date_histogram": "date_histogram with fixed_interval",
    "scripted_metric": "a runtime field and a metric of it",
    "weighted_avg": "a runtime field and sum",
    "nested": "dotted field names",
    "reverse_nested": "dotted field names",
    "global": "a datafeed of its own",
    "missing": "a filter with must_not exists",
    "bucket_script": "a runtime field, or one detector for each metric",
    "derivative": "the job's own detectors, which know trends",
}


def read_aggregations(raw: object, path: str = "aggregations") -> tuple[Aggregation, ...]:
    """Return the aggregations of a datafeed as they are written; `plan` checks what they are together.

    Args:
        raw: The JSON: name to aggregation.
        path: Where it stands.

    Raises:
        JobsBodyError: Another shape, an unknown kind or key.
        JobsValueError: A value that is not allowed.
    """
    return _Reader().level(Part(raw, path), 0)


class _Reader:
    def __init__(self) -> None:
        self._count = 0

    def level(self, part: Part, depth: int) -> tuple[Aggregation, ...]:
        if depth >= DEPTH_MAX:
            raise part.refused(f"aggregations nested deeper than {DEPTH_MAX} levels")
        content = part.object()
        self._count += len(content)
        if self._count > AGGREGATIONS_MAX:
            raise part.refused(f"more than {AGGREGATIONS_MAX} aggregations")
        return tuple(self._one(part.at(name, inner), name, depth) for name, inner in content.items())

    def _one(self, part: Part, name: str, depth: int) -> Aggregation:
        if not name or any(one in name for one in "[]>"):
            raise part.refused(f"invalid aggregation name [{shown(name)}]: it may not be empty, nor hold [, ] or >")
        content = dict(part.object())
        content.pop("meta", None)
        inner = [key for key in _INNER if key in content]
        if len(inner) > 1:
            raise part.refused("[aggs] and [aggregations] are the same; give one")
        kinds = [key for key in content if key not in _INNER]
        if len(kinds) != 1:
            said = "no kind of aggregation" if not kinds else f"{len(kinds)} kinds ({', '.join(map(shown, kinds))})"
            raise part.misshapen(f"[{shown(name)}] has {said}; it takes one", allowed=_KINDS)
        below = self.level(part.at(inner[0], content[inner[0]]), depth + 1) if inner else ()
        body = part.at(kinds[0], content[kinds[0]])
        read = _KINDS.get(kinds[0])
        if read is None:
            hint = f"; use {_INSTEAD[kinds[0]]}" if kinds[0] in _INSTEAD else ""
            raise body.misshapen(f"the aggregation [{shown(kinds[0])}] is unknown or not supported{hint}", _KINDS)
        return read(body, name, part.path, below)


def _metric(body: Part, name: str, path: str, below: tuple[Aggregation, ...]) -> Metric:
    kind: Any = body.path.rpartition(".")[2]
    if below:
        raise Part(None, path).refused(f"[{kind}] cannot have aggregations inside it")
    known = ("field", "format", *_NO_MATTER.get(kind, ()), *(("missing",) if kind in _NUMBERS else ()))
    options = body.options(known, hints=_SCRIPT)
    missing = options["missing"].number() if "missing" in options else None
    percent = _percent(body, options) if kind == "percentiles" else 0.0
    return Metric(name, path, kind, _field(body, options), percent, missing)


def _percent(body: Part, options: dict[str, Part]) -> float:
    """Return the one percentile that is asked for."""
    given = options.get("percents")
    if given is None:
        raise body.refused('a row takes one value, and percentiles has seven unless told; give one: "percents": [95]')
    content = given.content if isinstance(given.content, list) else [given.content]
    if len(content) != 1:
        raise given.refused(f"a row takes one value, got {len(content)}; give one, such as [95], and name others apart")
    found = given.at(0, content[0]).number()
    if not 0.0 <= found <= 100.0:
        raise given.refused(f"{found} is out of bounds: 0 to 100")
    return found


def _field(body: Part, options: dict[str, Part]) -> str:
    if "field" not in options:
        raise body.misshapen("[field] is required and is missing")
    return options["field"].text()


def _date_histogram(body: Part, name: str, path: str, below: tuple[Aggregation, ...]) -> Histogram:
    return Histogram(name, path, read_date_histogram(body, name), below)


def _histogram(body: Part, name: str, path: str, below: tuple[Aggregation, ...]) -> Histogram:
    return Histogram(name, path, read_histogram(body, name), below)


def _terms(body: Part, name: str, path: str, below: tuple[Aggregation, ...]) -> Terms:
    options = body.options(
        ("field", "missing", "min_doc_count", *_NO_MATTER["terms"]),
        hints=_SCRIPT
        | dict.fromkeys(("include", "exclude"), "narrow the rows by the datafeed's query, or by a filter around it"),
    )
    if "min_doc_count" in options:
        options["min_doc_count"].whole(0, 1)
    if "size" in options:
        options["size"].whole(1, 1 << 31)
    missing = None
    if "missing" in options:
        content = options["missing"].content
        missing = options["missing"].text() if isinstance(content, str) else options["missing"].number()
    return Terms(name, path, Key(name, path, _field(body, options), missing), below)


def _filter(body: Part, name: str, path: str, below: tuple[Aggregation, ...]) -> Filter:
    body.object()
    if not below:
        raise Part(None, path).refused(
            "a filter by itself gives no field; put a metric inside it, such as value_count of the time field"
        )
    return Filter(name, path, body.content, below)


def _composite(body: Part, name: str, path: str, below: tuple[Aggregation, ...]) -> Composite:
    options = body.options(
        ("sources", "size"), hints={"after": "the datafeed pages by itself, from the first bucket to the last"}
    )
    if "sources" not in options:
        raise body.misshapen("[sources] is required and is missing")
    listed = options["sources"]
    if not isinstance(listed.content, list) or not listed.content:
        raise listed.misshapen(f"expected a list of sources, got [{shown(listed.content)}]")
    times: list[Interval] = []
    keys: list[Key] = []
    for place, content in enumerate(listed.content):
        found = _source(listed.at(place, content))
        if found.name in {*(one.name for one in times), *(one.name for one in keys)}:
            raise listed.refused(f"two sources are called [{found.name}]; rename one of them")
        if isinstance(found, Interval):
            times.append(found)
        else:
            keys.append(found)
    if len(times) != 1:
        raise listed.refused(f"exactly one source has to be a date_histogram, got {len(times)}")
    size = options["size"].whole(1, COMPOSITE_SIZE_MAX) if "size" in options else COMPOSITE_SIZE
    return Composite(name, path, times[0], tuple(keys), size, below)


def _source(part: Part) -> Interval | Key:
    """Return one source of a composite: `{"name": {"terms": {...}}}` or with date_histogram."""
    content = part.object()
    if len(content) != 1:
        raise part.misshapen(f"a source has one name, got {len(content)}")
    ((name, inner),) = content.items()
    outer = part.at(name, inner)
    kinds = outer.object()
    if len(kinds) != 1 or not set(kinds) <= {"terms", "date_histogram"}:
        raise outer.misshapen(f"got [{', '.join(map(shown, kinds))}]", allowed=("terms", "date_histogram"))
    ((kind, content),) = kinds.items()
    body = outer.at(kind, content)
    if isinstance(content, dict):
        body = Part({key: value for key, value in content.items() if key not in _SOURCE_KEYS}, body.path)
        _check_source(body, content)
    if kind == "date_histogram":
        return read_date_histogram(body, name)
    options = body.options(("field",), hints=_SCRIPT)
    return Key(name, body.path, _field(body, options))


_SOURCE_KEYS = ("order", "missing_bucket", "missing_order")


def _check_source(body: Part, content: dict[str, Any]) -> None:
    if content.get("order", "asc") != "asc":
        raise body.at("order", content["order"]).refused("a datafeed reads in ascending order", allowed=("asc",))
    if content.get("missing_bucket", False) is not False:
        raise body.at("missing_bucket", content["missing_bucket"]).refused(
            "rows without a value cannot have a bucket in a datafeed", allowed=("false",)
        )


_KINDS: dict[str, Callable[[Part, str, str, tuple[Aggregation, ...]], Aggregation]] = {
    "date_histogram": _date_histogram,
    "histogram": _histogram,
    "composite": _composite,
    "terms": _terms,
    "filter": _filter,
    **dict.fromkeys(_METRICS, _metric),
}
