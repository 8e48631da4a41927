"""Results as Arrow tables of their containers, column by column: a model plot may have a million rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from gridwatch.jobs.tables import BUCKETS, INFLUENCERS, MODEL_PLOT, RECORDS

if TYPE_CHECKING:
    from gridwatch.containers import ContainerInfo
    from gridwatch.jobs.analysis import Bucket, InfluencerResult, ModelPlot, Record, Results
    from gridwatch.jobs.config import JobConfig

__all__ = ["record_id", "tables_of"]

_Columns: TypeAlias = dict[str, Any]
_Split: TypeAlias = tuple[tuple[tuple[str, str], ...], tuple[str, str] | None]
"""(field, value) of the partition, and of the by field."""


def tables_of(job: JobConfig, results: Results) -> dict[str, pa.Table]:
    """Return the rows of results by the name of their container, those of which there are any."""
    made: Iterable[tuple[ContainerInfo, Sequence[Any], Callable[[str, Sequence[Any]], _Columns]]] = (
        (BUCKETS, results.buckets, _buckets),
        (RECORDS, results.records, _records),
        (INFLUENCERS, results.influencers, _influencers),
        (MODEL_PLOT, results.model_plot, _plots),
    )
    return {
        info.name: _table(info, job, found, columns_of(job.job_id, found)) for info, found, columns_of in made if found
    }


def record_id(job_id: str, record: Record) -> str:
    """Return the key of a record: what it is about, never what it says."""
    return _key(
        job_id, record.timestamp, record.detector_index, record.function, *_named((record.partition, record.by))
    )


def _key(*parts: object) -> str:
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:32]


def _table(info: ContainerInfo, job: JobConfig, found: Sequence[Any], columns: _Columns) -> pa.Table:
    all_have = {
        "job_id": pa.repeat(job.job_id, len(found)),
        "ts": np.fromiter((one.timestamp for one in found), np.int64, len(found)),
        "bucket_span_ms": np.full(len(found), job.bucket_span_ms, np.int64),
    }
    columns = {**all_have, **columns}
    return pa.table([_array(columns[field.name], field.type) for field in info.arrow], schema=info.arrow)


def _array(column: Any, kind: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(kind):
        return pa.array(column).cast(kind)
    if isinstance(column, pa.Array):
        return column.cast(kind)
    return pa.array(column, kind, from_pandas=isinstance(column, np.ndarray) or None)


def _numbers(values: Iterable[float | None], many: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return numbers, NaN for what no column of GridDB takes, which becomes null."""
    column = np.fromiter((np.nan if one is None else one for one in values), np.float64, many)
    return np.where(np.isfinite(column), column, np.nan)


@dataclass(frozen=True, slots=True)
class _Entities:
    """What all rows of one series have."""

    partition_fields: str
    partition_value: str | None
    by_field: str | None
    by_value: str | None
    named: str
    values: str


def _entities_of(found: Iterable[Record | ModelPlot]) -> list[_Entities]:
    known: dict[_Split, _Entities] = {}
    listed = []
    for one in found:
        split = (one.partition, one.by)
        entities = known.get(split)
        if entities is None:
            entities = known[split] = _entities(split)
        listed.append(entities)
    return listed


def _entities(split: _Split) -> _Entities:
    partition, by = split
    values = [value for _, value in partition]
    return _Entities(
        json.dumps([list(part) for part in partition]),
        ",".join(values) if partition else None,
        by[0] if by else None,
        by[1] if by else None,
        "".join(f"\x1f{part}" for part in _named(split)),
        "".join(f"\x1f{part}" for part in (*values, *([by[1]] if by else []))),
    )


def _named(split: _Split) -> tuple[str, ...]:
    partition, by = split
    return tuple(part for one in (*partition, *([("by", by[1])] if by else [])) for part in one)


def _split_columns(entities: Sequence[_Entities]) -> _Columns:
    return {
        "partition_fields": [one.partition_fields for one in entities],
        "partition_value": [one.partition_value for one in entities],
        "by_field": [one.by_field for one in entities],
        "by_value": [one.by_value for one in entities],
    }


def _of(found: Sequence[Any], columns: Mapping[str, str]) -> _Columns:
    """Return columns that are attributes as they stand."""
    return {name: [getattr(one, attribute) for one in found] for name, attribute in columns.items()}


def _floats(found: Sequence[Any], columns: Mapping[str, str]) -> _Columns:
    return {
        name: _numbers((getattr(one, attribute) for one in found), len(found)) for name, attribute in columns.items()
    }


def _buckets(job_id: str, found: Sequence[Bucket]) -> _Columns:
    scores = dict.fromkeys(("anomaly_score", "initial_anomaly_score"), "score")
    return {
        "id": [_key(job_id, one.timestamp) for one in found],
        **_of(found, {name: name for name in ("event_count", "series", "is_interim", "processing_ms")}),
        **_floats(found, {"probability": "probability", **scores}),
        "influencers": [json.dumps([list(influencer) for influencer in one.influencers]) for one in found],
    }


def _records(job_id: str, found: Sequence[Record]) -> _Columns:
    entities = _entities_of(found)
    names = ("detector_index", "function", "field_name", "driver", "is_interim")
    numbers = {name: name for name in ("actual", "typical", "lower", "upper", "probability")}
    return {
        "id": [
            _key(f"{job_id}\x1f{one.timestamp}\x1f{one.detector_index}\x1f{one.function}{of.named}")
            for one, of in zip(found, entities, strict=True)
        ],
        **_split_columns(entities),
        **_of(found, {name: name for name in names}),
        **_floats(found, {**numbers, "record_score": "score", "initial_record_score": "score"}),
        "influencers": [json.dumps([[each.field_name, *each.values] for each in one.influencers]) for one in found],
    }


def _influencers(job_id: str, found: Sequence[InfluencerResult]) -> _Columns:
    scores = dict.fromkeys(("influencer_score", "initial_influencer_score"), "score")
    return {
        "id": [_key(job_id, one.timestamp, one.field_name, one.value) for one in found],
        **_of(found, {"field_name": "field_name", "field_value": "value", "is_interim": "is_interim"}),
        **_floats(found, {"probability": "probability", **scores}),
    }


def _plots(job_id: str, found: Sequence[ModelPlot]) -> _Columns:
    entities = _entities_of(found)
    return {
        "id": [
            _key(f"{job_id}\x1f{one.timestamp}\x1f{one.detector_index}\x1f{one.function}{of.values}")
            for one, of in zip(found, entities, strict=True)
        ],
        **_split_columns(entities),
        **_of(found, {"detector_index": "detector_index", "function": "function"}),
        **_floats(found, {name: name for name in ("actual", "lower", "median", "upper")}),
    }
