"""Rows of series, kept in memory while somebody looks at them, so that zooming and panning wait for nothing."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gridwatch.containers import TIMESTAMP_MS_MAX
from gridwatch.server.pages.thinning import picked

if TYPE_CHECKING:
    from gridwatch.containers import Store

__all__ = ["COLUMNS", "ROWS_KEPT_MAX", "Rows", "RowsKept", "Source"]

COLUMNS = ("actual", "expected", "lower", "upper")
"""What is drawn of a row."""

ROWS_KEPT_MAX = 5_000_000
"""Most rows in memory, of all series together: 40 bytes each. A longer series is read anew for each picture."""

_PIECE = 250_000
"""Rows of one read: as much as is in memory twice at a time."""

_TAIL_MS = 1_000
"""How long rows count as fresh before the store is asked for newer ones."""

_CHECK_MS = 30_000
"""How long they count as unchanged before their sums are compared with the store's."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a series' rows are: a container, its column of time, and for each of `COLUMNS` its column or None."""

    container: str
    time: str
    columns: tuple[str | None, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows of one series, oldest first: int64 (n,) UTC epoch ms, and float64 (n,) for each of `COLUMNS`, NaN: null."""

    times_ms: npt.NDArray[np.int64]
    columns: tuple[npt.NDArray[np.float64], ...]

    def __len__(self) -> int:
        return len(self.times_ms)

    @classmethod
    def none(cls) -> Rows:
        """Return no rows."""
        return cls(np.empty(0, np.int64), tuple(np.empty(0) for _ in COLUMNS))

    def joined(self, later: Rows) -> Rows:
        """Return these rows with later ones after them."""
        if not len(later):
            return self
        columns = tuple(np.concatenate(pair) for pair in zip(self.columns, later.columns, strict=True))
        return Rows(np.concatenate([self.times_ms, later.times_ms]), columns)

    def between(self, from_ms: int, to_ms: int) -> Rows:
        """Return the rows of a range, both ends included, without a copy."""
        first, last = np.searchsorted(self.times_ms, [from_ms, to_ms + 1])
        return Rows(self.times_ms[first:last], tuple(column[first:last] for column in self.columns))

    def thinned(self, from_ms: int, to_ms: int, pieces: int) -> Rows:
        """Return the rows that `picked` draws a range with."""
        rows = self.between(from_ms, to_ms)
        places = picked(rows.times_ms, rows.columns[0], from_ms, to_ms, pieces)
        return Rows(rows.times_ms[places], tuple(column[places] for column in rows.columns))


