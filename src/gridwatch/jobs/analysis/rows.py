"""Rows of a job, columnar: times, how many rows each stands for, numbers, and keywords by code."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridwatch.errors import JobsRequestError
from gridwatch.jobs.analysis.series import text_of

if TYPE_CHECKING:
    from gridwatch.jobs.config import JobConfig

__all__ = ["Columns", "Rows", "columns_of"]

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Columns:
    """What rows of a job have.

    Attributes:
        time: Name of the time field.
        weight: Name of the summary count field, None where a row is a row.
        numbers: Fields that are measured.
        keywords: Fields that split, blame, or whose values are counted.
    """

    time: str
    weight: str | None
    numbers: tuple[str, ...]
    keywords: tuple[str, ...]


def columns_of(job: JobConfig) -> Columns:
    """Return what the rows of a job have to bring."""
    numbers = job.metric_fields
    splits = {name for detector in job.detectors for name in detector.split_fields} | set(job.influencers)
    distinct = {
        detector.field_name
        for detector in job.detectors
        if detector.field_name and detector.spec.metrics == ("distinct_count",)
    }
    keywords = splits | distinct
    return Columns(
        job.time_field,
        job.summary_count_field,
        tuple(name for name in job.fields if name in numbers),
        tuple(name for name in job.fields if name in keywords),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """n rows.

    Attributes:
        times: int64 (n,), UTC epoch ms.
        weights: float64 (n,), how many rows each stands for; None for one.
        numbers: float64 (n,) by field, NaN where missing.
        keywords: Categorical (n,) of text by field, "" where missing.
    """

    times: Ints
    weights: Floats | None
    numbers: dict[str, Floats]
    keywords: dict[str, pd.Categorical]

    def __len__(self) -> int:
        return len(self.times)

    @property
    def nbytes(self) -> int:
        """Memory of the columns, bytes."""
        arrays = [self.times, *self.numbers.values(), *(codes.codes for codes in self.keywords.values())]
        return sum(array.nbytes for array in arrays) + (0 if self.weights is None else self.weights.nbytes)

    def between(self, first_ms: int, last_ms: int) -> Self:
        """Return the rows from `first_ms` to before `last_ms` in their order; no copies where that is of time."""
        times = self.times
        if np.all(times[1:] >= times[:-1]):
            first, last = np.searchsorted(times, [first_ms, last_ms]).tolist()
            return self.take(slice(first, last))
        return self.take((times >= first_ms) & (times < last_ms))

    def take(self, which: npt.NDArray[Any] | slice) -> Self:
        """Return some rows, by mask, by place, or those of a slice."""
        return type(self)(
            self.times[which],
            None if self.weights is None else self.weights[which],
            {name: column[which] for name, column in self.numbers.items()},
            {name: column[which] for name, column in self.keywords.items()},
        )

    @classmethod
    def of(cls, frame: pd.DataFrame, columns: Columns) -> Self:
        """Return the rows of a frame.

        Raises:
            JobsRequestError: The time column is missing or not int64.
        """
        if columns.time not in frame:
            raise JobsRequestError(f"rows have no time field {columns.time!r}; they have {list(frame.columns)}.")
        times = frame[columns.time].to_numpy()
        if times.dtype != np.int64:
            raise JobsRequestError(f"the time field {columns.time!r} is {times.dtype}, not int64 milliseconds.")
        weight = columns.weight
        return cls(
            times,
            None if weight is None else _numbers(frame, weight, missing=0.0),
            {name: _numbers(frame, name) for name in columns.numbers},
            {name: _keywords(frame, name) for name in columns.keywords},
        )

    def to_frame(self, columns: Columns) -> pd.DataFrame:
        """Return the frame that `of` makes the same rows of."""
        found: dict[str, Any] = {columns.time: self.times}
        if columns.weight is not None:
            found[columns.weight] = self.weights
        return pd.DataFrame({**found, **self.numbers, **self.keywords})

    @classmethod
    def none(cls, columns: Columns) -> Self:
        """Return no rows."""
        empty = pd.DataFrame({name: pd.Series([], dtype=object) for name in (*columns.numbers, *columns.keywords)})
        empty[columns.time] = np.zeros(0, np.int64)
        if columns.weight is not None:
            empty[columns.weight] = np.zeros(0)
        return cls.of(empty, columns)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the rows of one or several parts, one after another."""
        if len(parts) == 1:
            return parts[0]
        first = parts[0]
        weights = None if first.weights is None else np.concatenate([part.weights for part in parts])
        return cls(
            np.concatenate([part.times for part in parts]),
            weights,
            {name: np.concatenate([part.numbers[name] for part in parts]) for name in first.numbers},
            {name: _union([part.keywords[name] for part in parts]) for name in first.keywords},
        )

    def to_bytes(self) -> bytes:
        """Return the rows as Parquet."""
        columns: dict[str, Any] = {"t": self.times}
        if self.weights is not None:
            columns["w"] = self.weights
        columns.update({f"n{place}": column for place, column in enumerate(self.numbers.values())})
        columns.update({f"k{place}": column.astype(object) for place, column in enumerate(self.keywords.values())})
        file = io.BytesIO()
        pd.DataFrame(columns).to_parquet(file, index=False)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes, columns: Columns) -> Self:
        """Return the rows that `to_bytes` wrote."""
        frame = pd.read_parquet(io.BytesIO(content))
        names = {"t": columns.time, "w": columns.weight or ""}
        names |= {f"n{place}": f"n.{name}" for place, name in enumerate(columns.numbers)}
        names |= {f"k{place}": f"k.{name}" for place, name in enumerate(columns.keywords)}
        frame = frame.rename(columns=names)
        weight = columns.weight
        return cls(
            frame[columns.time].to_numpy(np.int64),
            None if weight is None else frame[weight].to_numpy(np.float64),
            {name: frame[f"n.{name}"].to_numpy(np.float64) for name in columns.numbers},
            {name: _keywords(frame, f"k.{name}") for name in columns.keywords},
        )


