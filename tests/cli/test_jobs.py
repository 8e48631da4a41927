"""`jobs` and `datafeeds`: the way of a job from its JSON to its results, on the command line."""

from __future__ import annotations

import json
import os
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from gridwatch.cli.app import app
from gridwatch.containers import open_store
from gridwatch.containers.schema import Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.errors import (
    ConfigError,
    JobsBodyError,
    JobsConflictError,
    JobsError,
    JobsExistsError,
    JobsNotFoundError,
    JobsValueError,
    SourceError,
)
from gridwatch.supervisor.process import started_s
from gridwatch.supervisor.state import PlatformState, ServiceState, run_dir

HOUR = 3_600_000
START = 1_708_128_000_000
DAYS = 4
BURST = START + (DAYS * 24 - 10) * HOUR
LOGS = ContainerInfo(
    "kibana_sample_data_logs",
    ContainerType.COLLECTION,
    (
        Column("id", ColumnType.LONG, nullable=False),
        Column("timestamp", ColumnType.TIMESTAMP),
        Column("bytes", ColumnType.DOUBLE),
        Column("geo.src", ColumnType.STRING),
    ),
    ("id",),
)
JOB: dict[str, Any] = {
    "analysis_config": {
        "bucket_span": "1h",
        "detectors": [{"function": "count", "partition_field_name": "geo.src"}],
        "influencers": ["geo.src"],
    },
    "data_description": {"time_field": "timestamp"},
    "datafeed_config": {"indices": [LOGS.name], "datafeed_id": "feed-rate"},
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a job's file, and a store with logs: some 20 an hour a country, and 400 in one hour of one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path / "home"))
    rng = np.random.default_rng(1)
    usual, burst = rng.integers(0, DAYS * 24 * HOUR, DAYS * 24 * 40) + START, rng.integers(0, HOUR, 400) + BURST
    when = np.concatenate([usual, burst])
    rows = {
        "id": np.arange(len(when)),
        "timestamp": pa.array(when, pa.timestamp("ms", "UTC")),
        "bytes": rng.random(len(when)),
        "geo.src": [*rng.choice(["CN", "US"], len(usual)), *["US"] * len(burst)],
    }
    with open_store(f"sqlite:///{tmp_path / 'home' / 'store.db'}") as store:
        store.put_container(LOGS)
        store.put(LOGS.name, pa.table(rows))
    (tmp_path / "rate.json").write_text(json.dumps(JOB), encoding="utf-8")
    return tmp_path


def run(*words: str, status: int = 0) -> str:
    done = CliRunner().invoke(app, list(words), catch_exceptions=True)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == status, done.stdout + done.stderr
    return done.stdout


def told(*words: str) -> Any:
    return json.loads(run(*words, "--json"))


def test_a_job_goes_its_way(home: Path) -> None:
    assert run("jobs", "list").startswith("No jobs;")
    assert run("datafeeds", "list").startswith("No datafeeds;")
    assert "rate.json is right; its datafeed finds rows" in run("jobs", "validate", "rate.json")
    assert run("jobs", "put", "rate.json") == "job rate made; next: gridwatch jobs open rate\n"
    seen = json.loads(run("datafeeds", "preview", "feed-rate", "--rows", "3"))
    assert [list(row) for row in seen] == [["timestamp", "geo.src"]] * 3
    assert json.loads(run("datafeeds", "preview", "rate.json", "--rows", "3")) == seen
    ended = told("datafeeds", "start", "feed-rate", "--open", "--end", "2024-02-21")
    assert (ended["rows"], ended["done"]) == (DAYS * 24 * 40 + 400, True)
    [worst, *_] = told("jobs", "results", "rate")["records"]
    assert (worst["timestamp"], worst["partition_field_value"]) == (BURST, "US")
    table = run("jobs", "results", "rate", "--score", "75")
    assert "critical" in table
    assert "geo.src=US" in table
    for kind, key in (("buckets", "buckets"), ("influencers", "influencers"), ("overall", "overall_buckets")):
        assert told("jobs", "results", "rate", kind, "--score", "50")[key]
        assert "critical" in run("jobs", "results", "rate", kind, "--score", "50")
    listed = run("jobs", "list")
    assert "closed" in listed
    assert "feed-rate (stopped)" in listed
    assert "2024-02-21 00:00:00" in run("datafeeds", "list")
    assert told("datafeeds", "list")["datafeeds"][0]["state"] == "stopped"
    assert "Job closed" in run("jobs", "show", "rate")


def test_what_is_asked_wrongly_is_told_and_leaves_nothing(home: Path) -> None:
    (home / "broken.json").write_text('{\n  "a": }', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"'broken.json' is no JSON: Expecting value in line 2, column 8"):
        run("jobs", "put", "broken.json")
    with pytest.raises(ConfigError, match=r"Cannot read 'none.json': No such file"):
        run("jobs", "put", "none.json")
    write(home, "wrong", {**JOB, "analysis_config": {"bucket_span": "1h", "detectors": [{"function": "cuont"}]}})
    for command in ("put", "validate"):
        with pytest.raises(JobsValueError, match=r"\[analysis_config.detectors\[0\].function\] .*'?cuont"):
            run("jobs", command, "wrong.json")
    write(home, "nowhere", {**JOB, "datafeed_config": {"indices": ["other"]}})
    with pytest.raises(JobsNotFoundError, match=r"no such index \[other\]"):
        run("jobs", "validate", "nowhere.json")
    with pytest.raises(JobsNotFoundError, match="No known job with id 'rate'"):
        run("jobs", "open", "rate")
    with pytest.raises(JobsNotFoundError, match="No known job with id 'rate'"):
        run("jobs", "results", "rate")
    with open_store(f"sqlite:///{home / 'home' / 'store.db'}") as store:
        assert not [name for name in store.containers() if name == "ml_transforms"]
    run("jobs", "put", "rate.json")
    with pytest.raises(JobsExistsError, match="The Id is already used"):
        run("jobs", "put", "rate.json")
    with pytest.raises(JobsValueError, match=r"\[--start\] failed to parse date field \[soon\]"):
        run("datafeeds", "start", "feed-rate", "--open", "--start", "soon")
    with pytest.raises(JobsValueError, match="has to be before"):
        run("datafeeds", "start", "feed-rate", "--open", "--start", "2024-02-19", "--end", "2024-02-18")
    assert told("jobs", "list")["jobs"][0]["state"] == "closed", "what was opened for a start that failed is closed"
    with pytest.raises(JobsConflictError, match="is closed; open it first"):
        run("datafeeds", "start", "feed-rate")
    with pytest.raises(JobsBodyError, match="cannot be changed once a job is made"):
        run("jobs", "update", "rate", "rate.json")


def test_a_job_that_was_opened_for_a_search_that_failed_is_closed_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise JobsError("the rows cannot be read")

    run("jobs", "put", "rate.json")
    monkeypatch.setattr("gridwatch.jobs.service.passes.feed_once", failing)
    for opened, state in ((False, "closed"), (True, "opened")):
        if opened:
            run("jobs", "open", "rate")
        with pytest.raises(JobsError, match="the rows cannot be read"):
            run("datafeeds", "start", "feed-rate", "--open")
        assert told("jobs", "list")["jobs"][0]["state"] == state
        assert told("datafeeds", "list")["datafeeds"][0]["state"] == "stopped"


def test_the_life_of_a_job_command_by_command(home: Path) -> None:
    made = told("jobs", "put", "rate.json", "--id", "web")
    assert (made["job_id"], made["datafeed_config"]["datafeed_id"]) == ("web", "feed-rate")
    write(home, "change", {"description": "Web", "groups": ["all"]})
    assert run("jobs", "update", "web", "change.json") == "job web changed: description, groups\n"
    assert run("jobs", "open", "all") == "job web is opened\n"
    assert told("jobs", "open", "web") == {"jobs": [{"job_id": "web", "state": "opened"}]}
    assert run("jobs", "open", "none*") == "No jobs.\n"
    assert (
        run("datafeeds", "start", "feed-rate", "--no-wait", "--end", "2024-02-21") == "datafeed feed-rate is started\n"
    )
    with pytest.raises(
        JobsConflictError, match="`gridwatch datafeeds stop --force feed-rate` and a start go on where it was"
    ):
        run("datafeeds", "start", "feed-rate")
    for words in (("jobs", "close", "web"), ("jobs", "reset", "web"), ("jobs", "delete", "web")):
        with pytest.raises(JobsConflictError, match=r"\[feed-rate\]|closed|opened"):
            run(*words)
    write(home, "slow", {"frequency": "2h"})
    with pytest.raises(JobsConflictError, match="while its status is started"):
        run("datafeeds", "update", "feed-rate", "slow.json")
    [done] = told("datafeeds", "run")
    assert (done["rows"], done["done"]) == (DAYS * 24 * 40 + 400, True)
    assert run("datafeeds", "run") == "No datafeed is due.\n"
    assert run("datafeeds", "stop", "_all", "--close-job") == "datafeed feed-rate is stopped\n"
    assert told("datafeeds", "update", "feed-rate", "slow.json")["frequency"] == "2h"
    assert told("datafeeds", "show", "feed-rate")["datafeed"]["frequency"] == "2h"
    body = json.loads(run("jobs", "show", "web", "--config"))
    assert run("jobs", "reset", "web") == "job web is as new\n"
    assert told("jobs", "results", "web")["count"] == 0
    assert run("jobs", "results", "web", "buckets") == "Nothing found.\n"
    assert run("datafeeds", "delete", "feed-rate") == "datafeed feed-rate deleted\n"
    assert run("jobs", "delete", "web") == "job web deleted\n"
    write(home, "again", body)
    assert told("jobs", "put", "again.json")["description"] == "Web"
    write(home, "feed", {"indices": [LOGS.name], "job_id": "web"})
    with pytest.raises(JobsConflictError, match=r"already exists for job \[web\]"):
        run("datafeeds", "put", "feed.json")
    assert run("datafeeds", "stop", "none*") == "No datafeeds.\n"
    run("datafeeds", "delete", "feed-rate", "--force")
    assert "datafeed feed made for job web" in run("datafeeds", "put", "feed.json")
    assert told("datafeeds", "delete", "feed") == {"acknowledged": True}
    assert told("jobs", "delete", "web", "--force") == {"acknowledged": True}


@pytest.mark.parametrize("name", ["rows.ndjson", "rows.csv"])
def test_rows_are_posted_and_drawn(home: Path, name: str) -> None:
    body = {**JOB, "data_description": {"time_field": "when", "time_format": "epoch_ms"}}
    write(home, "posted", {key: value for key, value in body.items() if key != "datafeed_config"})
    run("jobs", "put", "posted.json")
    rows = [(START + hour * HOUR, "US" if hour % 2 else "") for hour in range(40)]
    if name.endswith("csv"):
        text = "when,geo.src\n" + "".join(f"{when},{source}\n" for when, source in rows)
    else:
        text = "".join(json.dumps({"when": when, "geo": {"src": source or None}}) + "\n" for when, source in rows)
    (home / name).write_text(text + "\n", encoding="utf-8")
    with pytest.raises(JobsConflictError, match=r"\[closed\]; open it first"):
        run("jobs", "data", "posted", name)
    run("jobs", "open", "posted")
    assert run("jobs", "data", "posted", name).startswith("job posted: 40 rows")
    assert told("jobs", "data", "posted", name, "--interim")["out_of_order_timestamp_count"] == 39
    run("jobs", "results", "posted", "buckets", "--plot", "drawn.png", "--by-time")
    assert (home / "drawn.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ConfigError, match=r"Cannot write 'no/where\.png'"):
        run("jobs", "results", "posted", "--plot", "no/where.png")


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.ndjson", '{"when": 1}\nx', "Line 2 of 'a.ndjson' is no JSON: Expecting value; one object a line"),
        ("a.ndjson", "[1]", "Line 1 of 'a.ndjson' is no object; one object a line"),
        ("a.csv", "when,b\n1", "Line 2 of 'a.csv' has another number of cells than its first"),
        ("a.csv", 'when\n"1', "Line . of 'a.csv' is no CSV: unexpected end of data"),
        ("a.csv", b"when\n\xff", "'a.csv' is no UTF-8 text: invalid start byte"),
    ],
)
def test_a_file_that_holds_no_rows_is_told(home: Path, name: str, text: str | bytes, told: str) -> None:
    write(home, "posted", {key: value for key, value in JOB.items() if key != "datafeed_config"})
    run("jobs", "put", "posted.json")
    run("jobs", "open", "posted")
    (home / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=told):
        run("jobs", "data", "posted", name)


