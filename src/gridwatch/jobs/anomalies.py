"""Records that people should hear of, as anomaly rows: the same way on as those of a dataset's detection."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from gridwatch.containers.catalog import anomaly_id, anomaly_info
from gridwatch.detectors import job_severity_of
from gridwatch.jobs.bucket_rows import bucket_digest
from gridwatch.pipeline.anomaly_rows import library_versions

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.jobs.analysis import Record
    from gridwatch.jobs.analysis.lstm_network import Network
    from gridwatch.jobs.bucket_rows import RowsOf
    from gridwatch.jobs.config import JobConfig

__all__ = ["ALERT_SCORE", "alert_score", "anomaly_row", "write_anomalies"]

ALERT_SCORE = 75.0
"""Records below it raise no alarm: what Elasticsearch's users call critical."""


def alert_score(job: JobConfig) -> float:
    """Return the least score that raises an alarm: `custom_settings.gridwatch.alert_score`, or `ALERT_SCORE`."""
    ours = (job.custom_settings or {}).get("gridwatch")
    given = ours.get("alert_score") if isinstance(ours, dict) else None
    return float(given) if isinstance(given, int | float) else ALERT_SCORE


def write_anomalies(
    store: Store,
    job: JobConfig,
    records: Sequence[Record],
    *,
    source: str,
    model_sha256: str | None,
    now_ms: int,
    network: Network | None = None,
    rows_of: RowsOf | None = None,
) -> int:
    """Write the records that raise an alarm to `ANOMALY_<job>`; return how many were not there before.

    Args:
        store: Where to.
        job: Whose they are.
        records: Final records.
        source: Containers that the rows came from.
        model_sha256: Of the state that judged them.
        now_ms: When they were found, UTC epoch ms; those that are there keep theirs.
        network: What judges buckets after those that it was trained on.
        rows_of: Gives the rows of a bucket again, whose digest the anomalies then name; None where nobody keeps them.
    """
    least = alert_score(job)
    told = [record for record in records if record.score >= least and not record.is_interim]
    if not told:
        return 0
    info = anomaly_info(job.job_id)
    store.put_container(info, modifiable=True)
    rows = [
        {
            **anomaly_row(job, record, source, network),
            "model_sha256": model_sha256,
            "detected_ms": now_ms,
            "scored_ms": now_ms,
        }
        for record in told
    ]
    known = set(store.get(info.name, [row["id"] for row in rows])["id"].to_pylist())
    new = [row for row in rows if row["id"] not in known]
    if new:
        rows = _with_digests(new, rows_of, job.bucket_span_ms) if rows_of is not None else new
        store.put(info.name, pa.Table.from_pylist(rows, schema=info.arrow))
    return len(new)


def _with_digests(rows: list[dict[str, Any]], rows_of: RowsOf, span_ms: int) -> list[dict[str, Any]]:
    """Return rows that name how many rows their bucket has, and the digest over them."""
    known = {ts: bucket_digest(rows_of, ts, ts + span_ms) for ts in sorted({row["ts"] for row in rows})}
    return [{**row, "input_rows": known[row["ts"]][0], "input_sha256": known[row["ts"]][1]} for row in rows]


def anomaly_row(job: JobConfig, record: Record, source: str, network: Network | None = None) -> dict[str, Any]:
    """Return what a record and its job say of an anomaly row.

    Args:
        job: Whose it is.
        record: A final record.
        source: Containers that the rows came from.
        network: What judges buckets after those that it was trained on.
    """
    if network is not None and record.timestamp < network.learnt.to_ms:
        network = None
    said: dict[str, Any] = {"job": job.job_id, "libraries": library_versions(), "severity_by": "score"}
    said |= {} if network is None else {"network": network.uri, "network_sha256": network.sha256}
    detector = f"{job.job_id}/{record.detector_index}/{record.function}"
    entities = [*record.partition, *([record.by] if record.by else [])]
    partition = ", ".join(f"{name}={value}" for name, value in entities)
    return {
        "id": anomaly_id(source, detector, partition, record.timestamp),
        "ts": record.timestamp,
        "detector": detector,
        "partition": partition,
        "actual": record.actual,
        "expected": record.typical,
        "lower": record.lower,
        "upper": record.upper,
        "score": record.score,
        "p_value": record.probability,
        "severity": job_severity_of(record.score),
        "driver": record.driver,
        "model_uri": f"jobs:/{job.job_id}",
        "input_from_ms": record.timestamp,
        "input_to_ms": record.timestamp + job.bucket_span_ms - 1,
        "source": source,
        "source_column": record.field_name,
        "provenance": json.dumps(said, sort_keys=True),
        "run_id": None if network is None else network.run_id or None,
    }
