"""The Prefect flow run behind an anomaly, asked for over Prefect's REST API: the client library lives in the flows."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from gridwatch.provenance.link import Link, Status

if TYPE_CHECKING:
    from gridwatch.provenance.subject import Subject
    from gridwatch.settings import Settings

__all__ = ["flow_run"]

_TIMEOUT_S = 5.0
_NAME = "flow run"


def flow_run(subject: Subject, settings: Settings) -> Link:
    """Look the flow run up where a server is configured or up."""
    import requests

    run_id = subject["flow_run_id"]
    if not run_id:
        return Link(_NAME, Status.NOT_RECORDED, "No flow run: it was asked for by a command or a job.")
    facts = {"flow_run_id": run_id}
    if not settings.prefect.api_url:
        text = f"Flow run {run_id}; no Prefect server is up or configured (GRIDWATCH_PREFECT__API_URL)."
        return Link(_NAME, Status.NOT_CONFIGURED, text, facts)
    try:
        answer = requests.get(
            f"{settings.prefect.api_url.rstrip('/')}/flow_runs/{quote(run_id, safe='')}", timeout=_TIMEOUT_S
        )
        if answer.status_code == requests.codes.not_found:
            return Link(_NAME, Status.MISSING, f"Prefect has no flow run {run_id} any more.", facts)
        answer.raise_for_status()
        found = answer.json()
        name, state = str(found["name"]), str(found["state_name"])
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        text = f"Flow run {run_id}: Prefect did not answer as it should ({type(error).__name__})."
        return Link(_NAME, Status.UNREACHABLE, text, facts)
    return Link(_NAME, Status.OK, f"Flow run {name!r} ({run_id}), {state}.", {**facts, "name": name, "state": state})
