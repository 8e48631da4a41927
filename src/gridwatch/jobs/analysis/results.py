"""What an analysis finds: buckets, records, influencers and the model's band."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Bucket", "Influence", "InfluencerResult", "ModelPlot", "Record", "Results"]


@dataclass(frozen=True, slots=True)
class Influence:
    """Values of one influencer that are to blame for a record."""

    field_name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """One odd value of one series in one bucket.

    Attributes:
        timestamp: Start of the bucket, UTC epoch ms.
        detector_index: Which detector.
        function: Its function; of `metric` the one of mean, min and max that was odd.
        field_name: What it measures, None where it counts.
        partition: (field, value) of the partition, in the order given.
        by: (field, value) of the by field, None without one.
        actual: What was there.
        typical: What was expected.
        lower: Least ordinary value.
        upper: Greatest ordinary value.
        probability: Of a value at least as odd, 0 to 1.
        score: 0 to 100.
        driver: Which member of the detector was the most surprised.
        influencers: Who is to blame.
        is_interim: Whether the bucket may still change.
    """

    timestamp: int
    detector_index: int
    function: str
    field_name: str | None
    partition: tuple[tuple[str, str], ...]
    by: tuple[str, str] | None
    actual: float
    typical: float
    lower: float
    upper: float
    probability: float
    score: float
    driver: str
    influencers: tuple[Influence, ...] = ()
    is_interim: bool = False


@dataclass(frozen=True, slots=True)
class InfluencerResult:
    """One value of an influencer in one bucket, and how much it is to blame."""

    timestamp: int
    field_name: str
    value: str
    probability: float
    score: float
    is_interim: bool = False


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket of a job.

    Attributes:
        timestamp: Start, UTC epoch ms.
        event_count: Rows in it, or what their summaries add up to.
        series: Values that were judged.
        probability: Of the least probable of them, given how many there are.
        score: 0 to 100.
        influencers: (field, score) of each influencer field that is to blame, the greatest score of its values.
        is_interim: Whether it may still change.
        processing_ms: What it took: an equal share of the buckets that were judged together, in whole milliseconds
            from 1. No part of what the bucket is: the same rows give equal buckets.
    """

    timestamp: int
    event_count: int
    series: int
    probability: float
    score: float
    influencers: tuple[tuple[str, float], ...] = ()
    is_interim: bool = False
    processing_ms: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class ModelPlot:
    """The band of one series in one bucket."""

    timestamp: int
    detector_index: int
    function: str
    partition: tuple[tuple[str, str], ...]
    by: tuple[str, str] | None
    actual: float | None
    lower: float
    median: float
    upper: float


@dataclass(frozen=True, slots=True)
class Results:
    """What came of some rows, each list in the order of time."""

    buckets: list[Bucket] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    influencers: list[InfluencerResult] = field(default_factory=list)
    model_plot: list[ModelPlot] = field(default_factory=list)

    def between(self, start_ms: int | None, end_ms: int | None) -> Results:
        """Return those of the buckets from `start_ms` to before `end_ms`; None means open."""

        def there(one: Record | Bucket | InfluencerResult | ModelPlot) -> bool:
            return (start_ms is None or one.timestamp >= start_ms) and (end_ms is None or one.timestamp < end_ms)

        return Results(
            list(filter(there, self.buckets)), list(filter(there, self.records)),
            list(filter(there, self.influencers)), list(filter(there, self.model_plot)),
        )  # fmt: skip

    def extend(self, other: Results) -> None:
        """Add what came later."""
        self.buckets.extend(other.buckets)
        self.records.extend(other.records)
        self.influencers.extend(other.influencers)
        self.model_plot.extend(other.model_plot)
