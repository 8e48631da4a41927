"""A transform: which rows become which summary, and how it is kept up to date; read from Elasticsearch's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from gridwatch.errors import JobsBodyError, JobsValueError
from gridwatch.jobs import units
from gridwatch.jobs.config.reading import Body, check_id, read_body
from gridwatch.jobs.transform.pivot import Pivot, read_pivot

__all__ = ["Dest", "Source", "Sync", "TransformConfig", "TransformSettings", "parse_transform", "updated_transform"]

_FREQUENCY_MS = (1000, 3_600_000)
_DELAY = "60s"
_PAGE = (10, 65_536)
_RETRIES = (-1, 100)
_UPDATABLE = ("description", "dest", "frequency", "settings", "source", "sync", "_meta", "retention_policy")


class Source(Body):
    """`source`: containers by name, `*` and `?` allowed, and which of their rows."""

    index: list[str] | str
    query: dict[str, Any] = Field(default_factory=lambda: {"match_all": {}})
    runtime_mappings: dict[str, Any] = Field(default_factory=dict)

    @property
    def index_names(self) -> list[str]:
        """The patterns in `index`, one by one."""
        given = [self.index] if isinstance(self.index, str) else self.index
        return [name.strip() for one in given for name in one.split(",") if name.strip()]


class Dest(Body):
    """`dest`: the container that the summary is written to; it is made where there is none."""

    index: str
    pipeline: str | None = None
    aliases: list[dict[str, Any]] | None = None


class SyncTime(Body):
    """`sync.time`: which field tells that a row is new, and how late rows may come."""

    field: str
    delay: str = _DELAY


class Sync(Body):
    """`sync`: a transform that has it goes on for ever."""

    time: SyncTime


class TransformSettings(Body):
    """`settings`; those that change nothing here are kept as they are given."""

    align_checkpoints: bool | None = None
    dates_as_epoch_millis: bool | None = None
    deduce_mappings: bool | None = None
    docs_per_second: float | None = None
    max_page_search_size: int | None = None
    num_failure_retries: int | None = None
    unattended: bool | None = None
    use_point_in_time: bool | None = None


class TransformConfig(Body):
    """A transform as it is stored; `parse_transform` makes it."""

    id: str = ""
    source: Source
    dest: Dest
    pivot: dict[str, Any] | None = None
    latest: dict[str, Any] | None = None
    description: str | None = None
    frequency: str | None = None
    sync: Sync | None = None
    settings: TransformSettings = TransformSettings()
    retention_policy: dict[str, Any] | None = None
    meta: dict[str, Any] | None = Field(None, alias="_meta")
    create_time: int | None = None
    version: str | None = None

    @property
    def continuous(self) -> bool:
        """Whether it goes on with rows that come later."""
        return self.sync is not None

    @property
    def frequency_ms(self) -> int:
        """How often it looks for new rows, ms."""
        return 60_000 if self.frequency is None else units.ms_of(self.frequency, "frequency")

    @property
    def delay_ms(self) -> int:
        """How late rows may come, ms."""
        return 0 if self.sync is None else units.ms_of(self.sync.time.delay, "sync.time.delay")

    @property
    def retries(self) -> int:
        """How many failures in a row it bears, -1 for any number."""
        told = self.settings.num_failure_retries
        return -1 if self.settings.unattended else 10 if told is None else told

    def read_pivot(self) -> Pivot:
        """Return `pivot`, read.

        Raises:
            JobsError: It is wrong.
        """
        return read_pivot(self.pivot)

    def to_json(self) -> dict[str, Any]:
        """Return the transform as Elasticsearch would answer it."""
        raw = self.model_dump(exclude_none=True, by_alias=True)
        raw["source"]["index"] = self.source.index_names
        if not self.source.runtime_mappings:
            del raw["source"]["runtime_mappings"]
        return raw


def parse_transform(raw: object, *, transform_id: str | None = None, preview: bool = False) -> TransformConfig:
    """Return a transform from its JSON.

    Args:
        raw: The body of a PUT or a preview.
        transform_id: The id in the URL; without it the body's.
        preview: Whether `dest` may be missing.

    Raises:
        JobsBodyError: An unknown or missing key, a value of another type.
        JobsValueError: A value that is not allowed, or that contradicts another.
    """
    if preview and isinstance(raw, Mapping) and "dest" not in raw:
        raw = {**raw, "dest": {"index": "unused-transform-preview-index"}}
    config = read_body(TransformConfig, raw)
    known = transform_id or config.id or ("transform-preview" if preview else "")
    if not known:
        raise JobsBodyError("is required and is missing.", path="id")
    if config.id and config.id != known:
        raise JobsValueError(f"the id in the body is {config.id!r}, outside it {known!r}.", path="id")
    config = config.model_copy(update={"id": check_id(known, "id")})
    _check(config)
    return config


def updated_transform(config: TransformConfig, raw: object) -> TransformConfig:
    """Return a transform with what an update gives in place of its own.

    Raises:
        JobsBodyError: Another shape, or a key that does not change.
        JobsValueError: A value is not allowed, or a batch transform is to become continuous, or the other way round.
    """
    if not isinstance(raw, Mapping):
        raise JobsBodyError("expected an object.")
    for key in raw:
        if key not in _UPDATABLE:
            raise JobsBodyError(
                f"unknown field [{key}]: an update does not change it.", path=str(key), allowed=_UPDATABLE
            )
    if "sync" in raw and (raw["sync"] is not None) != config.continuous:
        raise JobsValueError(
            f"Cannot change the current sync configuration of transform [{config.id}]: a batch transform stays one, "
            "and so does a continuous one.",
            path="sync",
        )
    own = config.model_dump(exclude_none=True, by_alias=True)
    settings = {**own.get("settings", {}), **(raw.get("settings") or {})} if "settings" in raw else own["settings"]
    return parse_transform({**own, **raw, "settings": settings}, transform_id=config.id)


def _check(config: TransformConfig) -> None:
    if not config.source.index_names:
        raise JobsValueError("names no container; give at least one.", path="source.index")
    if config.latest is not None:
        raise JobsValueError("[latest] is not supported; give a [pivot].", path="latest")
    if config.pivot is None:
        raise JobsBodyError("is required and is missing.", path="pivot")
    if config.retention_policy is not None:
        raise JobsValueError(
            "is not supported; GridDB drops old rows itself where a container is partitioned with an expiration.",
            path="retention_policy",
        )
    if config.dest.pipeline is not None:
        raise JobsValueError("is not supported: there are no ingest pipelines.", path="dest.pipeline")
    if config.dest.aliases:
        raise JobsValueError("is not supported: a container has one name.", path="dest.aliases")
    if not config.dest.index:
        raise JobsValueError("may not be empty.", path="dest.index")
    _check_times(config)
    _check_settings(config.settings)
    config.read_pivot()


def _check_times(config: TransformConfig) -> None:
    low, high = _FREQUENCY_MS
    if not low <= config.frequency_ms <= high:
        raise JobsValueError(f"has to be at least 1s and at most 1h, got {config.frequency!r}.", path="frequency")
    if config.sync is not None and config.delay_ms < 0:
        raise JobsValueError(f"cannot be less than 0, got {config.sync.time.delay!r}.", path="sync.time.delay")


def _check_settings(settings: TransformSettings) -> None:
    for key, (low, high) in (("max_page_search_size", _PAGE), ("num_failure_retries", _RETRIES)):
        told = getattr(settings, key)
        if told is not None and not low <= told <= high:
            raise JobsValueError(f"{told} is out of bounds: {low} to {high}.", path=f"settings.{key}", value=told)
    if settings.docs_per_second is not None and settings.docs_per_second <= 0:
        raise JobsValueError(f"has to be above 0, got {settings.docs_per_second}.", path="settings.docs_per_second")
