"""Rows that were posted and are in no stored state yet: kept before a post is acknowledged, so that states need not be.

An entry belongs to the state that it follows. Once the next state is stored, which has its rows, it is of no use any
more; whoever goes on from a state posts its entries again first, in their order, and comes to where the poster was.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from gridwatch.errors import ContainerNotFoundError, JobsRequestError
from gridwatch.jobs import sql
from gridwatch.jobs.analysis.rows import Rows
from gridwatch.jobs.tables import POSTED

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.jobs.analysis.rows import Columns
    from gridwatch.jobs.sql import Sql

__all__ = ["Entry", "Journal"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One post.

    Attributes:
        number: Counts the posts since the state that they follow, from 1.
        key: What the poster called it, None for nothing.
        rows: The rows.
        invalid: Rows beside them whose time could not be read.
        input_bytes: What the rows took as they were posted.
    """

    number: int
    key: str | None
    rows: Rows
    invalid: int
    input_bytes: int


class Journal:
    """The posts of all jobs.

    Args:
        store: Any backend.
        make: Whether the container is made when missing.
    """

    def __init__(self, store: Store, *, make: bool = True) -> None:
        self._store = store
        if make:
            store.put_container(POSTED)

    def head(self, job_id: str, base: str) -> tuple[int, int]:
        """Return how many entries follow a state, and the number of the newest, 0 where there is none.

        Args:
            job_id: Whose.
            base: The state, "" for none.
        """
        try:
            row = self._ask(sql.compose("COUNT(*), MAX({})", sql.name("number")), _follows(job_id, base))
        except ContainerNotFoundError:
            return 0, 0
        return int(row.column(0)[0].as_py()), int(row.column(1)[0].as_py() or 0)

    def after(self, job_id: str, base: str, number: int, columns: Columns) -> list[Entry]:
        """Return the entries that follow a state and have a greater number, in their order.

        Args:
            job_id: Whose.
            base: The state, "" for none.
            number: From which on.
            columns: What the job's rows have.

        Raises:
            JobsRequestError: One is damaged.
        """
        later = sql.compose("({} > {})", sql.name("number"), sql.value(number))
        try:
            listed = sql.joined(", ", [sql.name("id"), sql.name("number")])
            found = self._ask(listed, sql.all_of([_follows(job_id, base), later]))
        except ContainerNotFoundError:
            return []
        order = sorted(zip(found.column(1).to_pylist(), found.column(0).to_pylist(), strict=True))
        rows = [row for one in order for row in self._store.get(POSTED.name, [one[1]]).to_pylist()]
        return [
            Entry(row["number"], row["key"], _rows(row["rows"], columns, job_id), row["invalid"], row["input_bytes"])
            for row in rows
        ]

    def add(self, job_id: str, base: str, entry: Entry, content: bytes) -> None:
        """Keep a post.

        Args:
            job_id: Whose.
            base: The state that it follows, "" for none.
            entry: The post.
            content: Its rows, as `Rows.to_bytes` gives them.
        """
        row = {
            # Never an entry of another process in its place.
            "id": uuid.uuid4().hex,
            "job_id": job_id, "base": base, "number": entry.number, "key": entry.key, "rows": content,
            "invalid": entry.invalid, "input_bytes": entry.input_bytes,
        }  # fmt: skip
        self._store.put(POSTED.name, pa.Table.from_pylist([row], schema=POSTED.arrow))

    def drop(self, job_id: str, *, but: str | None = None) -> None:
        """Delete the entries of a job; with `but` those that do not follow this state."""
        where = sql.compose("({} = {})", sql.name("job_id"), sql.value(job_id))
        if but is not None:
            where = sql.all_of([where, sql.compose("({} <> {})", sql.name("base"), sql.value(but))])
        try:
            keys = self._ask(sql.name("id"), where).column(0).to_pylist()
        except ContainerNotFoundError:
            return
        if keys:
            self._store.delete(POSTED.name, keys)

    def _ask(self, listed: Sql, where: Sql) -> pa.Table:
        found = sql.compose("SELECT {} FROM {} WHERE {}", listed, sql.name(POSTED.name), where)
        return self._store.sql(found.text, found.parameters)


def _follows(job_id: str, base: str) -> Sql:
    return sql.compose(
        "(({} = {}) AND ({} = {}))", sql.name("job_id"), sql.value(job_id), sql.name("base"), sql.value(base)
    )


def _rows(content: bytes, columns: Columns, job_id: str) -> Rows:
    try:
        return Rows.from_bytes(content, columns)
    except (KeyError, ValueError, TypeError, OSError) as error:
        raise JobsRequestError(
            f"rows posted to job [{job_id}] are damaged in the store ({error!r}); reset the job."
        ) from error
