"""The functions of a detector: what they measure, which side is odd, and what an empty bucket means to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["ALIASES", "FUNCTIONS", "REFUSED", "Function", "Metric", "Side"]

Metric: TypeAlias = Literal["count", "distinct_count", "sum", "mean", "median", "min", "max", "varp"]
Side: TypeAlias = Literal["both", "high", "low"]


@dataclass(frozen=True, slots=True)
class Function:
    """One function as it stands in a detector.

    Attributes:
        name: Elasticsearch's name, high_ and low_ included.
        metrics: What is computed of each bucket; `metric` computes three.
        side: Which deviation is odd.
        field: Whether it needs a `field_name`; one that does not, refuses one.
        empty_is_zero: Whether a bucket without rows is a 0; otherwise it is no observation.
    """

    name: str
    metrics: tuple[Metric, ...]
    side: Side
    field: bool
    empty_is_zero: bool


def _family(name: str, metric: Metric, *, field: bool = True, empty_is_zero: bool = False) -> list[Function]:
    sides: tuple[tuple[str, Side], ...] = (("", "both"), ("high_", "high"), ("low_", "low"))
    return [Function(prefix + name, (metric,), side, field, empty_is_zero) for prefix, side in sides]


FUNCTIONS: dict[str, Function] = {
    function.name: function
    for function in (
        *_family("count", "count", field=False, empty_is_zero=True),
        *_family("non_zero_count", "count", field=False),
        *_family("distinct_count", "distinct_count", empty_is_zero=True),
        *_family("sum", "sum", empty_is_zero=True),
        *_family("non_null_sum", "sum"),
        *_family("mean", "mean"),
        *_family("median", "median"),
        *_family("varp", "varp"),
        Function("min", ("min",), "both", True, False),
        Function("max", ("max",), "both", True, False),
        Function("metric", ("mean", "min", "max"), "both", True, False),
    )
}
"""By name. `metric` judges mean, min and max at once."""

ALIASES: dict[str, str] = {
    alias: name
    for prefix in ("", "high_", "low_")
    for alias, name in (
        (prefix + "avg", prefix + "mean"),
        (prefix + "nzc", prefix + "non_zero_count"),
        (prefix + "dc", prefix + "distinct_count"),
    )
}
"""Short names, written out when a job is stored."""

REFUSED: tuple[str, ...] = (
    "rare", "freq_rare", "info_content", "high_info_content", "low_info_content", "time_of_day", "time_of_week",
    "lat_long",
)  # fmt: skip
"""Elasticsearch has them, gridwatch has not yet."""
