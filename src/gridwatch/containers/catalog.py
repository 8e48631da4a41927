"""The containers that gridwatch itself keeps: names and schemas. `docs/containers.md` explains each."""

from __future__ import annotations

import hashlib
import re

from gridwatch.containers.schema import Column, ColumnType, ContainerInfo, ContainerType

__all__ = [
    "ARTIFACTS",
    "ARTIFACT_CHUNKS",
    "DELIVERIES",
    "DETECTIONS",
    "FIXED",
    "LABELS",
    "LEASES",
    "LOADS",
    "OHLCV",
    "SNOOZES",
    "TRAININGS",
    "VALIDATIONS",
    "anomaly_container",
    "anomaly_id",
    "anomaly_info",
    "collection",
    "score_container",
    "score_info",
    "series_info",
    "series_name",
]

_T = ColumnType


def series_name(symbol: str) -> str:
    """Return the `<S>` of container names: other characters than A-Z a-z 0-9 _ become _, S_ goes before a digit.

    >>> series_name("BRK.B"), series_name("7203.T")
    ('BRK_B', 'S_7203_T')
    """
    name = re.sub(r"[^A-Za-z0-9_]", "_", symbol)
    return f"S_{name}" if name[:1].isdigit() else name


def score_container(symbol: str) -> str:
    """Return the name of the container of scored rows."""
    return f"SCORE_{series_name(symbol)}"


def anomaly_container(symbol: str) -> str:
    """Return the name of the container of anomalies."""
    return f"ANOMALY_{series_name(symbol)}"


def anomaly_id(source: str, detector: str, partition: str, ts_ms: int) -> str:
    """Return the row key of an anomaly: 32 hex digits, the same for the same source, detector, partition and time."""
    text = "\x1f".join((source, detector, partition, str(ts_ms)))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _columns(text: str) -> tuple[Column, ...]:
    """Columns from `name:TYPE` words; a trailing `!` means never null."""
    pairs = (word.rstrip("!").split(":") for word in text.split())
    return tuple(
        Column(name, ColumnType(kind), nullable=not word.endswith("!"))
        for (name, kind), word in zip(pairs, text.split(), strict=True)
    )


def collection(name: str, text: str, *key: str, indexes: tuple[str, ...] = ()) -> ContainerInfo:
    """Return the schema of a collection, its columns as `name:TYPE` words; a trailing `!` means never null."""
    return ContainerInfo(name, ContainerType.COLLECTION, _columns(text), key, indexes)


OHLCV = _columns("open:DOUBLE high:DOUBLE low:DOUBLE close:DOUBLE volume:LONG")


def series_info(container: str, columns: tuple[Column, ...] = OHLCV) -> ContainerInfo:
    """Return the schema of a source series: `ts` and the dataset's value columns."""
    return ContainerInfo(
        container, ContainerType.TIME_SERIES, (Column("ts", _T.TIMESTAMP, nullable=False), *columns), ("ts",)
    )


def score_info(symbol: str) -> ContainerInfo:
    """Return the schema of `SCORE_<S>`: every row that was scored."""
    columns = _columns(
        "ts:TIMESTAMP! actual:DOUBLE expected:DOUBLE lower:DOUBLE upper:DOUBLE loss:DOUBLE score:DOUBLE p_value:DOUBLE "
        "detector:STRING model_version:STRING driver:STRING anomaly_score:DOUBLE segment_score:DOUBLE surprise:DOUBLE"
    )
    return ContainerInfo(score_container(symbol), ContainerType.TIME_SERIES, columns, ("ts",))


def anomaly_info(symbol: str) -> ContainerInfo:
    """Return the schema of `ANOMALY_<S>`: rows at or above the threshold, with where they come from."""
    return collection(
        anomaly_container(symbol),
        "id:STRING! ts:TIMESTAMP detector:STRING partition:STRING actual:DOUBLE expected:DOUBLE lower:DOUBLE "
        "upper:DOUBLE loss:DOUBLE score:DOUBLE p_value:DOUBLE severity:STRING detected_ms:LONG model_uri:STRING "
        "model_sha256:STRING run_id:STRING validation_id:STRING flow_run_id:STRING input_from_ms:LONG input_to_ms:LONG "
        "driver:STRING anomaly_score:DOUBLE segment_score:DOUBLE surprise:DOUBLE explanation:STRING "
        "scored_ms:LONG source:STRING source_column:STRING input_rows:LONG input_sha256:STRING trained_from_ms:LONG "
        "trained_to_ms:LONG trained_rows:LONG trained_sha256:STRING provenance:STRING",
        "id",
        indexes=("ts", "detected_ms"),
    )


