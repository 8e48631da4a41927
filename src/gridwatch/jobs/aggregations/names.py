"""Whether aggregations bring each field that a job needs, under its name."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

from gridwatch.errors import JobsValueError
from gridwatch.jobs.aggregations.tree import Aggregation, Composite, Histogram, Key, Metric, Terms

__all__ = ["check_names"]

_RESERVED = "doc_count"


def check_names(top: Sequence[Aggregation], needed: Sequence[str], given: Sequence[str], path: str) -> None:
    """Refuse aggregations that leave out a field of the job, which Elasticsearch would let through as empty.

    Args:
        top: All aggregations.
        needed: Fields of the job, the time and `doc_count` aside.
        given: Names that the rows will have, level by level.
        path: Where the aggregations stand.

    Raises:
        JobsValueError: A field is missing, or two aggregations have its name.
    """
    every = list(_named(top))
    for name, where, _ in every:
        if name == _RESERVED:
            raise JobsValueError(
                f"[{_RESERVED}] is the number of rows in a bucket; give the aggregation another name.", path=where
            )
    for name in needed:
        if name in given:
            _check_once(name, every)
            continue
        hint = _hint(name, every)
        raise JobsValueError(
            f"the job needs the field {name!r}, and no aggregation has this name: {hint}.", path=path, field=name
        )


def _check_once(name: str, every: Sequence[tuple[str, str, str]]) -> None:
    places = [where for one, where, _ in every if one == name]
    if len(places) > 1:
        raise JobsValueError(
            f"two aggregations are called [{name}], here and at [{places[0]}]; rename one of them.", path=places[1]
        )


def _hint(name: str, every: Sequence[tuple[str, str, str]]) -> str:
    """Return what to do so that the field is there."""
    same = [one for one in every if one[2] == name]
    if same:
        return f"rename [{same[0][0]}] (at {same[0][1]}), which is of this field, to [{name}]"
    near = difflib.get_close_matches(name, [one[0] for one in every], n=1)
    if near:
        return f"did you mean it by [{near[0]}]? Aggregations have to be called as the job calls the field"
    return f"add one called [{name}]: a metric where it is measured, terms where it splits or influences"


def _named(inner: Sequence[Aggregation]) -> Iterator[tuple[str, str, str]]:
    """Yield name, path and field of all that can give a field."""
    for one in inner:
        if isinstance(one, Metric):
            yield one.name, one.path, one.field
            continue
        keys: Sequence[Key] = (one.key,) if isinstance(one, Terms) else ()
        if isinstance(one, Composite):
            keys = one.keys
        yield from ((key.name, key.path, key.field) for key in keys)
        if isinstance(one, Histogram | Composite):
            yield one.name, one.path, ""
        yield from _named(one.inner)
