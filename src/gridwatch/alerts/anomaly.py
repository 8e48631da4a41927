"""One anomaly row, as the mail, the plot and the relay use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite, nan
from typing import TYPE_CHECKING, Any, TypeGuard

from gridwatch.detectors import explain, severity_score
from gridwatch.detectors.severity import band_in_words
from gridwatch.errors import DeliveryError

if TYPE_CHECKING:
    from gridwatch.containers import ContainerInfo, Store
    from gridwatch.detectors import Explanation

__all__ = ["PREFIX", "SEVERITIES", "Anomaly", "find_anomalies", "find_anomaly", "is_anomaly_container", "severity_rank"]

PREFIX = "ANOMALY_"

SEVERITIES = ("critical", "high", "medium", "low")
"""Worst first; the words that detectors give."""


def severity_rank(severity: str | None) -> int:
    """Return 0 for the worst severity; unknown ones come last.

    >>> severity_rank("critical") < severity_rank("low") < severity_rank(None)
    True
    """
    word = (severity or "").lower()
    return SEVERITIES.index(word) if word in SEVERITIES else len(SEVERITIES)


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A row of `ANOMALY_<S>`; every field but the key may be null in the store.

    Times are UTC epoch ms; `score`, `anomaly_score` and `segment_score` are 0..100; values are in the series' units.
    """

    container: str
    id: str
    ts_ms: int
    detector: str | None = None
    partition: str | None = None
    actual: float | None = None
    expected: float | None = None
    lower: float | None = None
    upper: float | None = None
    loss: float | None = None
    score: float | None = None
    p_value: float | None = None
    severity: str | None = None
    detected_ms: int | None = None
    model_uri: str | None = None
    model_sha256: str | None = None
    run_id: str | None = None
    validation_id: str | None = None
    flow_run_id: str | None = None
    input_from_ms: int | None = None
    input_to_ms: int | None = None
    driver: str | None = None
    anomaly_score: float | None = None
    segment_score: float | None = None
    surprise: float | None = None
    explanation: str | None = None

    @property
    def why(self) -> Explanation | None:
        """What stood out, and what would have been normal; None where the row lacks a number for that."""
        numbers = (self.actual, self.expected, self.lower, self.upper)
        actual, expected, lower, upper = (nan if number is None else number for number in numbers)
        if not all(isfinite(number) for number in (actual, expected, lower, upper)):
            return None
        # Rows of older versions name no driver; what their detector is called says it then.
        driver = self.driver or self.detector or ""
        p_value = nan if self.p_value is None else self.p_value
        return explain(driver, actual=actual, expected=expected, lower=lower, upper=upper, p_value=p_value)

    @property
    def severity_score(self) -> float | None:
        """The greatest of its scores, 0 to 100, by which its severity goes."""
        return severity_score(self.score, self.anomaly_score)

    @property
    def severity_band(self) -> str:
        """The scores that have its severity, in words; empty where the word is of another scale, as in older rows."""
        score = self.severity_score
        by_job = (self.model_uri or "").startswith("jobs:/")
        return "" if score is None else band_in_words(self.severity or "", score, job=by_job)

    @property
    def series(self) -> str:
        """The `<S>` of the container name."""
        return self.container[len(PREFIX) :]

    @property
    def score_container(self) -> str:
        """Name of the container with all scored rows of the series."""
        return f"SCORE_{self.series}"

    @property
    def when(self) -> datetime:
        """Time of the row, UTC."""
        return datetime.fromtimestamp(self.ts_ms / 1000, UTC)

    @classmethod
    def from_row(cls, container: str, row: dict[str, Any]) -> Anomaly:
        """Make one from a row of the store; columns that it does not know are left out.

        Raises:
            DeliveryError: The row has no time.
        """
        when = row.get("ts")
        if not isinstance(when, datetime):
            raise DeliveryError(f"Anomaly {row.get('id')!r} of {container!r} has no time in `ts`.", permanent=True)
        known = {name: row[name] for name in cls.__dataclass_fields__ if name in row}
        return cls(**{**known, "container": container, "ts_ms": round(when.timestamp() * 1000)})


def is_anomaly_container(info: ContainerInfo | None) -> TypeGuard[ContainerInfo]:
    """Tell whether a container holds anomalies: by its name and its STRING key `id`."""
    return (
        info is not None
        and info.name.upper().startswith(PREFIX)
        and info.row_key == ("id",)
        and any(column.name == "ts" for column in info.columns)
    )


def find_anomaly(store: Store, container: str, key: str) -> Anomaly | None:
    """Read one anomaly by its row key; None when there is no such row.

    Raises:
        ContainerNotFoundError: No container has this name.
    """
    return next(iter(find_anomalies(store, container, [key])), None)


def find_anomalies(store: Store, container: str, keys: Sequence[str]) -> list[Anomaly]:
    """Read the anomalies with these row keys, in their order; those that are not there are left out.

    Raises:
        ContainerNotFoundError: No container has this name.
        DeliveryError: A row has no time.
    """
    return [Anomaly.from_row(container, row) for row in store.get(container, keys).to_pylist()]
