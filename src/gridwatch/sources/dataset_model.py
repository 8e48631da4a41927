"""The fields of a dataset and what they may hold; docs/datasets.md explains each."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

import pandas as pd
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from gridwatch.containers import PLAIN_TYPES, Column, ColumnType, ContainerInfo
from gridwatch.containers.catalog import FIXED, OHLCV, series_info, series_name
from gridwatch.containers.schema import Partitioning
from gridwatch.recipients import wants

__all__ = [
    "AlphaVantageSource",
    "CsvFolderSource",
    "Dataset",
    "DateRange",
    "DetectorChoice",
    "LstmModel",
    "Retention",
    "SampleSource",
    "Schedule",
    "Threshold",
    "ValueColumn",
]

_NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"

# What GridDB and Kafka both take as a name; `.dlq` is put behind it, and Kafka's topics end at 249 characters.
_CONTAINER = r"^[A-Za-z_][A-Za-z0-9_]{0,199}$"
_THRESHOLDS: dict[str, float | None] = {"alarm": None, "score": 95.0, "loss": 0.65}
_RULES = {"lstm": "score", "lstm-fixed": "loss"}  # of the detectors that do not learn as they go
_RESERVED = ("SCORE_", "ANOMALY_", "ML_", "__")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SampleSource(_Model):
    """A packaged real series: a stock of `bokeh_sampledata` (AAPL, FB, GOOG, IBM, MSFT) or its sea temperatures."""

    kind: Literal["sample"]
    series: str


class AlphaVantageSource(_Model):
    """Alpha Vantage's intraday CSV."""

    kind: Literal["alpha_vantage"]
    symbol: str
    adjusted: bool = False
    extended_hours: bool = True


class CsvFolderSource(_Model):
    """CSV files; `pattern` picks them, those with `daily` in their name being the newest day's.

    A relative `path` is taken from the folder of the dataset file.
    """

    kind: Literal["csv_folder"]
    path: Path
    pattern: str = "*.csv"
    daily_pattern: str | None = None


class ValueColumn(_Model):
    """One value column of the container."""

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,255}$")
    type: ColumnType = ColumnType.DOUBLE


class DateRange(_Model):
    """Days, both included, in the dataset's time zone; open where None."""

    start: date | None = None
    end: date | None = None

    @model_validator(mode="after")
    def _ordered(self) -> DateRange:
        if self.start and self.end and self.start > self.end:
            msg = f"start {self.start} is after end {self.end}"
            raise ValueError(msg)
        return self


class LstmModel(_Model):
    """Size and training of the LSTM."""

    kind: Literal["lstm"] = "lstm"
    window: int = Field(30, ge=2, le=1000, description="Rows that predict the next one.")
    units: list[int] = Field([32], min_length=1, max_length=4, description="Units of each LSTM layer.")
    dropout: float = Field(0.0, ge=0, lt=1)
    epochs: int = Field(60, ge=1, le=10_000)
    patience: int = Field(6, ge=1)
    batch_size: int | None = Field(None, ge=1, description="Windows a step; unset: a tenth of them, 64 to 512.")
    learning_rate: float | None = Field(None, gt=0, description="Adam's first; unset: 0.0025 for 64 windows a step.")
    validation_fraction: float = Field(0.05, gt=0, lt=1, description="Newest part kept from training.")
    seed: int = Field(7, ge=0)


class DetectorChoice(_Model):
    """Which detector: all but `lstm` and `lstm-fixed` learn as they go."""

    type: Literal["auto", "auto+lstm", "seasonal", "shape", "range", "spectral", "lstm", "lstm-fixed"] = "auto"

    @property
    def online(self) -> bool:
        """Whether it learns as it goes."""
        return self.type not in _RULES