def _numbers(frame: pd.DataFrame, name: str, missing: float = np.nan) -> Floats:
    if name not in frame:
        return np.full(len(frame), missing)
    column = frame[name]
    if isinstance(column.dtype, pd.CategoricalDtype):
        return _numbers_of(column.array, missing)
    if column.dtype == object:
        # Text that is a number is one, as in Elasticsearch; other text has no value.
        column = pd.to_numeric(column, errors="coerce")
    return _known(column.to_numpy(np.float64, na_value=np.nan), missing)


def _numbers_of(column: pd.Categorical, missing: float) -> Floats:
    texts = pd.to_numeric(pd.Series(column.categories, dtype=object), errors="coerce")
    return _known(np.append(texts.to_numpy(np.float64, na_value=np.nan), np.nan)[column.codes], missing)


def _known(found: Floats, missing: float) -> Floats:
    found = np.where(np.isfinite(found), found, np.nan)
    return found if np.isnan(missing) else np.where(np.isnan(found), missing, found)


def _keywords(frame: pd.DataFrame, name: str) -> pd.Categorical:
    if name not in frame:
        return _coded(np.zeros(len(frame), np.int8), [""])
    column = frame[name]
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes, uniques = column.cat.codes.to_numpy(), column.cat.categories
    else:
        codes, uniques = pd.factorize(column, use_na_sentinel=True)
    texts = [*(text_of(value) for value in uniques), ""]
    places, categories = pd.factorize(np.array(texts, object))
    return _coded(places[codes], list(categories))


def _union(parts: Sequence[pd.Categorical]) -> pd.Categorical:
    """Return the parts one after another; pandas' own union makes text of another type than it was given."""
    texts = pd.unique(np.concatenate([np.asarray(part.categories, object) for part in parts]))
    places = pd.Index(texts, dtype=object)
    codes = [places.get_indexer(pd.Index(part.categories, dtype=object))[part.codes] for part in parts]
    return _coded(np.concatenate(codes), list(texts))


def _coded(codes: npt.NDArray[Any], categories: list[str]) -> pd.Categorical:
    return pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(pd.Index(categories, dtype=object)))  # type: ignore[return-value]
