"""Rows of a container that are found by their `id`: read, changed column by column, and matched by patterns."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from gridwatch.jobs import sql

if TYPE_CHECKING:
    from gridwatch.containers import ContainerInfo, Store

__all__ = ["KeyedRows", "matching"]


class KeyedRows:
    """The rows of a container, which is made when missing.

    Args:
        store: Any backend.
        info: The container; its key is `id`.
        make: Whether it is made; without it, a store that lacks it has no rows.
    """

    def __init__(self, store: Store, info: ContainerInfo, *, make: bool = True) -> None:
        self._store, self._info = store, info
        self._empty = not make and store.container(info.name) is None
        if make:
            store.put_container(info, modifiable=True)

    def get(self, key: str) -> dict[str, Any] | None:
        """Return a row, None where there is none."""
        rows = [] if self._empty else self._store.get(self._info.name, [key]).to_pylist()
        return rows[0] if rows else None

    def all(self) -> list[dict[str, Any]]:
        """Return all rows, sorted by their keys."""
        rows = [] if self._empty else self._store.read(self._info.name).to_pylist()
        return sorted(rows, key=lambda row: str(row["id"]))

    def put(self, key: str, columns: Mapping[str, Any]) -> None:
        """Store a row over the one that is there."""
        table = pa.Table.from_pylist([{**columns, "id": key}], schema=self._info.arrow)
        self._store.put(self._info.name, table)

    def change(self, key: str, columns: Mapping[str, Any], *, states: Sequence[str] = ()) -> bool:
        """Change some columns of a row, and leave alone what others change at the same time.

        Args:
            key: Which row.
            columns: Names and their new values.
            states: Only where the column `state` is one of these; empty for any.

        Returns:
            Whether it is there, in such a state, and changed.
        """
        set_to = [
            sql.compose("{} = {}", sql.name(name), sql.Sql("NULL") if value is None else sql.value(value))
            for name, value in columns.items()
        ]
        where = [sql.compose("({} = {})", sql.name("id"), sql.value(key))]
        if states:
            where.append(sql.any_of(sql.compose("({} = {})", sql.name("state"), sql.value(one)) for one in states))
        done = sql.compose(
            "UPDATE {} SET {} WHERE {}", sql.name(self._info.name), sql.joined(", ", set_to), sql.all_of(where)
        )
        return self._store.execute(done.text, done.parameters) > 0

    def drop(self, key: str) -> None:
        """Delete a row."""
        self._store.delete(self._info.name, [key])


def matching(
    pattern: str,
    names: Mapping[str, Iterable[str]],
    *,
    allow_no_match: bool,
    unknown: Callable[[str], Exception],
) -> set[str]:
    """Return the ids that a pattern stands for: several by comma, `*` allowed, `_all` for all.

    Args:
        pattern: What is asked for.
        names: By id, what a part of the pattern may name it by.
        allow_no_match: Whether a part with `*` may match nothing.
        unknown: Makes the error that is raised for a part that matches nothing and may not.

    >>> matching("a*,c", {"ab": ["ab"], "b": ["b", "c"]}, allow_no_match=True, unknown=KeyError) == {"ab", "b"}
    True
    """
    chosen: set[str] = set()
    for part in filter(None, (part.strip() for part in pattern.split(","))):
        wild = part == "_all" or "*" in part
        mask = "*" if part == "_all" else part
        found = {name for name, also in names.items() if any(fnmatch.fnmatchcase(one, mask) for one in also)}
        if not found and not (wild and allow_no_match):
            raise unknown(part)
        chosen |= found
    return chosen
