"""The containers of jobs, datafeeds, transforms and results; docs/jobs.md explains each."""

from __future__ import annotations

from gridwatch.containers.catalog import collection

__all__ = [
    "BUCKETS",
    "DATAFEEDS",
    "INFLUENCERS",
    "JOBS",
    "MESSAGES",
    "MODEL_PLOT",
    "POSTED",
    "RECORDS",
    "TABLES",
    "TRANSFORMS",
]

JOBS = collection(
    "ml_jobs",
    "id:STRING! config:STRING state:STRING reason:STRING created_ms:LONG opened_ms:LONG finished_ms:LONG "
    "analysed_to_ms:LONG counts:STRING size:STRING timing:STRING",
    "id",
)
"""`config` is the job's JSON. `counts` and `size` tell of the newest state; the state itself is an object."""

DATAFEEDS = collection(
    "ml_datafeeds",
    "id:STRING! job_id:STRING config:STRING state:STRING reason:STRING created_ms:LONG start_ms:LONG end_ms:LONG "
    "searched_ms:LONG tried_ms:LONG searches:LONG empty_searches:LONG search_time_ms:DOUBLE checked_ms:LONG "
    "fed_to_ms:LONG error:STRING failing_since_ms:LONG failures:LONG late:STRING",
    "id",
    indexes=("job_id",),
)
"""`start_ms` and `end_ms` are those of the last start, null for open; `searched_ms` when it last searched to
the end, `tried_ms` when it last tried, `fed_to_ms` how far it has read. `error` is what the last search failed with,
null when it did not; `failures` have followed one another since `failing_since_ms`. `late` is JSON, {bucket: rows} that
came too late and were told of."""

TRANSFORMS = collection(
    "ml_transforms",
    "id:STRING! config:STRING state:STRING reason:STRING created_ms:LONG checkpoint:LONG checkpoint_ms:LONG "
    "done_to_ms:LONG stats:STRING",
    "id",
)

BUCKETS = collection(
    "ml_buckets",
    "id:STRING! job_id:STRING ts:TIMESTAMP bucket_span_ms:LONG event_count:LONG series:LONG probability:DOUBLE "
    "anomaly_score:DOUBLE initial_anomaly_score:DOUBLE influencers:STRING is_interim:BOOL processing_ms:LONG",
    "id",
    indexes=("job_id", "ts"),
)

RECORDS = collection(
    "ml_records",
    "id:STRING! job_id:STRING ts:TIMESTAMP bucket_span_ms:LONG detector_index:INTEGER function:STRING "
    "field_name:STRING partition_fields:STRING partition_value:STRING by_field:STRING by_value:STRING actual:DOUBLE "
    "typical:DOUBLE lower:DOUBLE upper:DOUBLE probability:DOUBLE record_score:DOUBLE initial_record_score:DOUBLE "
    "driver:STRING influencers:STRING is_interim:BOOL",
    "id",
    indexes=("job_id", "ts"),
)
"""`partition_fields` is JSON, [[field, value], ...]; `partition_value` joins the values by a comma, to look for."""

INFLUENCERS = collection(
    "ml_influencers",
    "id:STRING! job_id:STRING ts:TIMESTAMP bucket_span_ms:LONG field_name:STRING field_value:STRING "
    "probability:DOUBLE influencer_score:DOUBLE initial_influencer_score:DOUBLE is_interim:BOOL",
    "id",
    indexes=("job_id", "ts"),
)

MODEL_PLOT = collection(
    "ml_model_plot",
    "id:STRING! job_id:STRING ts:TIMESTAMP bucket_span_ms:LONG detector_index:INTEGER function:STRING "
    "partition_fields:STRING partition_value:STRING by_field:STRING by_value:STRING actual:DOUBLE lower:DOUBLE "
    "median:DOUBLE upper:DOUBLE",
    "id",
    indexes=("job_id", "ts"),
)

MESSAGES = collection(
    "ml_messages",
    "id:STRING! job_id:STRING ts:TIMESTAMP level:STRING message:STRING said:LONG",
    "id",
    indexes=("job_id",),
)
"""What a job's owner should know: late rows, memory, searches that failed. `said` orders those of one millisecond."""

POSTED = collection(
    "ml_posted",
    "id:STRING! job_id:STRING base:STRING number:LONG key:STRING rows:BLOB invalid:LONG input_bytes:LONG",
    "id",
    indexes=("job_id",),
)
"""Posts that are in no stored state yet. `base` is the object id of the state that they follow, "" for none; `rows` is
Parquet."""

TABLES = (JOBS, DATAFEEDS, TRANSFORMS, BUCKETS, RECORDS, INFLUENCERS, MODEL_PLOT, MESSAGES, POSTED)
"""All of them."""