@dataclass(slots=True)
class _Kept:
    rows: Rows = field(default_factory=Rows.none)
    looked_ms: int = -(10**18)
    checked_ms: int = -(10**18)
    whole: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class RowsKept:
    """The rows of the series that were looked at last. Safe to use from many threads.

    Args:
        store: Where they are.
        clock: UTC epoch ms.
        rows_max: Most rows in memory.
    """

    def __init__(self, store: Store, clock: Callable[[], int], *, rows_max: int = ROWS_KEPT_MAX) -> None:
        self._store, self._clock, self._rows_max = store, clock, rows_max
        self._lock = threading.Lock()
        self._kept: OrderedDict[Source, _Kept] = OrderedDict()

    def span(self, source: Source) -> tuple[int, int] | None:
        """Return the times of the first and last row, UTC epoch ms, where they are in memory; None where they are not.

        Raises:
            StoreError: The store refused or failed.
        """
        kept = self._of(source)
        with kept.lock:
            times_ms = (kept.rows if self._fresh(source, kept) else Rows.none()).times_ms
            return (int(times_ms[0]), int(times_ms[-1])) if len(times_ms) else None

    def thinned(self, source: Source, from_ms: int, to_ms: int, pieces: int) -> tuple[Rows, int]:
        """Return rows to draw a range with, and how many there are in it.

        Args:
            source: The series; its container exists.
            from_ms: First instant, UTC epoch ms.
            to_ms: Last instant.
            pieces: See `picked`.

        Raises:
            StoreError: The store refused or failed.
        """
        kept = self._of(source)
        # One reader a series: the others then find what it read.
        with kept.lock:
            if not self._fresh(source, kept):
                return self._read_thinned(source, from_ms, to_ms, pieces)
            rows = kept.rows
        self._forget()
        return rows.thinned(from_ms, to_ms, pieces), len(rows.between(from_ms, to_ms))

    def _of(self, source: Source) -> _Kept:
        with self._lock:
            kept = self._kept.setdefault(source, _Kept())
            self._kept.move_to_end(source)
            return kept

    def _fresh(self, source: Source, kept: _Kept) -> bool:
        """Bring rows up to date; False when they are too many to keep."""
        now_ms = self._clock()
        if now_ms - kept.checked_ms >= _CHECK_MS:
            count, total = self._sums(source)
            kept.whole = count <= self._rows_max
            if not kept.whole:
                kept.rows = Rows.none()
            # What came meanwhile makes a difference too; then all is read once more, and that is no harm.
            elif count != len(kept.rows) or not np.isclose(
                total, np.nansum(kept.rows.columns[0]), rtol=1e-11, atol=1e-9
            ):
                kept.rows = self._read(source, 0)
            kept.checked_ms = kept.looked_ms = now_ms
        elif kept.whole and now_ms - kept.looked_ms >= _TAIL_MS:
            next_ms = int(kept.rows.times_ms[-1]) + 1 if len(kept.rows) else 0
            kept.rows = kept.rows.joined(self._read(source, next_ms))
            kept.looked_ms = now_ms
        return kept.whole

    def _forget(self) -> None:
        with self._lock:
            total = sum(len(kept.rows) for kept in self._kept.values())
            while total > self._rows_max and len(self._kept) > 1:
                total -= len(self._kept.popitem(last=False)[1].rows)

    def _sums(self, source: Source) -> tuple[int, float]:
        actual = source.columns[0]
        [row] = self._store.sql(
            f'SELECT COUNT(*) n, TOTAL("{actual}") t FROM "{source.container}"'  # noqa: S608 - names of a container
        ).to_pylist()
        return int(row["n"]), float(row["t"] or 0.0)

    def _read(self, source: Source, from_ms: int) -> Rows:
        """Read all rows from an instant on."""
        return _joined(list(self._pieces(source, from_ms, TIMESTAMP_MS_MAX)))

    def _read_thinned(self, source: Source, from_ms: int, to_ms: int, pieces: int) -> tuple[Rows, int]:
        """Thin a range read by read: each by the same cuts, and then all together, so that the outcome is the same."""
        count, parts = 0, []
        for part in self._pieces(source, from_ms, to_ms):
            count += len(part)
            parts.append(part.thinned(from_ms, to_ms, pieces))
        return _joined(parts).thinned(from_ms, to_ms, pieces), count

    def _pieces(self, source: Source, from_ms: int, to_ms: int) -> Iterator[Rows]:
        names = ", ".join(f'"{name}"' for name in (source.time, *dict.fromkeys(filter(None, source.columns))))
        statement = (
            f'SELECT {names} FROM "{source.container}" WHERE "{source.time}" >= ? AND "{source.time}" <= ? '  # noqa: S608
            f'ORDER BY "{source.time}" LIMIT {_PIECE}'
        )
        while from_ms <= to_ms:
            rows = _rows(self._store.sql(statement, [_instant(from_ms), _instant(to_ms)]), source)
            yield rows
            if len(rows) < _PIECE:
                return
            from_ms = int(rows.times_ms[-1]) + 1


def _joined(parts: list[Rows]) -> Rows:
    if len(parts) == 1:
        return parts[0]
    columns = tuple(
        np.concatenate([np.empty(0), *(part.columns[place] for part in parts)]) for place in range(len(COLUMNS))
    )
    return Rows(np.concatenate([np.empty(0, np.int64), *(part.times_ms for part in parts)]), columns)


def _rows(table: pa.Table, source: Source) -> Rows:
    times = table[source.time].cast(pa.timestamp("ms", "UTC")).cast(pa.int64()).to_numpy()
    return Rows(times, tuple(_numbers(table, name) for name in source.columns))


def _numbers(table: pa.Table, name: str | None) -> npt.NDArray[np.float64]:
    if name is None:
        return np.full(table.num_rows, np.nan)
    return np.asarray(table[name].cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _instant(time_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=min(max(time_ms, 0), TIMESTAMP_MS_MAX))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
