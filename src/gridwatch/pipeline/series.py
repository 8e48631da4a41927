"""What training and detection share: a dataset's series, its detector, and the gate of validation."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import structlog

from gridwatch.errors import ContainerNotFoundError, ValidationFailedError

if TYPE_CHECKING:
    from gridwatch.containers.store import Store
    from gridwatch.detectors.base import Floats, Times
    from gridwatch.pipeline.validate import ValidationReport
    from gridwatch.sources.dataset import Dataset

__all__ = ["Series", "gate", "read_rows", "read_series", "rows_before"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """The watched value of a dataset's rows.

    Attributes:
        times_ms: int64 (n,), UTC epoch ms, strictly increasing.
        values: float64 (n,), finite.
        nulls: Rows left out because they have no value.
    """

    times_ms: Times
    values: Floats
    nulls: int = 0

    def __len__(self) -> int:
        return len(self.times_ms)

    @classmethod
    def of(cls, table: pa.Table, column: str) -> Series:
        """Take `ts` and a column of numbers from a table, rows without a value left out."""
        times = table["ts"].cast(pa.int64()).to_numpy().astype(np.int64)
        values = table[column].cast(pa.float64()).to_numpy().astype(np.float64)
        whole = np.isfinite(values)
        return cls(times[whole], values[whole], int(len(values) - whole.sum()))

    @classmethod
    def none(cls) -> Series:
        """Return no rows."""
        return cls(np.empty(0, np.int64), np.empty(0))

    def joined(self, later: Series) -> Series:
        """Return this series with a later one after it."""
        return Series(
            np.concatenate([self.times_ms, later.times_ms]),
            np.concatenate([self.values, later.values]),
            self.nulls + later.nulls,
        )

    def sha256(self) -> str:
        """Return the sha256 (hex) of the rows: of each its time and value, eight bytes each, lowest byte first.

        >>> Series(np.array([1]), np.array([2.0])).sha256()[:16]
        '7c60f289c508db08'
        """
        return self.sha256s([len(self)])[0]

    def sha256s(self, lengths: Sequence[int]) -> list[str]:
        """Return the sha256 of the first so many rows, for each of some lengths that do not fall, in one pass."""
        rows = np.empty(len(self), [("ts", "<i8"), ("value", "<f8")])
        rows["ts"], rows["value"] = self.times_ms, self.values
        digest, done, found = hashlib.sha256(), 0, []
        for length in lengths:
            digest.update(rows[done:length].tobytes())
            done = length
            found.append(digest.copy().hexdigest())
        return found


def read_series(dataset: Dataset, store: Store, start_ms: int | None, end_ms: int | None) -> Series:
    """Return the rows of a dataset from `start_ms` to `end_ms`, both included.

    Raises:
        ContainerNotFoundError: Nothing has been loaded for the dataset.
    """
    if start_ms is not None and end_ms is not None and start_ms > end_ms:
        return Series(np.empty(0, np.int64), np.empty(0))
    return Series.of(read_rows(dataset, store, start_ms, end_ms, columns=["ts", dataset.value]), dataset.value)


def read_rows(
    dataset: Dataset, store: Store, start_ms: int | None, end_ms: int | None, *, columns: list[str] | None = None
) -> pa.Table:
    """Return the rows of a dataset's container as `Store.read` does.

    Raises:
        ContainerNotFoundError: Nothing has been loaded for the dataset; says what to run.
    """
    try:
        return store.read(dataset.container, start_ms, end_ms, columns=columns)
    except ContainerNotFoundError as error:
        raise ContainerNotFoundError(
            f"No container {dataset.container!r} for dataset {dataset.name!r}; first run "
            f"`gridwatch load {dataset.name}`."
        ) from error


def rows_before(dataset: Dataset, store: Store, time_ms: int, rows: int) -> Series:
    """Return the last `rows` rows of a dataset before a time, those without a value left out."""
    found = Series(np.empty(0, np.int64), np.empty(0))
    # Widen until there are enough: sessions and gaps make the span of n rows unknown.
    span_ms = rows * dataset.interval_ms * 4
    for _ in range(6):
        start_ms = max(time_ms - span_ms, 0)
        found = read_series(dataset, store, start_ms, time_ms - 1) if time_ms > 0 else found
        if len(found) >= rows or start_ms == 0:
            break
        span_ms *= 16
    return Series(found.times_ms[-rows:], found.values[-rows:]) if rows else found


def gate(dataset: Dataset, store: Store, series: Series, *, force: bool, what: str) -> ValidationReport | None:
    """Return the newest validation of a dataset, which must have passed and have seen the newest row.

    Args:
        dataset: Whose rows are about to be used.
        store: Where the validations are.
        series: Those rows.
        force: Go on although it failed or is missing; a warning is logged.
        what: What is refused, such as `train`, for the message.

    Raises:
        ValidationFailedError: It failed, is missing or too old, and `force` is not set; names what failed.
    """
    from gridwatch.pipeline.validate import newest_validation

    newest = newest_validation(store, dataset)
    unseen = 0 if newest is None else int((series.times_ms > (-1 if newest.to_ms is None else newest.to_ms)).sum())
    if newest is not None and newest.success and not unseen:
        return newest
    if newest is None:
        why = f"Dataset {dataset.name!r} has not been validated; first run `gridwatch validate {dataset.name}`"
    elif newest.success:
        why = (
            f"{unseen} rows of dataset {dataset.name!r} came after its newest validation ({newest.id}); first run "
            f"`gridwatch validate {dataset.name}`"
        )
    else:
        named = "; ".join(str(item.get("expectation", "?")) for item in newest.failures)
        why = (
            f"The newest validation of dataset {dataset.name!r} ({newest.id}) failed "
            f"{len(newest.failures)} of {newest.expectations} expectations: {newest.reasons or named}. "
            "Correct the rows and validate again"
        )
    if not force:
        raise ValidationFailedError(
            f"{why}, or {what} with --force.", dataset=dataset.name, validation_id=newest.id if newest else None
        )
    log.warning("validation_overridden", dataset=dataset.name, stage=what, validation_id=newest.id if newest else None)
    return newest
