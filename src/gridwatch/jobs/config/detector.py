"""One detector of a job: which function of which field, split by what."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field

from gridwatch.errors import JobsValueError
from gridwatch.jobs.config.reading import Body, check_name
from gridwatch.jobs.functions import ALIASES, FUNCTIONS, REFUSED, Function

__all__ = ["Detector", "check_detectors"]

_RESERVED_SPLITS = ("count", "by", "over")
_PLAIN = re.compile(r"[A-Za-z0-9_.@]+")


class Detector(Body):
    """A detector as it stands in `analysis_config.detectors`.

    Attributes:
        function: Elasticsearch's name; short names are written out by `check_detectors`.
        field_name: What is measured, None for functions that count rows.
        by_field_name: Split within a partition.
        over_field_name: Refused: population analysis.
        partition_field_name: One field, or a list of them: each combination has a baseline of its own.
        use_null: Whether rows without a value of `by_field_name` are a series of their own.
        detector_index: Place in the list; always numbered anew.
    """

    function: str
    field_name: str | None = None
    by_field_name: str | None = None
    over_field_name: str | None = None
    partition_field_name: str | list[str] | None = None
    use_null: bool = False
    exclude_frequent: str | None = None
    custom_rules: list[dict[str, Any]] = Field(default_factory=list)
    detector_description: str | None = None
    detector_index: int | None = None

    @property
    def spec(self) -> Function:
        """What the function does."""
        return FUNCTIONS[self.function]

    @property
    def partition_fields(self) -> tuple[str, ...]:
        """Fields of the partition, in the order given."""
        named = self.partition_field_name
        return () if named is None else (named,) if isinstance(named, str) else tuple(named)

    @property
    def split_fields(self) -> tuple[str, ...]:
        """Fields whose values make a series: those of the partition, then the by field."""
        return (*self.partition_fields, *([self.by_field_name] if self.by_field_name else []))

    @property
    def fields(self) -> tuple[str, ...]:
        """All fields that it reads."""
        return (*([self.field_name] if self.field_name else []), *self.split_fields)

    def description(self) -> str:
        """Return the description given, or Elasticsearch's: `sum(price) by x partitionfield=y`."""
        if self.detector_description:
            return self.detector_description
        text = f"{self.function}({_quoted(self.field_name)})" if self.field_name else self.function
        if self.by_field_name:
            text += f" by {_quoted(self.by_field_name)}"
        return text + "".join(f" partitionfield={_quoted(name)}" for name in self.partition_fields)


def check_detectors(detectors: list[Detector], path: str, *, summarised: bool) -> list[Detector]:
    """Return the detectors, checked, with written-out functions and indexes from 0.

    Args:
        detectors: As read.
        path: Where the list stands.
        summarised: Whether rows are summaries (`summary_count_field_name` is set).

    Raises:
        JobsValueError: There is none, two are alike, or one contradicts itself; names the place.
    """
    if not detectors:
        raise JobsValueError("no detectors are configured; a job needs at least one.", path=path)
    checked: list[Detector] = []
    seen: dict[tuple[object, ...], int] = {}
    for index, detector in enumerate(detectors):
        place = f"{path}[{index}]"
        name = ALIASES.get(detector.function.lower(), detector.function.lower())
        one = detector.model_copy(update={"function": name, "detector_index": index})
        _check(one, place, summarised=summarised)
        key = (name, one.field_name, one.by_field_name, one.over_field_name, one.partition_fields)
        if key in seen:
            raise JobsValueError(
                f"duplicate detectors are not allowed: [{one.description()}] is detector {seen[key]} as well.",
                path=place,
            )
        seen[key] = index
        checked.append(one)
    return checked


def _check(detector: Detector, path: str, *, summarised: bool) -> None:
    _check_function(detector, path, summarised=summarised)
    _refuse_missing_features(detector, path)
    spec = detector.spec
    if spec.field and not detector.field_name:
        raise JobsValueError(f"the function [{spec.name}] needs a field_name.", path=f"{path}.field_name")
    if not spec.field and detector.field_name:
        raise JobsValueError(
            f"field_name cannot be used with the function [{spec.name}], got {detector.field_name!r}.",
            path=f"{path}.field_name",
            value=detector.field_name,
        )
    _check_splits(detector, path)


def _check_function(detector: Detector, path: str, *, summarised: bool) -> None:
    name = detector.function
    if name in REFUSED:
        raise JobsValueError(
            f"the function [{name}] is not supported yet.", path=f"{path}.function", allowed=FUNCTIONS, value=name
        )
    if name not in FUNCTIONS:
        raise JobsValueError(f"unknown function [{name}].", path=f"{path}.function", allowed=FUNCTIONS, value=name)
    if name == "metric" and summarised:
        raise JobsValueError(
            "the function [metric] cannot be used where summary_count_field_name is set; use mean, min or max.",
            path=f"{path}.function",
        )


def _refuse_missing_features(detector: Detector, path: str) -> None:
    absent = {
        "over_field_name": (detector.over_field_name, "population analysis"),
        "exclude_frequent": (detector.exclude_frequent, "leaving out frequent entities"),
        "custom_rules": (detector.custom_rules, "custom rules"),
    }
    for name, (value, what) in absent.items():
        if value:
            raise JobsValueError(f"[{name}] ({what}) is not supported yet; leave it out.", path=f"{path}.{name}")


def _check_splits(detector: Detector, path: str) -> None:
    partition = f"{path}.partition_field_name"
    if isinstance(detector.partition_field_name, list) and not detector.partition_field_name:
        raise JobsValueError("an empty list partitions by nothing; leave it out.", path=partition)
    for key in ("field_name", "by_field_name"):
        if (value := getattr(detector, key)) is not None:
            check_name(value, f"{path}.{key}")
    for name in detector.partition_fields:
        check_name(name, partition)
    by = detector.by_field_name
    if by and by.lower() in _RESERVED_SPLITS:
        raise JobsValueError(f"by_field_name may not be {by!r}.", path=f"{path}.by_field_name", value=by)
    splits = detector.split_fields
    twice = sorted({name for name in splits if splits.count(name) > 1})
    if twice:
        raise JobsValueError(f"splits twice by {', '.join(map(repr, twice))}; name each field once.", path=path)


def _quoted(name: str | None) -> str:
    return f"{name}" if name and _PLAIN.fullmatch(name) else f'"{name}"'
