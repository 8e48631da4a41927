"""What an anomaly's row names of what led to it, before anybody checks it: for a page that answers at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridwatch.pipeline.label_targets import instant
from gridwatch.provenance import addresses
from gridwatch.provenance.link import Link, Status

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.provenance.subject import Subject
    from gridwatch.settings import Settings

__all__ = ["recorded"]


def recorded(subject: Subject, store: Store, settings: Settings) -> list[Link]:
    """Return the links of the chain as the row has them, named as those of `explain`; `NOT_RECORDED` for nothing.

    Args:
        subject: The anomaly.
        store: Holds the validation, whose report is linked.
        settings: Where other programs are.
    """
    row = subject
    model = [
        _said("model bytes", row["model_sha256"] and f"sha256 {row['model_sha256']}"),
        _said("model version", row["model_uri"], addresses.model_url(settings, row["model_uri"])),
        _said("MLflow run", row["run_id"]),
        _said("training rows", _rows(subject, "trained", settings)),
    ]
    job = [_said("job", subject.job_id)]
    libraries = subject.said.get("libraries")
    versions = (
        ", ".join(f"{name} {at}" for name, at in sorted(libraries.items())) if isinstance(libraries, dict) else ""
    )
    return [
        _said("anomaly", f"{subject.id} in {subject.container}"),
        _said("input rows", _rows(subject, "input", settings)),
        *(model if subject.job_id is None else job),
        _said("validation", row["validation_id"], _report(subject, store, settings)),
        _said("flow run", row["flow_run_id"], addresses.flow_run_url(settings, row["flow_run_id"])),
        _said("libraries", versions),
    ]


def _said(name: str, text: str | None, url: str | None = None) -> Link:
    if not text:
        return Link(name, Status.NOT_RECORDED, "None is written down.")
    return Link(name, Status.OK, text, url=url)


def _rows(subject: Subject, prefix: str, settings: Settings) -> str:
    from_ms, to_ms = subject[f"{prefix}_from_ms"], subject[f"{prefix}_to_ms"]
    if from_ms is None or to_ms is None:
        return ""
    count, sha256, source = subject[f"{prefix}_rows"], subject[f"{prefix}_sha256"], subject.source(settings)
    many = "Rows" if count is None else f"{count:,} rows"
    of = "" if source is None else f" of {source[0]}.{source[1]}"
    return f"{many}{of} from {instant(from_ms)} to {instant(to_ms)}" + (f", sha256 {sha256}" if sha256 else "")


def _report(subject: Subject, store: Store, settings: Settings) -> str | None:
    from gridwatch.containers.catalog import VALIDATIONS

    key = subject["validation_id"]
    if not key or not settings.links.data_docs_url or store.container(VALIDATIONS.name) is None:
        return None
    found = store.get(VALIDATIONS.name, [key]).to_pylist()
    return addresses.data_docs_url(settings, found[0]["report"]) if found else None
