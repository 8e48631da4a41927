"""Every job, datafeed and transform of the article that gridwatch follows, as it stands, over the sample data.

What the article shows as a picture only is rebuilt from its text: the shop's job and the one over the transform. What
was put into the sample data is found at its place, and what is ordinary stays quiet.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gridwatch.containers.sqlite import SqliteStore
from gridwatch.jobs.results import Wanted
from gridwatch.jobs.service import JobsService
from gridwatch.jobs.transform import Ran, TransformService
from gridwatch.sources.kibana_rows import PutAnomaly
from gridwatch.sources.kibana_samples import START_MS, write_samples

SEED = Path(__file__).parent / "seed"
END_MS = START_MS + 28 * 86_400_000
JOBS = (
    "event_rate_logs",
    "event_rate_logs2",
    "event_rate_agg",
    "ecommerce_europe",
    "ecommerce_europe_two_fields",
    "event_count_max",
    "event_count_summarised",
    "event_count_direct",
)


def body(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SEED / f"{name}.json").read_text(encoding="utf-8"))
    return found


@dataclass
class World:
    """All of it, run once."""

    service: JobsService
    transforms: TransformService
    put: list[PutAnomaly]
    summarised: Ran
    records: dict[str, list[dict[str, Any]]]

    def known(self, kind: str) -> list[PutAnomaly]:
        return [one for one in self.put if one.kind == kind]

    def put_into(self, job: str) -> list[PutAnomaly]:
        """Return what was put into the rows that a job reads, at first hand or summed up."""
        [index] = body(job)["datafeed_config"]["indices"]
        return [one for one in self.put if one.container in {index, index.replace("hourly", "security")}]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    def now_ms() -> int:
        return END_MS + 3_600_000

    with SqliteStore(tmp_path_factory.mktemp("seed") / "store.db") as store:
        put = write_samples(store)
        service, transforms = JobsService(store, now_ms=now_ms), TransformService(store, now_ms=now_ms)
        transforms.put(body("hourly_events"), transform_id="hourly_events")
        transforms.start("hourly_events")
        [summarised] = transforms.run_due(now_ms())
        world = World(service, transforms, put, summarised, {})
        for name in JOBS:
            service.put_job(body(name), job_id=name)
            if name == "event_rate_logs2":
                service.put_datafeed(body("datafeed-event_rate_logs2"), datafeed_id="datafeed-event_rate_logs2")
            [feed] = [one for one in service.resources.datafeeds() if one.config.job_id == name]
            service.open_job(name)
            service.start_datafeed(feed.id, end_ms=END_MS)
            assert service.run_datafeed(feed.id).done
            wanted = Wanted(sort="record_score", descending=True, size=10_000)
            world.records[name] = service.results.find("records", [name], wanted).rows
        yield world


def about(record: dict[str, Any]) -> tuple[int, str, float]:
    return round(record["ts"].timestamp() * 1000), _partition(record), record["actual"]


def _partition(record: dict[str, Any]) -> str:
    return (record["partition_value"] or "").replace(",", "-")


def told(records: list[dict[str, Any]]) -> list[tuple[int, str, float, float]]:
    return sorted((*about(one), round(one["record_score"], 9)) for one in records)


def hit(record: dict[str, Any], put: PutAnomaly) -> bool:
    """Whether a record tells of something that was put in, itself or the bucket after it."""
    ms, partition, _ = about(record)
    there = put.start_ms - record["bucket_span_ms"] < ms < put.end_ms + record["bucket_span_ms"]
    named = {put.entities.get("event.action"), put.entities.get("geoip.country_iso_code")} - {None}
    return there and all(str(one) in partition for one in named)


def scores(world: World, job: str, put: PutAnomaly) -> list[float]:
    return [record["record_score"] for record in world.records[job] if hit(record, put)]


def test_a_job_with_its_datafeed_apart_and_one_that_aggregates_tell_the_same(world: World) -> None:
    assert told(world.records["event_rate_logs"])
    assert told(world.records["event_rate_logs2"]) == told(world.records["event_rate_logs"])
    assert told(world.records["event_rate_agg"]) == told(world.records["event_rate_logs"])


def test_the_previews_are_what_the_article_shows(world: World) -> None:
    preview = world.service.preview_datafeed("datafeed-event_rate_logs2")
    assert len(preview) == 1000
    assert all(list(row) == ["timestamp"] and isinstance(row["timestamp"], int) for row in preview)
    aggregated = world.service.preview_datafeed("datafeed-event_rate_agg")
    assert set(aggregated[0]) == {"timestamp", "doc_count"}
    assert aggregated[0]["doc_count"] == sum(row["timestamp"] <= aggregated[0]["timestamp"] for row in preview)


def test_the_shops_rows_are_those_of_europe_with_the_runtime_field(world: World) -> None:
    name = "ecommerce_europe"
    feed = body(name)["datafeed_config"]
    assert feed["query"] == body("europe.query")["query"]
    assert feed["runtime_mappings"] == body("country-gender.runtime_mappings")["runtime_mappings"]
    rows = world.service.preview_datafeed(name)
    assert {row["geoip.country_iso_code"] for row in rows} == {"GB", "FR", "DE", "MC"}
    assert all(row["country-gender"] == f"{row['geoip.country_iso_code']}-{row['customer_gender']}" for row in rows)
    assert set(rows[0]) == {
        "order_date", "taxful_total_price", "country-gender", "geoip.country_iso_code", "customer_gender",
    }  # fmt: skip


def test_two_partition_fields_tell_what_the_joined_field_tells_and_keep_the_two_apart(world: World) -> None:
    joined, apart = world.records["ecommerce_europe"], world.records["ecommerce_europe_two_fields"]
    assert told(apart) == told(joined)
    [one, *_] = [
        record for record in joined if json.loads(record["partition_fields"]) == [["country-gender", "GB-MALE"]]
    ]
    blamed = [["geoip.country_iso_code", "GB"], ["customer_gender", "MALE"]]
    [other, *_] = [record for record in apart if json.loads(record["partition_fields"]) == blamed]
    assert one["ts"] == other["ts"]
    assert json.loads(one["influencers"]) == json.loads(other["influencers"]) == blamed


def test_the_transforms_documents_have_the_articles_shape(world: World) -> None:
    assert body("hourly_events")["pivot"] == body("hourly_events.pivot")["pivot"]
    shown = body("hourly_events.document")
    preview = world.transforms.preview(transform_id="hourly_events")["preview"]
    assert preview[0].keys() == shown.keys()
    assert preview[0]["event"].keys() == shown["event"].keys()
    assert world.summarised.error == ""
    rows = world.service.store.read("hourly_events")
    assert rows.num_rows == world.summarised.written
    assert sum(rows["event.count"].to_pylist()) == world.service.store.read("security_events").num_rows


def test_counts_of_the_summary_tell_what_counts_of_the_events_tell(world: World) -> None:
    assert told(world.records["event_count_direct"])
    assert told(world.records["event_count_summarised"]) == told(world.records["event_count_direct"])


@pytest.mark.parametrize(
    ("job", "kind", "least"),
    [
        ("event_rate_logs", "burst", 75.0),
        ("ecommerce_europe", "dear", 75.0),
        ("event_count_max", "guessing", 75.0),
        ("event_count_max", "deleting", 75.0),
        ("event_count_direct", "guessing", 75.0),
        ("event_count_direct", "deleting", 75.0),
        ("event_rate_logs", "outage", 75.0),
        ("event_count_direct", "locked", 15.0),
        ("ecommerce_europe", "silence", 75.0),
    ],
)
def test_what_was_put_in_is_found(world: World, job: str, kind: str, least: float) -> None:
    assert max(scores(world, job, world.known(kind)[0]), default=0.0) >= least


@pytest.mark.parametrize("job", ["event_rate_logs", "ecommerce_europe", "event_count_max", "event_count_direct"])
def test_the_worst_record_is_at_a_place_that_is_known(world: World, job: str) -> None:
    assert any(hit(world.records[job][0], put) for put in world.put_into(job))


@pytest.mark.parametrize("place", [1, 2])
def test_what_comes_again_is_told_again(world: World, place: int) -> None:
    assert max(scores(world, "ecommerce_europe", world.known("dear")[place]), default=0.0) >= 75.0


@pytest.mark.parametrize(
    "job",
    [
        "event_rate_logs",
        "ecommerce_europe",
        "event_count_direct",
        "event_count_max",
    ],
)
def test_what_is_ordinary_stays_quiet(world: World, job: str) -> None:
    ordinary = [one for one in world.records[job] if not any(hit(one, put) for put in world.put_into(job))]
    assert sum(one["record_score"] >= 75.0 for one in ordinary) <= 1
    assert sum(one["record_score"] >= 25.0 for one in ordinary) <= 7


def test_what_is_odd_elsewhere_is_not_seen(world: World) -> None:
    [put] = world.known("elsewhere")
    assert not any(about(one)[1].startswith("US") for one in world.records["ecommerce_europe"])
    assert max(scores(world, "ecommerce_europe", put), default=0.0) < 75.0
