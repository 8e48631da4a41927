"""Jobs in files: those that gridwatch ships, and what a plan makes of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gridwatch.containers.schema import Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.containers.sqlite import SqliteStore
from gridwatch.errors import ConfigError, JobsRequestError
from gridwatch.jobs.config import parse_job
from gridwatch.jobs.files import Plan, plan, read_resources
from gridwatch.jobs.service import JobsService
from gridwatch.jobs.transform import TransformService

EXAMPLES = Path(__file__).parents[2] / "flows" / "jobs" / "examples"
NAMES = ("ecommerce_revenue", "event_rate_agg", "event_rate_logs", "event_rate_lstm", "events_by_action")
SHIPPED = {
    "transform hourly_events",
    *(f"job {name}" for name in NAMES),
    *(f"datafeed datafeed-{name}" for name in NAMES),
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
TRANSFORM: dict[str, Any] = {
    "source": {"index": "web"},
    "dest": {"index": "sums"},
    "pivot": {
        "group_by": {"host": {"terms": {"field": "host"}}},
        "aggregations": {"bytes": {"sum": {"field": "bytes"}}},
    },
}
WEB = ContainerInfo(
    "web",
    ContainerType.TIME_SERIES,
    (
        Column("time", ColumnType.TIMESTAMP, nullable=False),
        Column("bytes", ColumnType.DOUBLE),
        Column("host", ColumnType.STRING),
    ),
    ("time",),
)
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


def test_what_no_file_names_is_left_alone_without_prune(service: JobsService, tmp_path: Path) -> None:
    service.put_job({**JOB, "datafeed_config": FEED}, job_id="old")
    service.put_job({**JOB, "groups": ["web"]}, job_id="open")
    service.open_job("open")
    TransformService(service.store, now_ms=service.now_ms).put(TRANSFORM, transform_id="sum", defer_validation=True)
    write(tmp_path, "new", JOB)
    assert actions(planned(service, tmp_path)) == {"job new": "create"}
    found = planned(service, tmp_path, prune=True)
    gone = {"datafeed old": "delete", "job old": "delete", "transform sum": "delete"}
    assert actions(found) == {**gone, "job open": "refuse", "job new": "create"}
    assert found.refused[0].reason == "no file names it, but it is opened; close it first"
    write(tmp_path, "web", JOB)
    assert planned(service, tmp_path).refused[0].reason == "the id 'web' is the name of a group"
    service.close_job("open")
    planned(service, tmp_path, prune=True).apply(service)
    assert [job.id for job in service.resources.jobs()] == ["new", "web"]
    assert service.resources.datafeeds() == []


def test_a_datafeed_outlives_its_job_that_is_made_anew(service: JobsService, tmp_path: Path) -> None:
    service.put_job({**JOB, "datafeed_config": {**FEED, "frequency": "30m"}}, job_id="web")
    write(tmp_path, "web", {**JOB, "data_description": {"time_field": "when"}})
    assert "[data_description.time_field] never changes" in planned(service, tmp_path).refused[0].reason
    found = planned(service, tmp_path, recreate=True)
    assert actions(found) == {"job web": "recreate", "datafeed web": "recreate"}
    assert found.steps[1].reason == "its job 'web' is made anew"
    found.apply(service)
    assert service.resources.datafeed("web").config.frequency == "30m"
    assert service.resources.job("web").config.time_field == "when"


def test_what_runs_is_not_changed_under_its_feet(service: JobsService, tmp_path: Path) -> None:
    service.store.put_container(WEB)
    service.put_job({**JOB, "datafeed_config": FEED}, job_id="web")
    service.open_job("web")
    service.start_datafeed("web")
    limits = {"analysis_limits": {"model_memory_limit": "20mb"}}
    write(tmp_path, "web", {**JOB, **limits, "datafeed_config": {**FEED, "frequency": "30m"}})
    job, feed = planned(service, tmp_path).steps
    assert "Cannot update [analysis_limits] while job [web] is opened; close it first" in job.reason
    assert feed.warnings == ("it runs: it stops after the rows at hand, is changed, and goes on from where it was",)
    write(tmp_path, "web", {**JOB, "datafeed_config": {**FEED, "frequency": "30m"}})
    planned(service, tmp_path).apply(service)
    stored = service.resources.datafeed("web")
    assert (stored.state, stored.config.frequency) == ("started", "30m")
    write(tmp_path, "web", {**JOB, "datafeed_config": {**FEED, "indices": ["nowhere"]}})
    [refused] = planned(service, tmp_path).refused
    assert "no such index [nowhere]" in refused.reason
    assert "It is started; `gridwatch datafeeds stop web` stops it." in refused.reason
    write(tmp_path, "web", {**JOB, "datafeed_config": FEED})
    planned(service, tmp_path).apply(service)
    write(tmp_path, "web", {**JOB, "description": "Web", "datafeed_config": FEED})
    assert actions(planned(service, tmp_path)) == {"job web": "update", "datafeed web": "none"}


def test_a_transform_changes_in_place_or_is_made_anew(service: JobsService, tmp_path: Path) -> None:
    service.store.put_container(WEB)
    write(tmp_path, "sum", {**TRANSFORM, "frequency": "5m", "settings": {"docs_per_second": 100}})
    planned(service, tmp_path).apply(service)
    write(tmp_path, "sum", {**TRANSFORM, "description": "Sums"})
    found = planned(service, tmp_path)
    assert {one.path for one in found.steps[0].changes} == {"description", "frequency", "settings.docs_per_second"}
    found.apply(service)
    assert actions(planned(service, tmp_path)) == {"transform sum": "none"}
    fixed = "[dest.index] never changes in a transform that is there; --recreate deletes it"
    for dest, there, told in (
        ("elsewhere", False, []),
        ("others", True, ["the container 'elsewhere' is dropped, and written anew once the transform is started"]),
        ("last", False, ["the container 'others', which it has not made, stays as it is"]),
    ):
        write(tmp_path, "sum", {**TRANSFORM, "dest": {"index": dest}})
        [step] = planned(service, tmp_path).refused
        also = " and the container 'elsewhere'" if dest == "others" else ""
        assert step.reason == f"{fixed}{also}, and makes it anew"
        found = planned(service, tmp_path, recreate=True)
        assert list(found.steps[0].warnings) == told
        found.apply(service)
        assert actions(planned(service, tmp_path)) == {"transform sum": "none"}
        if there:
            service.store.put_container(replace(WEB, name=dest))
            continue
        transforms = TransformService(service.store, now_ms=service.now_ms)
        transforms.start("sum")
        transforms.stop("sum")
    assert {"others", "last"} <= set(service.store.containers())
    assert "elsewhere" not in service.store.containers()


DETECTORS = [{"function": "count"}, {"function": "mean", "field_name": "bytes", "detector_description": "size"}]


def test_datafeeds_change_their_jobs_with_each_other(service: JobsService, tmp_path: Path) -> None:
    service.store.put_container(WEB)

    def feed(name: str, job: str) -> None:
        write(tmp_path, name, {"job_id": job, **FEED})

    for job in ("a", "b"):
        write(tmp_path, job, JOB)
        feed(f"feed-{job}", job)
    planned(service, tmp_path).apply(service)
    feed("feed-a", "b")
    feed("feed-b", "a")
    refused = planned(service, tmp_path).refused
    assert [step.id for step in refused] == ["feed-a", "feed-b"]
    assert all(step.reason.endswith("; --recreate makes it anew") for step in refused)
    # One that no file names stays with its job.
    feed("a-third", "b")
    feed("feed-a", "a")
    (tmp_path / "feed-b.json").unlink()
    assert "--prune deletes it" in planned(service, tmp_path, recreate=True).refused[0].reason
    (tmp_path / "a-third.json").unlink()
    feed("feed-a", "b")
    feed("feed-b", "a")
    found = planned(service, tmp_path, recreate=True)
    assert actions(found) == {
        "job a": "none",
        "job b": "none",
        "datafeed feed-a": "recreate",
        "datafeed feed-b": "recreate",
    }
    found.apply(service)
    assert {one.id: one.config.job_id for one in service.resources.datafeeds()} == {"feed-a": "b", "feed-b": "a"}
    assert {step.action for step in planned(service, tmp_path).steps} == {"none"}


JOBS = st.fixed_dictionaries(
    {
        "analysis_config": st.fixed_dictionaries(
            {"detectors": st.lists(st.sampled_from(DETECTORS), min_size=1, max_size=2, unique_by=str)},
            optional={"bucket_span": st.sampled_from(["15m", "1h"]), "model_prune_window": st.just("40d")},
        )
    },
    optional={
        "description": st.sampled_from(["Web", "Sizes"]),
        "groups": st.lists(st.sampled_from(["x", "y"]), max_size=2, unique=True),
        "analysis_limits": st.sampled_from([{}, {"model_memory_limit": "20mb"}, {"model_memory_limit": 30}]),
        "model_plot_config": st.fixed_dictionaries({"enabled": st.booleans()}, optional={"terms": st.just("a")}),
        "results_retention_days": st.sampled_from([7, 30]),
        "custom_settings": st.sampled_from([{}, {"a": [1, {"b": None}]}, {"gridwatch": {"alert_score": 50}}]),
        "datafeed_config": st.fixed_dictionaries(
            {"indices": st.sampled_from([["web"], "web", ["web", "other*"]])},
            optional={
                "datafeed_id": st.sampled_from(["feed-a", "feed-b"]),
                "frequency": st.just("30m"),
                "query_delay": st.just("90s"),
                "query": st.sampled_from([{"match_all": {}}, {"term": {"host": "a"}}, {"bool": {}}]),
                "chunking_config": st.sampled_from([{"mode": "auto"}, {"mode": "manual", "time_span": "1h"}]),
                "delayed_data_check_config": st.sampled_from([{"enabled": False}, {"check_window": "4h"}]),
                "max_empty_searches": st.sampled_from([-1, 5]),
            },
        ),
    },
)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.dictionaries(st.sampled_from(["a", "b"]), JOBS, min_size=1, max_size=2))
def test_whatever_was_there_an_apply_leaves_what_files_say(
    service: JobsService, tmp_path: Path, bodies: dict[str, Any]
) -> None:
    """One store goes from state to state; what a plan refuses for good is two jobs that want one datafeed's id."""
    if service.store.container(WEB.name) is None:
        service.store.put_container(WEB)
    folder = tmp_path / "jobs"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.json"):
        old.unlink()
    for name, body in bodies.items():
        write(folder, name, body)
    ids = [
        body["datafeed_config"].get("datafeed_id", name) for name, body in bodies.items() if "datafeed_config" in body
    ]
    assume(len(set(ids)) == len(ids))
    found = planned(service, folder, recreate=True, prune=True)
    assert found.refused == ()
    found.apply(service)
    again = planned(service, folder, prune=True)
    assert {step.action for step in again.steps} == {"none"}
    for name, body in bodies.items():
        wanted = parse_job({**body, "datafeed_config": None}, job_id=name)
        assert service.resources.job(name).config.to_json() == wanted.to_json()
