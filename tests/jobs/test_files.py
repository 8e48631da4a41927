"""Jobs in files: those that gridwatch ships, and what a plan makes of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gridwatch.containers.sqlite import SqliteStore
from gridwatch.errors import ConfigError, JobsRequestError
from gridwatch.jobs.files import Plan, plan, read_resources
from gridwatch.jobs.service import JobsService

EXAMPLES = Path(__file__).parents[2] / "flows" / "jobs" / "examples"
SHIPPED = {
    "transform hourly_events",
    *(f"job {name}" for name in ("ecommerce_revenue", "event_rate_agg", "event_rate_logs", "events_by_action")),
    *(
        f"datafeed datafeed-{name}"
        for name in ("ecommerce_revenue", "event_rate_agg", "event_rate_logs", "events_by_action")
    ),
}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[JobsService]:
    with SqliteStore(tmp_path / "store.db") as store:
        yield JobsService(store, now_ms=lambda: 1_700_000_000_000)


def planned(service: JobsService, folder: Path, **options: bool) -> Plan:
    return plan(service, read_resources([folder]), **options)


def actions(found: Plan) -> dict[str, str]:
    return {f"{step.kind} {step.id}": step.action for step in found.steps}


def write(folder: Path, name: str, body: object) -> Path:
    path = folder / f"{name}.json"
    path.write_text(body if isinstance(body, str) else json.dumps(body), encoding="utf-8")
    return path


def test_all_shipped_files_can_be_applied_and_none_is_applied_unasked(service: JobsService) -> None:
    assert not list(EXAMPLES.parent.glob("*.json")), "what is in flows/jobs itself becomes every user's job"
    found = planned(service, EXAMPLES)
    assert set(actions(found)) == SHIPPED
    assert set(actions(found).values()) == {"create"}
    found.apply(service)
    assert set(actions(planned(service, EXAMPLES)).values()) == {"none"}
    assert {job.state for job in service.resources.jobs()} == {"closed"}
    assert {feed.state for feed in service.resources.datafeeds()} == {"stopped"}
    # What is written out by a GET is the same job, so a job can be taken from a store into Git.
    assert planned(service, EXAMPLES, prune=True).count("none") == len(SHIPPED)


FEED = {"indices": ["web"]}
JOB: dict[str, Any] = {"analysis_config": {"bucket_span": "1h", "detectors": [{"function": "count"}]}}


@pytest.mark.parametrize(
    ("name", "body", "told"),
    [
        ("a", "{", r"a.json' is no JSON: Expecting property name .* in line 1, column 2"),
        ("a", [], r"a.json' is of no kind that is known: a job has analysis_config, a datafeed indices, a transform"),
        ("a", {**JOB, **FEED}, "is of no kind that is known"),
        ("a", {**JOB, "job_id": 5}, "its job_id 5 is no text"),
        ("a", {**JOB, "datafeed_config": "x"}, "its datafeed_config is no object"),
        ("b", {**JOB, "job_id": "web"}, r"b.json' and '.*web.json' are both for the job 'web'; keep one"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, name: str, body: object, told: str) -> None:
    write(tmp_path, "web", JOB)
    write(tmp_path, name, body)
    with pytest.raises(ConfigError, match=told):
        read_resources([tmp_path])


@pytest.mark.parametrize(
    ("bodies", "reason"),
    [
        ({"web": {**JOB, "groups": ["x", "Y"]}}, "[groups[1]] invalid id 'Y'"),
        ({"web": {**JOB, "grups": []}}, "did you mean [groups]?"),
        ({"feed": FEED}, "[job_id] is required"),
        ({"feed": {**FEED, "job_id": "none"}}, "there is no job 'none', and no file for it"),
        ({"web": {**JOB, "grups": []}, "feed": {**FEED, "job_id": "web"}}, "its job 'web' is refused"),
        (
            {"web": {**JOB, "datafeed_config": FEED}, "feed": {**FEED, "job_id": "web"}},
            "job 'web' has another datafeed in these files, 'feed'",
        ),
        (
            {"web": {**JOB, "datafeed_config": {**FEED, "aggregations": {}}}},
            "a datafeed with aggregations needs a job with summary_count_field_name",
        ),
        ({"t": {"pivot": {}, "source": {"index": "web"}, "dest": {"index": "d"}}}, "[pivot"),
    ],
)
def test_what_is_wrong_is_refused_with_its_reason_and_nothing_is_done(
    service: JobsService, tmp_path: Path, bodies: dict[str, Any], reason: str
) -> None:
    folder = tmp_path / "jobs"
    folder.mkdir()
    for name, body in {**bodies, "right": JOB}.items():
        write(folder, name, body)
    found = planned(service, folder)
    assert reason in " ".join(step.reason for step in found.refused)
    with pytest.raises(JobsRequestError, match=f"{len(found.refused)} of the resources are refused; nothing was"):
        found.apply(service)
    assert service.resources.jobs() == []
