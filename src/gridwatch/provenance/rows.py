"""The rows behind an anomaly, read and hashed again: those that were scored, and those that were learnt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gridwatch.containers.catalog import anomaly_id
from gridwatch.errors import ContainerNotFoundError
from gridwatch.pipeline.label_targets import instant
from gridwatch.pipeline.series import Series
from gridwatch.provenance.link import Link, Status

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.provenance.subject import Subject
    from gridwatch.settings import Settings

__all__ = ["inputs", "key", "read_rows", "training"]


def key(subject: Subject) -> Link:
    """Check the row's own key, which is a digest of what it is about."""
    facts = {"container": subject.container, "id": subject.id}
    if not subject["source"]:
        return Link(
            "anomaly", Status.NOT_RECORDED, "An older gridwatch wrote the row without naming its source.", facts
        )
    again = anomaly_id(subject["source"], subject["detector"] or "", subject["partition"] or "", subject.ts_ms)
    if again != subject.id:
        text = f"Source, detector, partition and time give the key {again}, which is not the row's."
        return Link("anomaly", Status.CHANGED, text, facts)
    return Link(
        "anomaly", Status.OK, f"Row {subject.id} of {subject.container}; its key is that of its contents.", facts
    )


def inputs(subject: Subject, store: Store, settings: Settings) -> Link:
    """Hash the rows again that the score was made from."""
    if subject.job_id is not None:
        return _of_bucket(subject, store)
    return _rows("input rows", subject, store, settings, "input")


def _of_bucket(subject: Subject, store: Store) -> Link:
    """Hash the rows of a job's bucket again, as its datafeed reads them; the model has learnt those before it."""
    from gridwatch.jobs.bucket_rows import bucket_digest
    from gridwatch.jobs.extraction import Extraction
    from gridwatch.jobs.resources import Resources

    name, count, sha256 = "input rows", subject["input_rows"], subject["input_sha256"]
    span = f"{instant(subject['input_from_ms'])} to {instant(subject['input_to_ms'])}"
    facts = {"from_ms": subject["input_from_ms"], "to_ms": subject["input_to_ms"], "rows": count, "sha256": sha256}
    if not sha256:
        return Link(
            name, Status.NOT_RECORDED, f"Rows from {span} that were posted, or came to an older gridwatch.", facts
        )
    resources = Resources(store, make=False)
    found = next((one for one in resources.jobs() if one.id == subject.job_id), None)
    feed = None if found is None else resources.datafeed_of(found.id)
    if found is None or feed is None:
        what = "job" if found is None else "datafeed"
        return Link(name, Status.MISSING, f"{count:,} rows from {span}: the {what} that read them is gone.", facts)
    extraction = Extraction(store, found.config, feed.config, now_ms=int(subject["scored_ms"] or subject.ts_ms))
    many, now = bucket_digest(extraction.frames, subject["input_from_ms"], subject["input_to_ms"] + 1)
    what = f"{count:,} rows of {subject['source']} from {span}, as the datafeed reads them"
    if now == sha256:
        return Link(name, Status.OK, f"{what}, digest {sha256[:12]}, as then.", facts)
    facts |= {"rows_now": many, "sha256_now": now}
    return Link(name, Status.CHANGED, f"{what}: {many:,} now, digest {now[:12]}, not {sha256[:12]}.", facts)


def training(subject: Subject, store: Store, settings: Settings) -> Link:
    """Hash the rows again that the model was trained on."""
    return _rows("training rows", subject, store, settings, "trained")


def read_rows(store: Store, container: str, column: str, from_ms: int, to_ms: int) -> Series:
    """Return the rows of a range, both ends included, those without a value left out; none of a container that is gone.

    Raises:
        StoreError: The store failed, or the container has no such column.
    """
    try:
        return Series.of(store.read(container, from_ms, to_ms, columns=["ts", column]), column)
    except ContainerNotFoundError:
        return Series.none()


def _rows(name: str, subject: Subject, store: Store, settings: Settings, prefix: str) -> Link:
    from_ms, to_ms = subject[f"{prefix}_from_ms"], subject[f"{prefix}_to_ms"]
    count, sha256 = subject[f"{prefix}_rows"], subject[f"{prefix}_sha256"]
    source = subject.source(settings)
    facts: dict[str, Any] = {"from_ms": from_ms, "to_ms": to_ms, "rows": count, "sha256": sha256}
    if source is not None:
        facts |= {"container": source[0], "column": source[1]}
    if from_ms is None or to_ms is None:
        return Link(name, Status.NOT_RECORDED, "Which they were was not written down.", facts)
    span = f"{instant(from_ms)} to {instant(to_ms)}"
    if source is None or not sha256:
        why = "of a job; `gridwatch replay` goes through them" if subject.job_id else "without a digest"
        return Link(name, Status.NOT_RECORDED, f"Rows from {span}, {why}.", facts)
    found = read_rows(store, *source, from_ms, to_ms)
    what = f"{count:,} rows of {source[0]}.{source[1]} from {span}"
    if not len(found):
        return Link(name, Status.MISSING, f"{what}: none of them is there any more.", facts)
    now = found.sha256()
    if now != sha256:
        facts |= {"rows_now": len(found), "sha256_now": now}
        moved = f"{len(found):,} rows now" if len(found) != count else "values or times have changed"
        return Link(
            name, Status.CHANGED, f"{what}: {moved}, so that the digest is {now[:12]}, not {sha256[:12]}.", facts
        )
    return Link(name, Status.OK, f"{what}, digest {sha256[:12]}, as then.", facts)
