"""Where a datafeed reads: its containers, their fields, runtime fields included, and the rows that its query wants."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from gridwatch.errors import JobsBodyError, JobsNotFoundError, JobsValueError
from gridwatch.jobs import sql
from gridwatch.jobs.fields import Field, Fields, FieldType
from gridwatch.jobs.query import compile_query
from gridwatch.jobs.sql import Sql

if TYPE_CHECKING:
    from gridwatch.containers import ContainerInfo, Store
    from gridwatch.jobs.config import DatafeedConfig

__all__ = ["FOREVER_MS", "Source", "check_asked", "containers_of", "open_sources"]

FOREVER_MS = 253_402_300_799_999
"""The last millisecond of the year 9999, where GridDB's time ends."""
_EPOCH = datetime.fromtimestamp(0, UTC)

_OWN = (
    *("ml_*", "mlflow_*", "anomaly_*", "score_*"),
    *("validations", "deliveries", "detections", "trainings", "labels", "loads", "leases", "snoozes"),
)
_OPTIONS = ("expand_wildcards", "ignore_unavailable", "allow_no_indices", "ignore_throttled")


@dataclass(frozen=True, slots=True)
class Source:
    """One container of a datafeed.

    Attributes:
        container: Its name.
        fields: Its fields, runtime fields included.
        time: The time field.
        where: Which rows the query wants.
        indexed: Whether the store finds rows by their time without reading all of them.
    """

    container: str
    fields: Fields
    time: Field
    where: Sql
    indexed: bool = True

    @property
    def groups_time(self) -> bool:
        """Whether the store can group by parts of the time, which it does of milliseconds only."""
        return self.time.type is FieldType.DATE

    def between(self, start_ms: int, end_ms: int) -> Sql:
        """Return the condition for the rows wanted from `start_ms`, inclusive, to `end_ms`, exclusive."""
        from_start = sql.compose("({} >= {})", self.time.sql, _instant(start_ms))
        return sql.all_of([from_start, sql.compose("({} < {})", self.time.sql, _instant(end_ms)), self.where])


def _instant(ms: int) -> Sql:
    return sql.value(_EPOCH + timedelta(milliseconds=min(max(ms, 0), FOREVER_MS)))


def containers_of(store: Store, patterns: Sequence[str], *, ignore_missing: bool = False) -> list[str]:
    """Return the containers that a datafeed's `indices` stand for, sorted; `-` before a pattern leaves out.

    Wildcards pass over gridwatch's own tables, what it finds included; a name finds them, and so does a wildcard that
    begins as they do, such as `ANOMALY_*`.

    Args:
        store: Any backend.
        patterns: Names and wildcards.
        ignore_missing: Whether a name that is not there is passed over: `ignore_unavailable`.

    Raises:
        JobsNotFoundError: A name, or all patterns together, find nothing.
    """
    every = store.containers()
    chosen: set[str] = set()
    for pattern in patterns:
        out = pattern.startswith("-") and bool(chosen)
        mask = pattern[1:] if out else "*" if pattern == "_all" else pattern
        found = _named(every, mask)
        if not found and not out and not ignore_missing and "*" not in mask and "?" not in mask:
            raise JobsNotFoundError(f"no such index [{mask}]: the store has no container of this name.", index=mask)
        chosen = chosen - found if out else chosen | found
    if not chosen:
        raise JobsNotFoundError(f"no such index {list(patterns)}: no container matches.", indices=list(patterns))
    return sorted(chosen)