VALIDATIONS = collection(
    "validations",
    "id:STRING! dataset:STRING container:STRING suite:STRING run_ms:LONG success:BOOL rows:LONG from_ms:LONG "
    "to_ms:LONG expectations:INTEGER failed:INTEGER failures:STRING report:STRING flow_run_id:STRING",
    "id",
    indexes=("run_ms",),
)
"""`failures` is JSON: what failed, with the failing rows named; `report` is the path of the Data Docs page."""

DELIVERIES = collection(
    "deliveries",
    "id:STRING! anomaly_id:STRING container:STRING channel:STRING recipients:STRING status:STRING attempts:INTEGER "
    "first_ms:LONG last_ms:LONG next_ms:LONG message_id:STRING error:STRING possible_duplicate:BOOL held:STRING "
    "digest:STRING",
    "id",
    indexes=("status", "anomaly_id", "last_ms"),
)
"""`id` is the idempotency key, anomaly id and channel; `status` is pending, sending, sent, dead or skipped.

No try is made before `next_ms`; `held` says what it waits for where that is no failure."""

SNOOZES = collection(
    "snoozes",
    "series:STRING! until_ms:LONG up_to:STRING note:STRING author:STRING said_ms:LONG",
    "series",
)
"""Series that nobody wants mails of for a while; what is worse than `up_to` is mailed all the same."""

DETECTIONS = collection(
    "detections",
    "dataset:STRING! scored_to_ms:LONG ingested_rows:LONG model_uri:STRING model_sha256:STRING run_ms:LONG "
    "scored:LONG anomalies:LONG validation_id:STRING flow_run_id:STRING",
    "dataset",
)
"""Watermarks: how far each dataset has been scored."""

TRAININGS = collection(
    "trainings",
    "run_id:STRING! dataset:STRING model_version:STRING model_uri:STRING champion:BOOL trained_ms:LONG rows:LONG "
    "from_ms:LONG to_ms:LONG epochs:INTEGER val_loss:DOUBLE val_mae:DOUBLE champion_mae:DOUBLE naive_mae:DOUBLE "
    "anomaly_rate:DOUBLE validation_id:STRING flow_run_id:STRING detector:STRING",
    "run_id",
    indexes=("trained_ms",),
)
"""What MLflow knows of each training, for those who look at the store alone, such as Grafana."""

LABELS = collection(
    "labels",
    "id:STRING! series:STRING partition:STRING anomaly_id:STRING from_ms:LONG to_ms:LONG label:STRING note:STRING "
    "author:STRING labelled_ms:LONG",
    "id",
    indexes=("series",),
)
"""Rows are only added: of those of one target the newest counts, and `removed` takes a label back."""

LOADS = collection(
    "loads",
    "dataset:STRING! batch:STRING! rows:LONG rejected:LONG from_ms:LONG to_ms:LONG loaded_ms:LONG",
    "dataset",
    "batch",
)
"""Batches of a source, such as months or files, that are in their container already: a load resumes after them."""

LEASES = collection("leases", "name:STRING! holder:STRING until_ms:LONG", "name")
"""Who may do a job that only one process should do at a time."""

ARTIFACTS = collection(
    "mlflow_artifacts",
    "path:STRING! object_id:STRING size:LONG sha256:STRING chunks:INTEGER chunk_size:INTEGER stored_ms:LONG "
    "manifest_sha256:STRING",
    "path",
)
"""The manifest row is the commit point of an object; it is written after the chunks."""

ARTIFACT_CHUNKS = collection(
    "mlflow_artifact_chunks", "object_id:STRING! chunk:INTEGER! data:BLOB sha256:STRING", "object_id", "chunk"
)

FIXED = (VALIDATIONS, DELIVERIES, SNOOZES, DETECTIONS, TRAININGS, LABELS, LOADS, LEASES, ARTIFACTS, ARTIFACT_CHUNKS)
"""Every container whose name does not depend on a dataset."""
