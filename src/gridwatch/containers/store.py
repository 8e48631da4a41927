"""The store protocol that every backend keeps, and `open_store`, which picks the backend by URL scheme."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable
from urllib.parse import urlsplit

from gridwatch.errors import ConfigError

if TYPE_CHECKING:
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

    def close(self) -> None:
        """Close what is open; the store cannot be used afterwards."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_store(url: str, *, settings: Settings | None = None) -> Store:
    """Open the store at `url`; the scheme picks the backend.

    Args:
        url: `sqlite:///path`, the embedded store. (`griddb://` and `griddb+http(s)://` come with their backends.)
        settings: Where credentials come from; never from the URL.

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
    raise ConfigError(f"No store backend for {parts.scheme!r} in {url!r}; use sqlite:///path.", scheme=parts.scheme)
