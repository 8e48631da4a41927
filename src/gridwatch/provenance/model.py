"""The model behind an anomaly: its bytes hashed again, its version and run looked up in MLflow; or the job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gridwatch.errors import GridwatchError, JobsNotFoundError
from gridwatch.provenance.link import Link, Status

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.provenance.subject import Subject
    from gridwatch.settings import Settings
    from gridwatch.tracking import RecordedVersion

__all__ = ["job", "missing_database", "model", "network", "not_there"]


def model(subject: Subject, settings: Settings) -> list[Link]:
    """Check bytes, version and run of the model that scored."""
    from gridwatch import tracking

    names = ("model bytes", "model version", "MLflow run")
    uri, sha256 = subject["model_uri"], subject["model_sha256"]
    if not uri:
        return [Link(name, Status.NOT_RECORDED, "The row names no model.") for name in names]
    place = missing_database(settings)
    if place is not None:
        text = f"There is no MLflow database at {place}."
        return [_kept(settings, sha256, Status.MISSING, text), *(Link(one, Status.MISSING, text) for one in names[1:])]
    text = tracking.server_away(settings) or ""
    try:
        found = None if text else tracking.recorded_version(settings, uri)
    except GridwatchError as error:
        text = str(error)
    if text:
        return [
            _kept(settings, sha256, Status.UNREACHABLE, text),
            *(Link(one, Status.UNREACHABLE, text) for one in names[1:]),
        ]
    if found is None:
        text = f"MLflow has no {uri} any more."
        return [_kept(settings, sha256, Status.MISSING, text), *(Link(one, Status.MISSING, text) for one in names[1:])]
    return [_bytes(found, settings, sha256), _version(found, subject), _run(found, subject)]


def missing_database(settings: Settings) -> str | None:
    """Return where MLflow's own database is missing: a client would make an empty one there."""
    path = settings.tracking_uri.removeprefix("sqlite:///")
    return path if path != settings.tracking_uri and not Path(path).is_file() else None


def not_there(settings: Settings) -> str | None:
    """Return why MLflow cannot be asked, in a sentence; None where it can."""
    from gridwatch import tracking

    place = missing_database(settings)
    return tracking.server_away(settings) if place is None else f"There is no MLflow database at {place}."


def _kept(settings: Settings, sha256: str | None, status: Status, text: str) -> Link:
    """Return the link of bytes that MLflow does not give: the home folder may keep them."""
    from gridwatch import tracking

    if sha256 and tracking.kept_parts(settings, sha256):
        text += " The home folder keeps a copy with the same digest."
    return Link("model bytes", status, text, {"sha256": sha256})


def _bytes(found: RecordedVersion, settings: Settings, sha256: str | None) -> Link:
    facts = {"sha256": sha256, "sha256_now": found.parts_sha256, "files": sorted(found.parts), "uri": found.uri}
    size = sum(map(len, found.parts.values()))
    if not found.parts:
        return _kept(settings, sha256, Status.MISSING, f"The files of {found.uri} cannot be read: {found.parts_error}.")
    if found.parts_sha256 != sha256:
        text = f"The stored files of {found.uri} have the digest {found.parts_sha256[:12]}, not {str(sha256)[:12]}."
        return Link("model bytes", Status.CHANGED, text, facts)
    text = f"{size:,} bytes in {', '.join(facts['files'] or [])}, sha256 {found.parts_sha256[:12]}, as then."
    return Link("model bytes", Status.OK, text, facts)


def _version(found: RecordedVersion, subject: Subject) -> Link:
    facts = {"uri": found.uri, "sha256": found.sha256, "trained_sha256": found.learnt.sha256}
    if found.sha256 != subject["model_sha256"]:
        text = f"{found.uri} is registered with the digest {found.sha256[:12]}, not {subject['model_sha256'][:12]}."
        return Link("model version", Status.CHANGED, text, facts)
    if found.learnt.sha256 != subject["trained_sha256"]:
        text = f"{found.uri} is registered with other training rows than the anomaly names."
        return Link("model version", Status.CHANGED, text, facts)
    return Link("model version", Status.OK, f"{found.uri}, registered with this digest.", facts)


def _run(found: RecordedVersion, subject: Subject) -> Link:
    run_id = subject["run_id"]
    facts = {"run_id": run_id, "name": found.run_name, "experiment_id": found.experiment_id}
    if found.run_id != run_id:
        text = f"The row names run {run_id}, and {found.uri} comes from {found.run_id}."
        return Link("MLflow run", Status.CHANGED, text, facts)
    if found.run_name is None:
        return Link("MLflow run", Status.MISSING, f"MLflow has no run {run_id} any more.", facts)
    if found.run_stage != "active":
        return Link("MLflow run", Status.MISSING, f"Run {run_id} ({found.run_name}) is {found.run_stage}.", facts)
    learnt = subject["trained_sha256"]
    if learnt and found.dataset_digest and not learnt.startswith(found.dataset_digest):
        text = f"Run {run_id} names rows of the digest {found.dataset_digest}, not {learnt[:16]}."
        return Link("MLflow run", Status.CHANGED, text, facts)
    return Link("MLflow run", Status.OK, f"Run {run_id} ({found.run_name}).", facts)


def job(subject: Subject, store: Store) -> list[Link]:
    """Check that the job is there, with its record of the bucket."""
    from gridwatch.jobs.resources import Resources

    job_id = subject.job_id or ""
    facts = {"job_id": job_id, "state_sha256": subject["model_sha256"]}
    try:
        found = Resources(store, make=False).job(job_id)
    except JobsNotFoundError:
        return [Link("job", Status.MISSING, f"There is no job {job_id!r} any more.", facts)]
    text = f"Job {job_id!r} is there ({found.state}). The state that judged the bucket has learnt more rows since."
    return [Link("job", Status.OK, text, facts)]


def network(subject: Subject, settings: Settings) -> list[Link]:
    """Check the bytes of the network that judged a job's bucket; no link where the usual model did."""
    from gridwatch import tracking

    uri, sha256 = subject.said.get("network"), subject.said.get("network_sha256")
    if not sha256:
        return []
    facts = {"uri": uri, "sha256": sha256}
    if not uri:
        return [Link("network", Status.NOT_RECORDED, "The network is kept in the state of its job alone.", facts)]
    place = missing_database(settings)
    if place is not None:
        return [Link("network", Status.MISSING, f"There is no MLflow database at {place}.", facts)]
    away = tracking.server_away(settings)
    if away is not None:
        return [Link("network", Status.UNREACHABLE, away, facts)]
    found = tracking.recorded_version(settings, uri)
    if found is None:
        return [Link("network", Status.MISSING, f"MLflow has no {uri} any more.", facts)]
    return [replace(_bytes(found, settings, sha256), name="network"), _run(found, subject)]
