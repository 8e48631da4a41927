"""The store protocol that every backend keeps, and `open_store`, which picks the backend by URL scheme."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable
from urllib.parse import urlsplit

from gridwatch.errors import ConfigError

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd
    import pyarrow as pa

    from gridwatch.containers.schema import ContainerInfo
    from gridwatch.settings import Settings

__all__ = ["ROWS_MAX", "Store", "open_store"]

ROWS_MAX = 10_000_000
"""Most rows that one read returns unless the caller says otherwise."""


@runtime_checkable
class Store(Protocol):
    """GridDB's container model over one backend. Safe to use from many threads; not across a fork."""

    url: str
    atomic_updates: bool
    """Whether the WHERE of an UPDATE still holds when its row is changed. GridDB looks for rows first and changes them
    later, so that of many at once several may count the same row; only INSERT of a new key is first come, first served
    on every backend."""
    groups_by_sorting: bool
    """Whether a GROUP BY costs more than reading its rows and grouping them here: SQLite sorts them, and there is no
    network between."""

    def put_container(self, info: ContainerInfo, *, modifiable: bool = False) -> ContainerInfo:
        """Make the container, or check that the one there has the same schema; return it as stored.

        Args:
            info: Name, type, columns, row key and indexes.
            modifiable: Allow columns to be added at the end of one that exists.

        Raises:
            SchemaError: A name, type or key that GridDB refuses.
            ContainerExistsError: It exists with another schema or type.
        """

    def container(self, name: str) -> ContainerInfo | None:
        """Return the container of this name (compared without case), or None."""

    def containers(self) -> list[str]:
        """Return all container names, sorted."""

    def drop_container(self, name: str) -> None:
        """Drop the container; nothing happens when there is none."""

    def put(self, name: str, rows: pa.Table | pd.DataFrame) -> int:
        """Upsert rows by row key, all or none; return how many were given.

        Columns match by name (without case). A missing nullable column is null; among rows with equal keys the last
        wins. A DataFrame's TIMESTAMP columns are datetime64 (naive means UTC) or int64 epoch ms.

        Raises:
            ContainerNotFoundError: No container has this name.
            ValueRefusedError: NaN, infinity, a null key, a value out of range or of another type; names the column,
                the value and the first row.
            StoreBusyError: Another writer held the lock too long.
        """

    def put_many(self, rows: Mapping[str, pa.Table | pd.DataFrame]) -> int:
        """Upsert rows into several containers as `put` does; all or none on backends with transactions."""

    def get(self, name: str, keys: Sequence[Any]) -> pa.Table:
        """Return the rows with these row keys, in the order of the keys; unknown keys are left out.

        A key is a value (TIMESTAMP keys int ms or datetime), or a tuple of values for a composite key.
        """

    def delete(self, name: str, keys: Sequence[Any]) -> int:
        """Delete the rows with these row keys; return how many there were."""

    def read(
        self,
        name: str,
        start_ms: int | None = None,
        end_ms: int | None = None,
        *,
        columns: Sequence[str] | None = None,
        rows_max: int = ROWS_MAX,
    ) -> pa.Table:
        """Return a time series' rows from `start_ms` to `end_ms`, both included, oldest first.

        A collection is read whole, in the order of its keys; a range on it is refused.

        Raises:
            ContainerNotFoundError: No container has this name.
            RangeTooLargeError: More than `rows_max` rows match.
            ValueError: The range is reversed.
        """

    def sql(self, statement: str, parameters: Sequence[Any] = (), *, rows_max: int = ROWS_MAX) -> pa.Table:
        """Run one SELECT in GridDB's SQL; `?` stands for a parameter. TIMESTAMP parameters are datetimes.

        Raises:
            SqlRefusedError: GridDB would refuse it, or this backend cannot answer as GridDB would.
            SqlFailedError: It failed while it ran.
            RangeTooLargeError: More than `rows_max` rows.
        """

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        """Run one INSERT, UPDATE, DELETE, REPLACE, CREATE, ALTER or DROP in GridDB's SQL; return rows changed."""

    def tql(self, name: str, statement: str, *, rows_max: int = ROWS_MAX) -> pa.Table:
        """Run one TQL SELECT against one container; docs/tql.md tells what TQL can do.

        Args:
            name: The container. A FROM in the statement has to name it too.
            statement: `select * where ...`, an aggregation or a selection function.
            rows_max: Most rows to return; more is an error, never a silent cut.

        Returns:
            Rows: the container's columns and types, `(n, columns)`, a time series in the order of time, a collection
            in the order of insertion unless ORDER BY is given. An aggregation: one column `aggregationResult` of
            int64, float64 or `timestamp[ms, UTC]`, one row, or none where GridDB has no result (nothing but nulls).

        Raises:
            ContainerNotFoundError: No container has this name.
            SqlRefusedError: GridDB would refuse it (`code` is GridDB's), or this backend cannot answer alike.
            SqlFailedError: It failed while it ran.
            RangeTooLargeError: More than `rows_max` rows.
        """

    def aggregate(
        self,
        name: str,
        aggregation: str,
        column: str | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
    ) -> int | float | datetime | None:
        """Return one aggregate of a time series from `start_ms` to `end_ms`, both included, None meaning open.

        This is what the Java client's `TimeSeries.aggregate` answers, which differs from TQL's in places: COUNT counts
        nulls, VARIANCE and STANDARD_DEVIATION are those of a population.

        Args:
            name: A time series.
            aggregation: One of `operations.Aggregation`, read without case.
            column: A numeric column (any for COUNT, which may leave it out; the minimum and maximum of a TIMESTAMP
                column are datetimes).
            start_ms: First instant, UTC epoch milliseconds.
            end_ms: Last instant, UTC epoch milliseconds.

        Returns:
            int for COUNT, and for MINIMUM, MAXIMUM and TOTAL of integers; float otherwise; a UTC datetime for times.
            None when there is no row with a value.

        Raises:
            ContainerNotFoundError: No container has this name.
            SchemaError: It is no time series, there is no such column, or its type cannot be aggregated so (60100).
        """

    def nearest(self, name: str, time_ms: int, operator: str) -> pa.Table:
        """Return the row of a time series that is nearest to an instant in one direction, 0 or 1 rows.

        Args:
            name: A time series.
            time_ms: UTC epoch milliseconds.
            operator: One of `operations.TimeOperator`, read without case; `_ONLY` excludes a row at `time_ms` itself.

        Raises:
            ContainerNotFoundError: No container has this name.
            SchemaError: It is no time series, or there is no such operator.
            SqlRefusedError: The instant is outside GridDB's range of time.
        """

    def interpolate(self, name: str, time_ms: int, column: str) -> pa.Table:
        """Return the row of a time series at an instant, `column` interpolated linearly between its neighbours.

        The other columns are those of the row before. A row at the very time is returned as it is; 0 rows come back
        before the first and after the last row. GridDB's weights are float32, hence about seven digits.

        Raises:
            ContainerNotFoundError: No container has this name.
            SchemaError: It is no time series, there is no such column, or the column is not numeric (60075).
            SqlRefusedError: The instant is outside GridDB's range of time.
        """

    def sample(
        self,
        name: str,
        start_ms: int,
        end_ms: int,
        interval: int,
        unit: str,
        columns: Sequence[str] = (),
        mode: str = "LINEAR_OR_PREVIOUS",
    ) -> pa.Table:
        """Return one row for each `interval` of `unit` from `start_ms` to `end_ms`, both included.

        Args:
            name: A time series.
            start_ms: First instant, UTC epoch milliseconds.
            end_ms: Last instant, UTC epoch milliseconds.
            interval: Positive, in `unit`.
            unit: DAY, HOUR, MINUTE, SECOND or MILLISECOND, read without case.
            columns: Numeric columns to interpolate; the others are those of the row before.
            mode: LINEAR_OR_PREVIOUS, or EMPTY: instants without a row get zeros, empty text and false; EMPTY takes no
                columns.

        Returns:
            The container's columns; no rows before the first and after the last row of the series when interpolating.

        Raises:
            ContainerNotFoundError: No container has this name.
            SchemaError: It is no time series, or a column, unit or mode is not one GridDB samples by (60075, 60076).
            RangeTooLargeError: More than `ROWS_MAX` instants.
            SqlRefusedError: An interval that is not positive, or an instant outside GridDB's range of time.
        """

    def close(self) -> None:
        """Close what is open; the store cannot be used afterwards."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_store(url: str, *, settings: Settings | None = None) -> Store:
    """Open the store at `url`; the scheme picks the backend.

    Args:
        url: `sqlite:///path`, the embedded store; `griddb://host:port/cluster/database`, a GridDB cluster;
            `griddb+https://host/cluster/database` (or `griddb+http://`), GridDB's Web API, as of GridDB Cloud.
        settings: Where credentials come from; never from the URL. None reads the environment.

    Raises:
        ConfigError: The scheme is unknown, or the URL carries a password.
        StoreError: The store cannot be opened.
    """
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ConfigError(
            f"The store URL {parts.scheme}://***@{parts.hostname}{parts.path} carries a user or password; "
            "set GRIDWATCH_GRIDDB__USER and GRIDWATCH_GRIDDB__PASSWORD instead."
        )
    if parts.scheme == "sqlite":
        from gridwatch.containers.sqlite import SqliteStore

        return SqliteStore.from_url(url)
    if parts.scheme == "griddb":
        from gridwatch.containers.griddb import GridDBStore
        from gridwatch.settings import load_settings

        return GridDBStore.from_url(url, (settings or load_settings()).griddb)
    if parts.scheme in {"griddb+http", "griddb+https"}:
        from gridwatch.containers.webapi import WebApiStore
        from gridwatch.settings import load_settings

        return WebApiStore.from_settings(url, (settings or load_settings()).griddb)
    raise ConfigError(
        f"No store backend for {parts.scheme!r} in {url!r}; use sqlite:///path, griddb://host:port/cluster/database or "
        "griddb+https://host/cluster/database.",
        scheme=parts.scheme,
    )
