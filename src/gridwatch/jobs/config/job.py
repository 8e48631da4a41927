"""A job: what is analysed and how; read from Elasticsearch's JSON and written as it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from gridwatch.errors import JobsBodyError, JobsValueError
from gridwatch.jobs import units
from gridwatch.jobs.config.detector import Detector, check_detectors
from gridwatch.jobs.config.reading import Body, check_id, check_name, read_body

__all__ = ["AnalysisConfig", "JobConfig", "LstmModel", "parse_job"]

_DAY_MS = 86_400_000
_TRAIN_DAYS, _TRAIN_MIN, _TRAIN_MAX = 21, 300, 4000
_SET_BY_US = ("create_time", "finished_time", "job_type", "job_version", "model_snapshot_id", "state", "node")
_PARTS = {"analysis_config", "datafeed_config"}
_MEMORY_DEFAULT, _MEMORY_MIN, _MEMORY_MAX = 1 << 30, 1 << 20, (1 << 63) - 1
_CATEGORIES = (
    "categorization_field_name", "categorization_filters", "categorization_analyzer", "per_partition_categorization",
)  # fmt: skip


class AnalysisConfig(Body):
    """What is analysed: `analysis_config`.

    Attributes:
        bucket_span: Length of a bucket, a time value.
        detectors: At least one.
        influencers: Fields whose values may be to blame.
        summary_count_field_name: Field that says how many rows a row stands for.
        latency: How late rows may come that are posted, a time value.
        model_prune_window: Series without rows for as long are forgotten, a time value.
    """

    detectors: list[Detector]
    bucket_span: str = "5m"
    influencers: list[str] = Field(default_factory=list)
    summary_count_field_name: str | None = None
    latency: str | int | None = None
    model_prune_window: str | None = None
    multivariate_by_fields: bool = False
    categorization_field_name: str | None = None
    categorization_filters: list[str] | None = None
    categorization_analyzer: str | dict[str, Any] | None = None
    per_partition_categorization: dict[str, Any] | None = None


class AnalysisLimits(Body):
    """`analysis_limits`: memory in MiB, or a size such as `11MB`."""

    model_memory_limit: str | int | None = None
    categorization_examples_limit: int = Field(4, ge=0)


class DataDescription(Body):
    """`data_description`: where the time is and how it is written."""

    time_field: str = "time"
    time_format: str = "epoch"
    format: Literal["xcontent"] | None = None


class ModelPlot(Body):
    """`model_plot_config`: whether the band is kept for each bucket, and of which series."""

    enabled: bool = False
    terms: str | None = None
    annotations_enabled: bool | None = None


class LstmModel(Body):
    """`model`: gridwatch's own; an LSTM shared by all partitions instead of the detector that learns as it goes.

    Attributes:
        type: `auto` learns as it goes, `lstm` is trained once there is enough.
        window: Buckets that the network expects the next from.
        units: Its size.
        epochs: Most times that it sees what it learns.
        train_buckets: After how many buckets it is trained, on as many; None for three weeks, but 300 to 4,000.
    """

    type: Literal["auto", "lstm"] = "auto"
    window: int = Field(24, ge=2, le=1000)
    units: int = Field(32, ge=1, le=512)
    epochs: int = Field(20, ge=1, le=1000)
    train_buckets: int | None = Field(None, ge=50, le=20_000)


class JobConfig(Body):
    """A job as it is stored; `parse_job` makes it.

    Attributes:
        job_id: Lower case, 64 characters at most.
        datafeed_config: The datafeed that was created together with it, as given; stored by itself.
    """

    analysis_config: AnalysisConfig
    job_id: str = ""
    description: str | None = None
    groups: list[str] = Field(default_factory=list)
    data_description: DataDescription = DataDescription()
    analysis_limits: AnalysisLimits = AnalysisLimits()
    model_plot_config: ModelPlot = ModelPlot()
    model: LstmModel = LstmModel()
    background_persist_interval: str | None = None
    renormalization_window_days: int | None = Field(None, ge=0)
    results_retention_days: int | None = Field(None, ge=0)
    results_index_name: str = "shared"
    model_snapshot_retention_days: int = Field(10, ge=0)
    daily_model_snapshot_retention_after_days: int | None = Field(None, ge=0)
    allow_lazy_open: bool = False
    custom_settings: dict[str, Any] | None = None
    datafeed_config: dict[str, Any] | None = None

    @property
    def time_field(self) -> str:
        """Field with the time of a row."""
        return self.data_description.time_field

    @property
    def bucket_span_ms(self) -> int:
        """Length of a bucket, ms."""
        return units.ms_of(self.analysis_config.bucket_span, "analysis_config.bucket_span")

    @property
    def detectors(self) -> list[Detector]:
        """The detectors."""
        return self.analysis_config.detectors

    @property
    def influencers(self) -> list[str]:
        """Fields whose values may be to blame."""
        return self.analysis_config.influencers

    @property
    def summary_count_field(self) -> str | None:
        """Field that says how many rows a row stands for."""
        return self.analysis_config.summary_count_field_name

    @property
    def latency_ms(self) -> int:
        """How late posted rows may come, ms."""
        latency = self.analysis_config.latency
        if isinstance(latency, int):
            return latency * 1000
        return units.ms_of(latency, "analysis_config.latency") if latency else 0

    @property
    def memory_limit(self) -> int:
        """What the models may take, bytes."""
        given = self.analysis_limits.model_memory_limit
        return _MEMORY_DEFAULT if given is None else units.bytes_of(given, "analysis_limits.model_memory_limit")

    @property
    def prune_window_ms(self) -> int:
        """Series without rows for as long are forgotten, ms: 30 days or 20 buckets, whichever is more."""
        given = self.analysis_config.model_prune_window
        if given is None:
            # Whole buckets, as what is given has to be.
            return max(-(-30 * _DAY_MS // self.bucket_span_ms), 20) * self.bucket_span_ms
        return units.ms_of(given, "analysis_config.model_prune_window")

    @property
    def train_buckets(self) -> int:
        """After how many buckets an LSTM is trained, and how many are kept to learn from."""
        given = self.model.train_buckets
        if given is not None:
            return given
        return min(max(_TRAIN_DAYS * _DAY_MS // self.bucket_span_ms, _TRAIN_MIN), _TRAIN_MAX)

    @property
    def fields(self) -> tuple[str, ...]:
        """All fields but the time and the summary count that rows must bring, each once."""
        named = [name for detector in self.detectors for name in detector.fields]
        return tuple(dict.fromkeys((*named, *self.influencers)))

    @property
    def metric_fields(self) -> frozenset[str]:
        """Those of `fields` that are measured as numbers."""
        return frozenset(
            detector.field_name
            for detector in self.detectors
            if detector.field_name and detector.spec.metrics != ("distinct_count",)
        )

    def to_json(self) -> dict[str, Any]:
        """Return the job as Elasticsearch would answer it, defaults written out; without its datafeed."""
        raw = self.model_dump(exclude_none=True, exclude={"datafeed_config"})
        raw = {"job_id": raw.pop("job_id"), "job_type": "anomaly_detector", **raw}
        analysis = raw["analysis_config"]
        analysis["detectors"] = [_detector_json(detector) for detector in self.detectors]
        analysis.pop("multivariate_by_fields", None)
        analysis["model_prune_window"] = units.duration_of(self.prune_window_ms)
        raw["analysis_limits"]["model_memory_limit"] = units.megabytes_text(self.memory_limit)
        for name, default in (("groups", []), ("model", LstmModel().model_dump(exclude_none=True))):
            if raw[name] == default:
                del raw[name]
        plot = raw["model_plot_config"]
        plot.setdefault("annotations_enabled", plot["enabled"])
        if self.model_plot_config == ModelPlot():
            del raw["model_plot_config"]
        raw.setdefault("daily_model_snapshot_retention_after_days", min(1, self.model_snapshot_retention_days))
        return raw


def parse_job(raw: object, *, job_id: str | None = None) -> JobConfig:
    """Return a job from its JSON.

    Args:
        raw: The body of a PUT, or a file's content.
        job_id: The id in the URL; without it the body has to hold one.

    Raises:
        JobsBodyError: An unknown or missing key, a value of another type.
        JobsValueError: A value that is not allowed, or that contradicts another.
    """
    if isinstance(raw, Mapping):
        ours = [
            name for name in _SET_BY_US if name in raw and not (name == "job_type" and raw[name] == "anomaly_detector")
        ]
        if ours:
            raise JobsValueError(f"cannot be set: {', '.join(ours)}; leave out what a GET added.", path=ours[0])
        raw = {name: value for name, value in raw.items() if name != "job_type"}
    job = read_body(JobConfig, raw)
    if job_id is not None and job.job_id and job.job_id != job_id:
        raise JobsValueError(f"the job_id in the body is {job.job_id!r}, in the address {job_id!r}.", path="job_id")
    known = job_id or job.job_id
    if not known:
        raise JobsBodyError("is required and is missing.", path="job_id")
    check_id(known, "job_id")
    for index, group in enumerate(job.groups):
        check_id(group, f"groups[{index}]")
    if known in job.groups:
        raise JobsValueError(f"a job may not have its own id {known!r} as a group.", path="groups")
    # As Elasticsearch takes an empty name.
    results = job.results_index_name or "shared"
    return _checked(job.model_copy(update={"job_id": known, "results_index_name": results}))


def _checked(job: JobConfig) -> JobConfig:
    analysis = job.analysis_config
    detectors = check_detectors(
        analysis.detectors, "analysis_config.detectors", summarised=analysis.summary_count_field_name is not None
    )
    job = job.model_copy(update={"analysis_config": analysis.model_copy(update={"detectors": detectors})})
    _check_spans(job)
    _check_limits(job)
    _check_absent(job)
    _check_model(job)
    _check_fields(job)
    if (job.daily_model_snapshot_retention_after_days or 0) > job.model_snapshot_retention_days:
        raise JobsValueError(
            f"is {job.daily_model_snapshot_retention_after_days}, more than model_snapshot_retention_days "
            f"({job.model_snapshot_retention_days}).",
            path="daily_model_snapshot_retention_after_days",
        )
    return job


def _check_spans(job: JobConfig) -> None:
    path = "analysis_config.bucket_span"
    if job.bucket_span_ms <= 0 or job.bucket_span_ms % 1000:
        raise JobsValueError(
            f"has to be whole seconds and at least 1s, got {job.analysis_config.bucket_span!r}.", path=path
        )
    if job.latency_ms < 0:
        raise JobsValueError(
            f"cannot be less than 0, got {job.analysis_config.latency!r}.", path="analysis_config.latency"
        )
    window = job.analysis_config.model_prune_window
    if window is not None and (job.prune_window_ms <= 0 or job.prune_window_ms % job.bucket_span_ms):
        raise JobsValueError(
            f"has to be a multiple of bucket_span ({job.analysis_config.bucket_span}), got {window!r}.",
            path="analysis_config.model_prune_window",
        )
    persist = job.background_persist_interval
    if persist is not None and units.ms_of(persist, "background_persist_interval") < 3_600_000:
        raise JobsValueError(f"has to be at least 1h, got {persist!r}.", path="background_persist_interval")


def _check_limits(job: JobConfig) -> None:
    given, path = job.analysis_limits.model_memory_limit, "analysis_limits.model_memory_limit"
    if job.memory_limit < _MEMORY_MIN:
        raise JobsValueError(f"has to be at least 1mb, got {given!r}.", path=path)
    if job.memory_limit > _MEMORY_MAX:
        raise JobsValueError(f"has to be below 8388608tb, got {given!r}.", path=path)


def _check_absent(job: JobConfig) -> None:
    analysis = job.analysis_config
    for name in (*_CATEGORIES, "multivariate_by_fields"):
        # What is switched off, as Elasticsearch may write it, asks for nothing.
        if getattr(analysis, name) and getattr(analysis, name) != {"enabled": False}:
            raise JobsValueError("is not supported yet; leave it out.", path=f"analysis_config.{name}")


def _check_model(job: JobConfig) -> None:
    model = job.model
    own = sorted(model.model_fields_set - {"type"})
    if model.type == "auto" and own and model != LstmModel():
        raise JobsValueError(
            f"goes with the model type lstm, got {getattr(model, own[0])!r} for auto; leave it out, or set the type.",
            path=f"model.{own[0]}",
        )
    # The first windows need as many buckets as they are long, and those that follow are what is learnt.
    if model.type == "lstm" and job.train_buckets < 2 * model.window:
        raise JobsValueError(
            f"has to be at least twice the window ({model.window}), got {job.train_buckets}.",
            path="model.train_buckets",
        )


def _check_fields(job: JobConfig) -> None:
    check_name(job.time_field, "data_description.time_field")
    for index, name in enumerate(job.influencers):
        check_name(name, f"analysis_config.influencers[{index}]")
    summary = job.summary_count_field
    if summary is not None:
        check_name(summary, "analysis_config.summary_count_field_name")
    named = (*job.fields, *([summary] if summary else []))
    if job.time_field in named:
        raise JobsValueError(
            f"the time field {job.time_field!r} may not be used in the analysis config.",
            path="data_description.time_field",
        )
    known = set(named)
    for name in sorted(known):
        parts = name.split(".")
        for end in range(1, len(parts)):
            if (outer := ".".join(parts[:end])) in known:
                raise JobsValueError(f"the fields {outer!r} and {name!r} cannot both be used.", path="analysis_config")


def _detector_json(detector: Detector) -> dict[str, Any]:
    raw: dict[str, Any] = {"detector_description": detector.description(), "function": detector.function}
    for name in ("field_name", "by_field_name", "partition_field_name"):
        if (value := getattr(detector, name)) is not None:
            raw[name] = value
    if detector.use_null:
        raw["use_null"] = True
    return {**raw, "detector_index": detector.detector_index}
