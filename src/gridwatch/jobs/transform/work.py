"""What one transform has to do at one instant: which rows are new, which groups they change, and their new numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from gridwatch.containers import ColumnType
from gridwatch.errors import JobsNotFoundError, JobsValueError
from gridwatch.jobs import sql
from gridwatch.jobs.date_formats import epoch_ms
from gridwatch.jobs.extraction.sources import containers_of
from gridwatch.jobs.fields import Fields, FieldType
from gridwatch.jobs.query import compile_query
from gridwatch.jobs.runtime import with_runtime_fields
from gridwatch.jobs.sql import Sql
from gridwatch.jobs.transform.changes import between, only, stretches_of
from gridwatch.jobs.transform.destination import Destination, documents
from gridwatch.jobs.transform.pivot import Pivot
from gridwatch.jobs.transform.scans import Kinds, Opened, pivoted

if TYPE_CHECKING:
    from typing import Any

    from gridwatch.containers import ContainerInfo, Store
    from gridwatch.jobs.transform.config import TransformConfig

__all__ = ["CutShortError", "Piece", "Work"]

_ROWS = 500_000
"""Rows of the sources that a piece is cut for."""
_PREVIEW = 100
_PARTS_MAX = 1000
"""Most parts that a container's rows are read in."""
_TERMS_MAX = 1000
"""Most values of terms that are asked for by name; above, all are worked out and the others left out here."""


class CutShortError(Exception):
    """The work was told to end before it was done."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some groups that were worked out.

    Attributes:
        rows: Of the destination.
        read: Rows of the sources that they are of.
    """

    rows: pa.Table
    read: int