def test_a_datafeed_that_fails_is_named(home: Path) -> None:
    from gridwatch.cli._doctor import checkup
    from gridwatch.cli._jobs_report import jobs_report
    from gridwatch.settings import load_settings

    def check() -> tuple[str, str]:
        [found] = [one for one in checkup(load_settings()) if one.name == "jobs"]
        return found.state, found.found

    assert check() == ("missing", "none")
    run("jobs", "put", "rate.json")
    run("jobs", "open", "rate")
    run("datafeeds", "start", "feed-rate", "--no-wait")
    assert check() == ("ok", "1 jobs, 1 open; 1 datafeeds and transforms started")
    with open_store(f"sqlite:///{home / 'home' / 'store.db'}") as store:
        store.drop_container(LOGS.name)
    assert "no such index" in run("datafeeds", "run", status=1)
    assert check()[0] == "bad"
    report = jobs_report(load_settings())
    assert report is not None
    [(who, why)] = report.wrong
    assert who == "datafeed feed-rate"
    assert why.startswith("started, 1 searches in a row failed: no such index")
    assert "1 times since" in run("datafeeds", "list")


def test_transforms_go_their_way(home: Path) -> None:
    assert run("transforms", "list").startswith("No transforms;")
    write(home, "by_country", {name: value for name, value in CONTINUOUS.items() if name != "sync"})
    rows = json.loads(run("transforms", "preview", "by_country.json"))
    assert [row["country"] for row in rows] == ["CN", "US"]
    assert "transform by_country made" in run("transforms", "put", "by_country.json")
    assert json.loads(run("transforms", "preview", "by_country", "--rows", "1")) == rows[:1]
    assert run("transforms", "run") == "No transform is due.\n"
    done = told("transforms", "start", "by_country")
    assert (done["read"], done["written"], done["done"]) == (DAYS * 24 * 40 + 400, 2, True)
    assert "by_country" in run("transforms", "list")
    assert told("transforms", "list")["transforms"][0]["state"] == "stopped"
    assert told("transforms", "show", "by_country")["stats"]["checkpointing"]["last"]["checkpoint"] == 1
    write(home, "change", {"description": "Rows by country"})
    assert run("transforms", "update", "by_country", "change.json") == "transform by_country changed: description\n"
    assert run("transforms", "reset", "by_country") == "transform by_country is as new\n"
    assert run("transforms", "start", "by_country", "--no-wait") == "transform by_country is started\n"
    with pytest.raises(JobsConflictError, match="already started"):
        run("transforms", "start", "by_country")
    assert "2 written, checkpoint 1" in run("transforms", "run")
    assert run("transforms", "stop", "_all") == "transform by_country is stopped\n"
    with pytest.raises(JobsNotFoundError, match=r"\[other\] could not be found"):
        run("transforms", "delete", "other")
    assert run("transforms", "delete", "by_country", "--dest") == "transform by_country deleted\n"