class Threshold(_Model):
    """When a scored row is an anomaly.

    By `alarm`: the alarm stream of a detector that learns as it goes, 0 to 100; by `score`: how rare the row is by
    itself, 0 to 100; or by a fixed `loss` in standard deviations. Without a `value` the rule's own, and for `alarm` the
    detector's.
    """

    rule: Literal["alarm", "score", "loss"] = "score"
    value: float | None = Field(None, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _own_value(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and raw.get("value") is None:
            return raw | {"value": _THRESHOLDS.get(str(raw.get("rule", "score")))}
        return raw


def _zone(name: str) -> str:
    if name not in available_timezones():
        msg = f"unknown time zone {name!r}; use a name such as America/New_York or UTC"
        raise ValueError(msg)
    return name


def _cron(line: str) -> str:
    if len(line.split()) != 5 or re.search(r"[^\w\s*/,#?-]", line):
        msg = f"{line!r} is no cron line; five fields are wanted: minute, hour, day, month, weekday"
        raise ValueError(msg)
    return line


Zone = Annotated[str, AfterValidator(_zone)]
Cron = Annotated[str, AfterValidator(_cron)]


class Schedule(_Model):
    """Cron lines, in America/New_York unless `timezone` says otherwise."""

    ingest: Cron = "30 16 * * 1-5"
    detect: Cron = "30 17 * * 1-5"
    train: Cron = "0 6 * * 6"
    timezone: Zone = "America/New_York"


class Retention(_Model):
    """How many days things are kept; None: rows for ever, the others as the settings say."""

    rows_days: int | None = Field(None, ge=1, le=36_500, description="Rows of the source, from their own time.")
    scores_days: int | None = Field(None, ge=1, le=36_500, description="Scored rows, from their own time.")
    anomalies_days: int | None = Field(None, ge=1, le=36_500, description="Anomalies, from when they were found.")
    expire: bool = Field(False, description="On GridDB: rows lie in partitions of time that GridDB drops by itself.")

    @model_validator(mode="after")
    def _expires_after_days(self) -> Retention:
        if self.expire and self.rows_days is None:
            msg = "expire needs rows_days, which says when"
            raise ValueError(msg)
        return self


class Dataset(_Model):
    """One series to watch.

    A frame of this dataset, wherever one is passed, has the column `ts` (datetime64[ms, UTC]) and the value columns in
    the order of `columns`, oldest row first.
    """

    name: str = Field(pattern=_NAME)
    description: str = ""
    enabled: bool = Field(True, description="Whether it is worked on when no dataset is named.")
    symbol: str = Field(min_length=1, max_length=64, description="Series name; decides the names of its containers.")
    container: str = Field("", pattern=_CONTAINER, description="Container and topic of the source rows.")
    source: Annotated[SampleSource | AlphaVantageSource | CsvFolderSource, Field(discriminator="kind")]
    timezone: Zone = Field("America/New_York", description="Zone of the source's local times.")
    time_column: str = Field("timestamp", description="Name of the time column at the source.")
    columns: list[ValueColumn] = Field(
        default_factory=lambda: [ValueColumn(name=c.name, type=c.type) for c in OHLCV], min_length=1
    )
    value: str = Field("close", description="Column that is learnt and scored.")
    feature: Literal["log_return", "level"] = "log_return"
    detector: DetectorChoice = Field(default_factory=DetectorChoice, description="What learns and scores the value.")
    interval: str = Field("1min", description="Pandas offset between two rows, such as 1min, 1h, 1D.")
    calendar: str | None = Field(None, description="Exchange calendar, such as XNYS; none: round the clock.")
    history_months: int = Field(4, ge=1, le=240, description="Months of history that load_batch asks for.")
    train_months: int | None = Field(3, ge=1, le=240, description="Newest months that are learnt; None: all.")
    training: DateRange = Field(default_factory=DateRange)
    scoring: DateRange = Field(default_factory=DateRange)
    suite: str = Field("ohlcv", pattern=_NAME)
    model: LstmModel = Field(default_factory=LstmModel)
    threshold: Threshold = Field(
        default_factory=lambda: Threshold(rule="alarm"), description="When a row is an anomaly."
    )
    schedule: Schedule = Field(default_factory=Schedule)
    retention: Retention = Field(default_factory=Retention, description="How long things are kept.")
    recipients: list[str] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _container_of_the_symbol(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and "container" not in raw and isinstance(raw.get("symbol"), str):
            return raw | {"container": f"INTRADAY_{series_name(raw['symbol'])}"}
        return raw

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_detector(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        threshold = raw.get("threshold", {})
        # Files from before there was a choice set the LSTM up without naming it.
        older = "model" in raw or (isinstance(threshold, dict) and threshold.get("rule") == "loss")
        chosen = raw.get("detector", {"type": "lstm" if older else "auto"})
        kind = chosen.get("type", "auto") if isinstance(chosen, dict) else getattr(chosen, "type", "auto")
        if isinstance(threshold, dict):
            threshold = {"rule": _RULES.get(str(kind), "alarm")} | threshold
        feature = {"feature": "level"} if kind == "lstm-fixed" else {}
        return feature | raw | {"detector": chosen, "threshold": threshold}

    @field_validator("container")
    @classmethod
    def _free_container(cls, container: str) -> str:
        # Names of containers are compared without case.
        if container.upper().startswith(_RESERVED):
            msg = f"{container!r} starts with one of {', '.join(_RESERVED)}, which are kept for gridwatch and Kafka"
            raise ValueError(msg)
        if container.lower() in {info.name.lower() for info in FIXED}:
            msg = f"{container!r} is a container that gridwatch keeps for itself"
            raise ValueError(msg)
        return container

    @field_validator("interval")
    @classmethod
    def _known_interval(cls, interval: str) -> str:
        try:
            step = pd.Timedelta(interval)
        except (ValueError, TypeError) as error:
            msg = f"{interval!r} is no interval; use one such as 1min, 15min, 1h or 1D"
            raise ValueError(msg) from error
        if not step >= pd.Timedelta(milliseconds=1):  # so that NaT fails too
            msg = f"{interval!r} is shorter than 1ms"
            raise ValueError(msg)
        return interval

    @field_validator("calendar")
    @classmethod
    def _known_calendar(cls, calendar: str | None) -> str | None:
        if calendar is not None and not _calendar_exists(calendar):
            msg = f"unknown exchange calendar {calendar!r}; use a code such as XNYS, XLON or XTKS, or null for none"
            raise ValueError(msg)
        return calendar

    @field_validator("recipients")
    @classmethod
    def _addresses(cls, recipients: list[str]) -> list[str]:
        for recipient in recipients:
            wants(recipient)
        return recipients

    @model_validator(mode="after")
    def _value_is_a_column(self) -> Dataset:
        names = [column.name for column in self.columns]
        for column in self.columns:
            if column.type is ColumnType.BLOB or column.type not in PLAIN_TYPES:
                msg = f"columns ['{column.name}'] are {column.type}, which no source has"
                raise ValueError(msg)
        if len({name.lower() for name in names} | {"ts"}) != len(names) + 1:
            msg = f"columns {names} repeat a name, or use 'ts', which is the time"
            raise ValueError(msg)
        chosen = next((column for column in self.columns if column.name == self.value), None)
        if chosen is None:
            msg = f"value {self.value!r} is none of the columns {names}"
            raise ValueError(msg)
        if chosen.type in {ColumnType.STRING, ColumnType.BLOB, ColumnType.BOOL, ColumnType.TIMESTAMP}:
            msg = f"value {self.value!r} is a {chosen.type} column; it must be a number"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _rule_of_the_detector(self) -> Dataset:
        if self.threshold.rule == "alarm" and not self.detector.online:
            msg = f"threshold rule 'alarm' is none of detector {self.detector.type!r}; use score or loss"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _keeps_what_it_learns(self) -> Dataset:
        days, months = self.retention.rows_days, self.train_months
        if days is not None and months is not None and days < 31 * months:
            msg = (
                f"retention.rows_days {days} is less than the {months} months that training learns; keep rows for "
                f"{31 * months} days or more, or lower train_months"
            )
            raise ValueError(msg)
        return self

    @property
    def info(self) -> ContainerInfo:
        """Schema of the container with the source rows."""
        return series_info(self.container, tuple(Column(column.name, column.type) for column in self.columns))

    @property
    def expiring_info(self) -> ContainerInfo:
        """The same with partitions that GridDB drops `rows_days` after they end, of a thirtieth of that time each."""
        days = self.retention.rows_days or 1
        partitioning = Partitioning("ts", interval=max(days // 30, 1), interval_unit="DAY", expiration=days)
        return replace(self.info, partitioning=partitioning)

    @property
    def interval_ms(self) -> int:
        """Time between two rows, in ms."""
        return pd.Timedelta(self.interval) // pd.Timedelta(milliseconds=1)

    @property
    def rows_min(self) -> int:
        """Fewest rows that a validation lets pass: twice the model's window."""
        return 2 * self.model.window

    @property
    def model_name(self) -> str:
        """Name of the registered model."""
        return f"gridwatch-{self.name}"

    def range_ms(self, days: DateRange) -> tuple[int | None, int | None]:
        """Return the first and last ms (both included) of a date range in the dataset's time zone."""
        zone = ZoneInfo(self.timezone)

        def midnight_ms(day: date, plus_days: int) -> int:
            moment = pd.Timestamp(day) + pd.Timedelta(days=plus_days)
            return int(moment.tz_localize(zone, ambiguous=True, nonexistent="shift_forward").timestamp() * 1000)

        start_ms = midnight_ms(days.start, 0) if days.start else None
        end_ms = midnight_ms(days.end, 1) - 1 if days.end else None
        return start_ms, end_ms


def _calendar_exists(name: str) -> bool:
    """Tell whether there is such an exchange calendar; asks the package only for names that no file of it has."""
    spec = find_spec("exchange_calendars")
    folders = [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []
    if name.isalnum() and any((folder / f"exchange_calendar_{name.lower()}.py").is_file() for folder in folders):
        return name.isupper()
    import exchange_calendars

    return name in exchange_calendars.get_calendar_names(include_aliases=True)