def open_sources(
    store: Store, feed: DatafeedConfig, time_field: str, needed: Iterable[str], *, now_ms: int
) -> list[Source]:
    """Return the containers of a datafeed, its query and scripts compiled for each.

    Containers without the time field are passed over where a wildcard found them and another one has it.

    Args:
        store: Any backend.
        feed: The datafeed.
        time_field: Of its job.
        needed: Fields that have to be in at least one of the containers.
        now_ms: What `now` in date maths means, UTC epoch ms.

    Raises:
        JobsNotFoundError: A container does not exist.
        JobsError: The query or a script is wrong, or a field is missing or has no fit type.
    """
    names = containers_of(store, feed.index_names, ignore_missing=_ignores_missing(feed))
    exact = {name.lower() for name in feed.index_names}
    found = [(info, _fields_of(info, feed)) for info in (_info(store, name) for name in names)]
    timed = [(info, fields) for info, fields in found if time_field in fields or info.name.lower() in exact]
    sources = [_open(info, fields, feed, time_field, now_ms) for info, fields in timed or found]
    for name in needed:
        if not any(name in source.fields for source in sources):
            near = sorted({near for source in sources for near in source.fields.near(name)})
            hint = f", did you mean {near[0]!r}?" if near else "."
            raise JobsValueError(
                f"no container of {feed.index_names} has the field {name!r}{hint}", path="indices", field=name
            )
    return sources


def _named(every: Sequence[str], mask: str) -> set[str]:
    if "*" not in mask and "?" not in mask:
        return {name for name in every if name.lower() == mask.lower()}
    wanted = {name for name in every if fnmatch.fnmatchcase(name.lower(), mask.lower())}
    passed = [own for own in _OWN if not mask.lower().startswith(own.rstrip("*"))]
    return {name for name in wanted if not any(fnmatch.fnmatchcase(name.lower(), own) for own in passed)}


def check_asked(store: Store, feed: DatafeedConfig, *, now_ms: int) -> None:
    """Refuse a query or script that can never be right; fields and containers may still come.

    Args:
        store: Any backend.
        feed: The datafeed.
        now_ms: What `now` in date maths means, UTC epoch ms.

    Raises:
        JobsError: The query is wrong or not supported, a script is wrong over a container that is there, or an index
            option is unknown.
    """
    for option in feed.indices_options or {}:
        if option not in _OPTIONS:
            raise JobsBodyError(f"unknown key [{option}]", path=f"indices_options.{option}", allowed=_OPTIONS)
    try:
        names = containers_of(store, feed.index_names, ignore_missing=_ignores_missing(feed))
    except JobsNotFoundError:
        names = []
    found = [info for info in map(store.container, names) if info is not None]
    for info in found:
        compile_query(feed.query, _fields_of(info, feed), now_ms=now_ms)
    if not found:
        # Without columns a script cannot be compiled, but a query can be read.
        compile_query(feed.query, Fields({}), now_ms=now_ms)


def _ignores_missing(feed: DatafeedConfig) -> bool:
    return (feed.indices_options or {}).get("ignore_unavailable") in (True, "true")


def _fields_of(info: ContainerInfo, feed: DatafeedConfig) -> Fields:
    fields = Fields.of(info)
    if not feed.runtime_mappings:
        return fields
    # The grammar of scripts takes a while to load.
    from gridwatch.jobs.runtime import with_runtime_fields

    return with_runtime_fields(feed.runtime_mappings, fields)


def _info(store: Store, name: str) -> ContainerInfo:
    info = store.container(name)
    if info is None:
        raise JobsNotFoundError(f"no such index [{name}]: the container is gone.", index=name)
    return info


def _open(info: ContainerInfo, fields: Fields, feed: DatafeedConfig, time_field: str, now_ms: int) -> Source:
    name, time = info.name, fields.get(time_field)
    if time is None:
        near = fields.near(time_field)
        hint = f", did you mean {near[0]!r}?" if near else f"; it has {', '.join(sorted(fields))}."
        raise JobsValueError(
            f"container {name!r} has no time field {time_field!r}{hint}", path="data_description.time_field"
        )
    if not time.type.time:
        raise JobsValueError(
            f"the time field {time_field!r} of container {name!r} is {time.type}, not a TIMESTAMP.",
            path="data_description.time_field",
        )
    where = compile_query(feed.query, fields, now_ms=now_ms).where
    return Source(name, fields, time, where, time.column is not None and _is_indexed(info, time.column.name))


def _is_indexed(info: ContainerInfo, column: str) -> bool:
    several = (one.columns[0] for one in info.named_indexes)
    return column in {*info.row_key[:1], *info.indexes, *several}