class Work:
    """A transform at work over its containers.

    Args:
        store: Any backend.
        config: The transform.
        now_ms: The present, UTC epoch ms.
        from_ms: First instant of the sync field that counts, UTC epoch ms; None for all.
        stopped: Whether to end, asked before each question to the store; it ends with `CutShortError`.

    Raises:
        JobsError: A container or field is missing, or the query or a script is wrong.
    """

    def __init__(
        self,
        store: Store,
        config: TransformConfig,
        *,
        now_ms: int,
        from_ms: int | None = None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store, self._config, self._now_ms, self._from_ms = store, config, now_ms, from_ms
        self._stopped = stopped
        self.pivot = config.read_pivot()
        names = containers_of(store, config.source.index_names)
        if any(name.lower() == config.dest.index.lower() for name in names):
            raise JobsValueError(
                f"Destination index [{config.dest.index}] is included in source expression "
                f"[{','.join(config.source.index_names)}].",
                path="dest.index",
            )
        every = [self._open(name) for name in names]
        self._kinds = Kinds(every)
        self.destination = Destination.of(config.dest.index, self.pivot, self._kinds)
        # A container without a field that is grouped by has no groups.
        needed = [group.field for group in self.pivot.groups if not group.missing_bucket]
        self._sources = [one for one in every if all(field in one.fields for field in needed)]
        if config.sync is not None:
            self._check_sync(config.sync.time.field)

    def upper_ms(self) -> int:
        """Return up to where a continuous transform reads now, UTC epoch ms, exclusive.

        That is as late as rows may come before the present. Where the same field is cut by a date_histogram, it is the
        end of its last whole bucket, unless `settings.align_checkpoints` is false.
        """
        upper = max(self._now_ms - self._config.delay_ms, 0)
        group = self.pivot.time
        aligned = self._config.settings.align_checkpoints is not False
        if not aligned or group is None or group.buckets is None or not self._same_time:
            return upper
        return group.buckets.floor(upper)

    def preview(self) -> list[dict[str, Any]]:
        """Return the first documents as a run would write them, in the order of their keys."""
        for piece in self.whole(None):
            rows = piece.rows
            epoch = self._config.settings.dates_as_epoch_millis is True
            keys = [
                (column.name, "ascending")
                for column in list(self.destination.columns.values())[: len(self.pivot.groups)]
            ]
            return documents(self.destination, rows.sort_by(keys).slice(0, _PREVIEW), epoch=epoch)
        return []

    def whole(self, upper_ms: int | None) -> Iterator[Piece]:
        """Yield all groups of the rows whose sync field is before `upper_ms`, None for all rows."""
        condition = [self._synced(source, self._from_ms, upper_ms) for source in self._sources]
        yield from self._pieces(condition, None)

    def changed(self, lower_ms: int, upper_ms: int) -> Iterator[Piece]:
        """Yield the groups that rows from `lower_ms` to `upper_ms`, exclusive, of the sync field belong to.

        They are worked out of all rows before `upper_ms`, so that they replace what was there.
        """
        conditions = [self._synced(source, self._from_ms, upper_ms) for source in self._sources]
        group = self.pivot.time
        if self._same_time and group is not None and group.buckets is not None:
            start = group.buckets.floor(lower_ms)
            yield from self._pieces(conditions, [(start, None)])
            return
        if not self._sources:
            return
        fresh = [self._synced(source, lower_ms, upper_ms) for source in self._sources]
        keys = self._keys(fresh)
        if not keys.num_rows:
            return
        stretches = (
            None
            if group is None or group.missing_bucket
            else stretches_of(group, keys[self.destination.columns[group.name].name])
        )
        for piece in self._pieces(self._among(conditions, keys), stretches):
            yield Piece(only(piece.rows, keys, self._key_columns), piece.read)

    @property
    def _key_columns(self) -> list[str]:
        return [column.name for column in list(self.destination.columns.values())[: len(self.pivot.groups)]]

    @property
    def _same_time(self) -> bool:
        """Whether what tells that rows are new is also what the date_histogram cuts."""
        sync, group = self._config.sync, self.pivot.time
        return sync is not None and group is not None and sync.time.field == group.field and not group.missing_bucket

    def _open(self, name: str) -> Opened:
        info = self._store.container(name)
        if info is None:
            raise JobsNotFoundError(f"no such index [{name}]: the container is gone.", index=name)
        fields = Fields.of(info)
        if self._config.source.runtime_mappings:
            fields = with_runtime_fields(self._config.source.runtime_mappings, fields, path="source.runtime_mappings")
        where = compile_query(self._config.source.query, fields, now_ms=self._now_ms, path="source.query").where
        return Opened(name, fields, where, _clock(info))

    def _check_sync(self, field: str) -> None:
        for source in self._sources:
            found = source.fields.get(field)
            if found is None or not found.type.time:
                near = source.fields.near(field)
                hint = f", did you mean {near[0]!r}?" if near else "."
                raise JobsValueError(
                    f"container {source.container!r} has no TIMESTAMP {field!r}{hint}",
                    path="sync.time.field",
                    field=field,
                )

    def _synced(self, source: Opened, lower_ms: int | None, upper_ms: int | None) -> Sql:
        sync = self._config.sync
        return sql.TRUE if sync is None else between(source.fields[sync.time.field].sql, lower_ms, upper_ms)

    def _keys(self, conditions: Sequence[Sql]) -> pa.Table:
        """Return the keys of the groups that some rows belong to, named as in the destination."""
        sources = list(zip(self._sources, conditions, strict=True))
        found = pivoted(self._ask, sources, Pivot(self.pivot.groups, ()), self._kinds, now_ms=self._now_ms)
        return found.select(range(len(self.pivot.groups))).rename_columns(self._key_columns)

    def _among(self, conditions: Sequence[Sql], keys: pa.Table) -> list[Sql]:
        """Return conditions that let through little more than the rows of some groups: by values of their terms."""
        found = list(conditions)
        for group in self.pivot.groups:
            if group.buckets is not None or group.missing_bucket:
                continue
            values = keys[self.destination.columns[group.name].name].unique().to_pylist()
            if len(values) > _TERMS_MAX:
                continue
            for place, source in enumerate(self._sources):
                field = source.fields.get(group.field)
                if field is not None and (field.type.whole or field.type is FieldType.KEYWORD):
                    among = sql.joined(", ", [sql.value(value) for value in values])
                    found[place] = sql.all_of([found[place], sql.compose("({} IN ({}))", field.sql, among)])
        return found

    def _pieces(
        self, conditions: Sequence[Sql], stretches: Sequence[tuple[int | None, int | None]] | None
    ) -> Iterator[Piece]:
        """Yield the groups of some rows, those of `stretches` of the date_histogram's field only, bounds of buckets."""
        group = self.pivot.time
        if not self._sources:
            return
        if group is None or group.buckets is None or group.missing_bucket:
            yield self._piece(
                [part for one in zip(self._sources, conditions, strict=True) for part in self._parts(*one)]
            )
            return
        within = self._within(conditions, stretches or [(None, None)])
        bounds = self._bounds(within)
        if bounds is None:
            return
        at, last, count = bounds
        step = max((last - at + 1) * _ROWS // max(count, 1), 1)
        at = group.buckets.floor(at)
        while at <= last:
            until = group.buckets.after(min(at + step, last))
            yield self._piece(list(zip(self._sources, self._within(within, [(at, until)]), strict=True)))
            at = until

    def _ask(self, statement: Sql) -> pa.Table:
        if self._stopped():
            raise CutShortError
        return sql.ask(self._store, statement)

    def _parts(self, source: Opened, condition: Sql) -> list[tuple[Opened, Sql]]:
        """Return a container's rows in parts, so that the work can end between two, where groups cut no time."""
        bounds = None if source.clock is None else self._bounds_of(source, condition, source.clock)
        if source.clock is None or bounds is None or bounds[2] <= _ROWS:
            return [(source, condition)]
        first, last, count = bounds
        step = max((last - first + 1) * _ROWS // count, -(-(last - first + 1) // _PARTS_MAX))
        edges: list[int | None] = [None, *range(first + step, last + 1, step), None]
        parts = [sql.all_of([condition, between(source.clock, *span)]) for span in pairwise(edges)]
        # Rows without that time are in none of them.
        parts.append(sql.all_of([condition, sql.compose("({} IS NULL)", source.clock)]))
        return [(source, part) for part in parts]

    def _piece(self, sources: Sequence[tuple[Opened, Sql]]) -> Piece:
        found = pivoted(self._ask, sources, self.pivot, self._kinds, now_ms=self._now_ms)
        return Piece(self.destination.rows(self.pivot, found), pc.sum(found["n"]).as_py() or 0)

    def _within(self, conditions: Sequence[Sql], stretches: Sequence[tuple[int | None, int | None]]) -> list[Sql]:
        """Return conditions that let through the rows of some stretches of the date_histogram's field too."""
        group = self.pivot.time
        found = []
        for source, condition in zip(self._sources, conditions, strict=True):
            field = None if group is None else source.fields.get(group.field)
            time = sql.FALSE if field is None else sql.any_of(between(field.sql, *one) for one in stretches)
            found.append(sql.all_of([condition, time]))
        return found

    def _bounds(self, conditions: Sequence[Sql]) -> tuple[int, int, int] | None:
        """Return first and last time of the date_histogram's field, and how many rows there are."""
        group = self.pivot.time
        found: list[tuple[int, int, int]] = []
        for source, condition in zip(self._sources, conditions, strict=True):
            field = None if group is None else source.fields.get(group.field)
            if field is None:
                continue
            bounds = self._bounds_of(source, condition, field.sql)
            if bounds is not None:
                found.append(bounds)
        if not found:
            return None
        return min(one[0] for one in found), max(one[1] for one in found), sum(one[2] for one in found)

    def _bounds_of(self, source: Opened, condition: Sql, time: Sql) -> tuple[int, int, int] | None:
        """Return first and last time of some rows of a container, and how many have one."""
        asked = sql.compose(
            'SELECT MIN({}) AS "first", MAX({}) AS "last", COUNT({}) AS "rows" FROM {} WHERE {}',
            time,
            time,
            time,
            sql.name(source.container),
            sql.all_of([source.where, condition]),
        )
        row = self._ask(asked).to_pylist()
        if not row or row[0]["first"] is None:
            return None
        return epoch_ms(row[0]["first"]), epoch_ms(row[0]["last"]), int(row[0]["rows"])


def _clock(info: ContainerInfo) -> Sql | None:
    """Return an instant of a container by which rows are found without reading all of them."""
    first = [index.columns[0] for index in info.named_indexes]
    indexed = {name.lower() for name in (*info.row_key[:1], *info.indexes, *first)}
    found = [one.name for one in info.columns if one.type is ColumnType.TIMESTAMP and one.name.lower() in indexed]
    return sql.name(found[0]) if found else None
