"""Sample data of several seeds: what was put in is critical in each of them, and little that is ordinary.

The seeds are the first after that of the samples; 30 of them gave what is asserted here, with five buckets at most that
are critical and ordinary. Rows go straight into the analysis, as the datafeeds of `test_seed` bring them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pytest

from gridwatch.jobs.analysis import Analyzer, Record
from gridwatch.jobs.analysis.models import BUCKETS
from gridwatch.jobs.config import parse_job
from gridwatch.sources.kibana_rows import PutAnomaly
from gridwatch.sources.kibana_samples import make_samples

HOUR = 3_600_000
SEEDS = (2, 3, 4)


def _ms(times: pd.Series) -> npt.NDArray[np.int64]:
    return np.asarray(pa.array(times).cast(pa.timestamp("ms", "UTC")).cast(pa.int64()), np.int64)


def _logs(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"timestamp": _ms(rows["timestamp"])})


def _orders(rows: pd.DataFrame) -> pd.DataFrame:
    rows = rows[rows["geoip.continent_name"] == "Europe"]
    named = rows["geoip.country_iso_code"] + "-" + rows["customer_gender"]
    return rows.assign(**{"country-gender": named}, order_date=_ms(rows["order_date"]))


def _events(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(**{"@timestamp": _ms(rows["at_timestamp"])})


def _hourly(rows: pd.DataFrame) -> pd.DataFrame:
    hours = pd.DataFrame({"@timestamp": _ms(rows["at_timestamp"]) // HOUR * HOUR, "event.action": rows["event.action"]})
    return hours.value_counts(sort=False).rename("event.count").reset_index()


JOBS: dict[str, tuple[str, Callable[[pd.DataFrame], pd.DataFrame], dict[str, int], int]] = {
    "event_rate_logs": ("kibana_sample_data_logs", _logs, {"burst": 1, "outage": 1}, 2),
    "ecommerce_europe": ("kibana_sample_data_ecommerce", _orders, {"dear": 2, "silence": 1}, 4),
    "event_count_direct": ("security_events", _events, {"guessing": 1, "deleting": 1}, 3),
    "event_count_max": ("security_events", _hourly, {"guessing": 1, "deleting": 1}, 4),
}
"""Container, its rows as the datafeed brings them, how much of what is odd is critical at least, and else at most."""


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_put_in_is_critical_and_little_that_is_ordinary(seed: int) -> None:
    samples = {sample.info.name: sample for sample in make_samples(seed=seed)}
    for name, (container, brought, wanted, others) in JOBS.items():
        sample = samples[container]
        records, buckets = _analysed(name, brought(sample.rows.to_pandas()))
        critical = [record for record in records if record.score >= 75.0]
        for kind, least in wanted.items():
            puts = [put for put in sample.anomalies if put.kind == kind]
            found = [put for put in puts if any(_hit(record, put) for record in critical)]
            assert len(found) >= least, (name, kind)
        ordinary = [one for one in records if not any(_hit(one, put) for put in sample.anomalies)]
        assert sum(one.score >= 75.0 for one in ordinary) <= others, name
        assert sum(one.score >= 25.0 for one in ordinary) < 4e-3 * buckets, name


def _analysed(name: str, rows: pd.DataFrame) -> tuple[list[Record], int]:
    """Return the records of a job, and how many buckets of all series were judged."""
    body = json.loads((Path(__file__).parent / "seed" / f"{name}.json").read_text(encoding="utf-8"))
    body.pop("datafeed_config")
    body["analysis_config"].pop("influencers", None)
    job = parse_job(body, job_id=name)
    analyzer = Analyzer(job, BUCKETS)
    results = analyzer.push(rows[[job.time_field, *job.fields]])
    results.extend(analyzer.advance(int(rows[job.time_field].max()) + job.bucket_span_ms))
    return results.records, sum(bucket.series for bucket in results.buckets)


def _hit(record: Record, put: PutAnomaly) -> bool:
    """Whether a record tells of something that was put in, itself or the bucket beside it."""
    named = {put.entities.get("event.action"), put.entities.get("geoip.country_iso_code")} - {None}
    partition = ",".join(value for _, value in record.partition)
    return put.start_ms - HOUR < record.timestamp < put.end_ms + HOUR and all(str(one) in partition for one in named)
