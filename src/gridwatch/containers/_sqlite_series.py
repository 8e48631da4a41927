"""TQL and time-series operations of the embedded store; `SqliteStore` takes them from here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa

from gridwatch.containers._sqlite_session import Pool
from gridwatch.containers.store import ROWS_MAX
from gridwatch.errors import SqlRefusedError

__all__ = ["SeriesOperations"]


class SeriesOperations:
    """The methods of `Store` that read time series and run TQL; see there for what each promises."""

    _pool: Pool

    def tql(self, name: str, statement: str, *, rows_max: int = ROWS_MAX) -> pa.Table:
        """Run one TQL SELECT against one container; see `Store.tql`."""
        raise SqlRefusedError("TQL on the embedded store is being built.")

    def aggregate(
        self,
        name: str,
        aggregation: str,
        column: str | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
    ) -> int | float | datetime | None:
        """Return one aggregate of a time series; see `Store.aggregate`."""
        raise SqlRefusedError("Aggregates on the embedded store are being built.")

    def nearest(self, name: str, time_ms: int, operator: str) -> pa.Table:
        """Return the row nearest to an instant; see `Store.nearest`."""
        raise SqlRefusedError("nearest on the embedded store is being built.")

    def interpolate(self, name: str, time_ms: int, column: str) -> pa.Table:
        """Return the interpolated row at an instant; see `Store.interpolate`."""
        raise SqlRefusedError("interpolate on the embedded store is being built.")

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
        """Return rows at even steps of time; see `Store.sample`."""
        raise SqlRefusedError("sample on the embedded store is being built.")
