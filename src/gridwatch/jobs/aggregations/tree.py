"""Aggregations as they are written: the JSON of each kind, read strictly, with the path of everything."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

__all__ = ["Aggregation", "Composite", "Filter", "Histogram", "Interval", "Key", "Metric", "MetricKind", "Terms"]

MetricKind: TypeAlias = Literal["max", "min", "avg", "sum", "value_count", "cardinality", "percentiles"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A number of the rows of a bucket.

    Attributes:
        name: The aggregation's name.
        path: Where it stands.
        kind: What is worked out.
        field: Of which field.
        percent: Of `percentiles`, 0 to 100.
        missing: What a row without the field counts as, None to leave it out.
    """

    name: str
    path: str
    kind: MetricKind
    field: str
    percent: float = 0.0
    missing: float | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """A field whose values make buckets.

    Attributes:
        name: What the field is called in the rows that come out.
        path: Where it stands.
        field: The field.
        missing: What a row without the field counts as, None to leave it out.
    """

    name: str
    path: str
    field: str
    missing: str | float | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """How time is cut: the bucket of an instant begins at the last `offset_ms + n * every_ms`.

    Attributes:
        name: Of the histogram, or of the source in a composite.
        path: Where it stands.
        field: The time field.
        every_ms: Length, ms.
        offset_ms: Where the first bucket after 1970 begins, 0 up to `every_ms`; only weeks have one.
        text: The interval as given.
    """

    name: str
    path: str
    field: str
    every_ms: int
    offset_ms: int = 0
    text: str = ""

    def floor(self, time_ms: int) -> int:
        """Return the beginning of the bucket that an instant is in, UTC epoch ms.

        >>> Interval("b", "", "time", 900_000).floor(1_000_000)
        900000
        """
        return (time_ms - self.offset_ms) // self.every_ms * self.every_ms + self.offset_ms


@dataclass(frozen=True, slots=True)
class Histogram:
    """`date_histogram`, or `histogram` of the time field in ms."""

    name: str
    path: str
    interval: Interval
    inner: tuple[Aggregation, ...]


@dataclass(frozen=True, slots=True)
class Composite:
    """`composite`: one bucket for each combination of its sources.

    Attributes:
        name: The aggregation's name.
        path: Where it stands.
        interval: The one source of time.
        keys: The other sources.
        size: How many buckets a page has.
        inner: What is inside each bucket.
    """

    name: str
    path: str
    interval: Interval
    keys: tuple[Key, ...]
    size: int
    inner: tuple[Aggregation, ...]


@dataclass(frozen=True, slots=True)
class Terms:
    """`terms`: one bucket for each value of a field."""

    name: str
    path: str
    key: Key
    inner: tuple[Aggregation, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """`filter`: one bucket, of the rows that match a query; what is inside belongs to the bucket around it."""

    name: str
    path: str
    query: object = field(compare=False)
    inner: tuple[Aggregation, ...]


Aggregation: TypeAlias = Metric | Histogram | Composite | Terms | Filter
