"""`explain`: the chain of an anomaly, each link checked against what is there now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from gridwatch.errors import GridwatchError
from gridwatch.provenance import addresses, flow_run, model, rows, told
from gridwatch.provenance.link import Chain, Link, Status
from gridwatch.provenance.subject import find_subject

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.provenance.subject import Subject
    from gridwatch.settings import Settings

__all__ = ["explain"]


def explain(
    store: Store, settings: Settings, key: str, *, progress: Callable[[int, int | None], None] | None = None
) -> Chain:
    """Return all that led to an anomaly, each link checked: bytes and rows are hashed again, runs looked up.

    Args:
        store: Holds the anomaly and its rows.
        settings: MLflow, Prefect, Data Docs.
        key: Id of the anomaly, or the first six digits or more of it.
        progress: Told the checks done, of how many.

    Raises:
        ProvenanceError: There is no such anomaly, or several.
    """
    subject = find_subject(store, key)
    checks: list[tuple[str, Callable[[], list[Link]]]] = [
        ("anomaly", lambda: [rows.key(subject)]),
        ("input rows", lambda: [rows.inputs(subject, store, settings)]),
        *_of_model(subject, store, settings),
        ("validation", lambda: [told.validation(subject, store)]),
        ("flow run", lambda: [flow_run.flow_run(subject, settings)]),
        ("libraries", lambda: [told.libraries(subject)]),
        ("label", lambda: told.labels(subject, store)),
        ("receipts", lambda: told.receipts(subject, store, settings)),
    ]
    links: list[Link] = []
    urls = _urls(subject, settings)
    for done, (name, check) in enumerate(checks):
        if progress is not None:
            progress(done, len(checks))
        links += [
            replace(link, url=urls[link.name](link)) if link.name in urls else link for link in _checked(name, check)
        ]
    return Chain(
        id=subject.id,
        container=subject.container,
        series=subject.series,
        ts_ms=subject.ts_ms,
        detector=str(subject["detector"] or ""),
        severity=subject["severity"],
        explanation=subject["explanation"],
        links=links,
    )


def _of_model(subject: Subject, store: Store, settings: Settings) -> list[tuple[str, Callable[[], list[Link]]]]:
    if subject.job_id is not None:
        return [("job", lambda: model.job(subject, store)), ("network", lambda: model.network(subject, settings))]
    return [
        ("model", lambda: model.model(subject, settings)),
        ("training rows", lambda: [rows.training(subject, store, settings)]),
    ]


def _urls(subject: Subject, settings: Settings) -> dict[str, Callable[[Link], str | None]]:
    """Return where links can be looked at, by their names."""
    return {
        "model version": lambda _: addresses.model_url(settings, subject["model_uri"]),
        "MLflow run": lambda link: addresses.run_url(settings, link.facts.get("experiment_id"), subject["run_id"]),
        "flow run": lambda _: addresses.flow_run_url(settings, subject["flow_run_id"]),
        "validation": lambda link: addresses.data_docs_url(settings, link.facts.get("report")),
    }


def _checked(name: str, check: Callable[[], list[Link]]) -> list[Link]:
    """Run one check; a service that is away is a finding, and the other links are checked all the same."""
    try:
        return check()
    except GridwatchError as error:
        return [Link(name, Status.UNREACHABLE, str(error))]