CONTINUOUS: dict[str, Any] = {
    "source": {"index": LOGS.name},
    "dest": {"index": "by_country"},
    "pivot": {
        "group_by": {"country": {"terms": {"field": "geo.src"}}},
        "aggregations": {"n": {"value_count": {"field": "timestamp"}}},
    },
    "sync": {"time": {"field": "timestamp"}},
}


class CtrlC(threading.Event):
    """An event that is set as soon as somebody waits for it."""

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is None or timeout <= HOUR
        self.set()
        return True


def test_what_has_no_end_goes_on_until_ctrl_c(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridwatch.cli.platform.stop_on_signals", lambda: nullcontext(CtrlC()))
    write(home, "by_country", CONTINUOUS)
    run("jobs", "put", "rate.json")
    run("transforms", "put", "by_country.json")
    assert (
        run("datafeeds", "start", "feed-rate", "--open", "--start", "now-1d")
        == "feed-rate: 0 rows, 0 buckets, 0 records\n"
    )
    assert told("jobs", "list")["jobs"][0]["state"] == "opened"
    assert told("datafeeds", "list")["datafeeds"][0]["state"] == "stopped"
    assert "2 written, checkpoint 1" in run("transforms", "start", "by_country")
    assert told("transforms", "list")["transforms"][0]["state"] == "stopped"


def test_what_has_no_end_is_left_to_the_server_that_runs_here(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = started_s(os.getpid()) or 0.0
    server = ServiceState("server", pid=os.getpid(), started=started)
    PlatformState(os.getpid(), started, [server]).write(run_dir(home / "home"))
    write(home, "by_country", CONTINUOUS)
    run("jobs", "put", "rate.json")
    run("transforms", "put", "by_country.json")
    said = run("datafeeds", "start", "feed-rate", "--open")
    assert said == "datafeed feed-rate is started; the server that runs here reads its rows\n"
    said = run("transforms", "start", "by_country")
    assert said == "transform by_country is started; the server that runs here does its work\n"
    assert "1 jobs, 1 open; 2 datafeeds and transforms started" in run("status")
    assert told("status")["jobs"]["wrong"] == []
    run("datafeeds", "stop", "_all")
    monkeypatch.setenv("GRIDWATCH_JOBS__RUN_FEEDS", "false")
    monkeypatch.setattr("gridwatch.cli.platform.stop_on_signals", lambda: nullcontext(CtrlC()))
    assert "0 rows" in run("datafeeds", "start", "feed-rate", "--start", "now-1d")


def test_sample_data_are_written_with_what_is_odd_in_them(home: Path) -> None:
    put = told("samples", "security_events", "--days", "14", "--start", "2024-05-06")
    assert [one["container"] for one in put["anomalies"]] == ["security_events"] * 3
    assert "300 failed logins" in run("samples", "security_events", "--days", "14", "--start", "2024-05-06")
    with pytest.raises(SourceError, match="No sample data 'other'"):
        run("samples", "other")


def write(home: Path, name: str, body: object) -> None:
    (home / f"{name}.json").write_text(json.dumps(body), encoding="utf-8")
