"""The demo's anomalies: every link of their chains found again, every number computed again; what changed is told."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from gridwatch import tracking
from gridwatch.alerts.anomalies import list_anomalies
from gridwatch.alerts.anomaly import find_anomaly
from gridwatch.alerts.email import compose
from gridwatch.containers.catalog import DELIVERIES, VALIDATIONS, anomaly_info
from gridwatch.errors import ProvenanceError
from gridwatch.pipeline.detect import detect
from gridwatch.pipeline.label_targets import anomaly_target
from gridwatch.pipeline.labels import say
from gridwatch.provenance import Chain, Status, Subject, explain, find_subject, replay, subjects
from gridwatch.provenance.job_networks import RecordedNetworks

Demo = Any
SCORED_MS, NOW_MS = 1_760_000_500_000, 1_761_000_000_000
RUN = "0fe4ae5b-6d5c-4d3c-9d57-4a1f0b7c9a11"


def found(demo: Demo, chain: Chain | None = None) -> dict[str, Status]:
    chain = chain or explain(demo.store, demo.settings, demo.report.new_anomaly_ids[0])
    return {link.name: link.status for link in chain.links}


def text(demo: Demo, name: str) -> str:
    chain = explain(demo.store, demo.settings, demo.report.new_anomaly_ids[0])
    return next(link.text for link in chain.links if link.name == name)


def test_every_link_of_the_demo_is_found_again(demo: Demo) -> None:
    told: list[tuple[int, int | None]] = []
    key = demo.report.new_anomaly_ids[0]
    chain = explain(demo.store, demo.settings, key[:6], progress=lambda done, most: told.append((done, most)))
    assert found(demo, chain) == {
        **dict.fromkeys(("anomaly", "input rows", "model bytes", "model version", "MLflow run"), Status.OK),
        **dict.fromkeys(("training rows", "validation", "libraries"), Status.OK),
        "flow run": Status.NOT_CONFIGURED,
        "receipt": Status.NOT_RECORDED,
    }
    assert chain.sound
    assert (chain.id, chain.series, told[0]) == (key, "AAPL", (0, len(told)))
    facts = {link.name: link.facts for link in chain.links}
    assert facts["training rows"]["to_ms"] < facts["input rows"]["from_ms"] or facts["training rows"]["rows"] > 1000
    json.dumps([link.facts for link in chain.links], allow_nan=False)


def test_every_anomaly_of_the_demo_is_bit_equal(demo: Demo) -> None:
    wanted = subjects(demo.store)
    told: list[tuple[int, int | None]] = []
    done = replay(demo.store, demo.settings, wanted, now_ms=NOW_MS, progress=lambda at, most: told.append((at, most)))
    assert [one.id for one in done] == [one.id for one in wanted]
    assert {one.verdict for one in done} == {"bit-equal"}, [one.differing for one in done]
    assert len(done) == demo.report.anomalies > 0
    assert told[-1] == (len(done), len(done))


def test_how_bad_the_split_is_goes_by_the_score_that_its_mail_shows(demo: Demo) -> None:
    [split] = subjects(demo.store)
    assert split["score"] < 99.0
    assert (split["severity"], split["anomaly_score"] > 99.75) == ("critical", True)
    anomaly = find_anomaly(demo.store, split.container, split.id)
    assert anomaly is not None
    mail = compose(anomaly, demo.dataset, demo.store, demo.settings, recipients=["a@example.com"], key="k")
    text = mail["content"][0]["value"]
    assert "critical anomaly 2005-02-28" in mail["subject"]
    assert f"(score {split['anomaly_score']:.4g})" in mail["subject"]
    assert "Severity          critical (a score of 99.75 or more)\nAlarm score       99." in text
    assert f"Score by itself   {split['score']:.4g} of 100" in text
    [listed] = list_anomalies(demo.store)
    assert listed["severity_score"] == split["anomaly_score"]


def test_rows_whose_severity_goes_by_the_p_value_are_replayed_as_they_were(copied: Demo) -> None:
    """Rows of before the scores decided keep their word, and it is still checked."""
    [split] = subjects(copied.store)
    said = {name: value for name, value in split.said.items() if name != "severity_by"}
    old = {"id": split.id, "provenance": json.dumps(said), "severity": "low"}
    row = copied.store.read(split.container).to_pylist()[0] | old
    schema = anomaly_info(split.series).arrow
    copied.store.put(split.container, pa.Table.from_pylist([row], schema=schema))
    [done] = replay(copied.store, copied.settings, subjects(copied.store), now_ms=NOW_MS)
    assert done.verdict == "bit-equal", done.differing
    copied.store.put(split.container, pa.Table.from_pylist([row | {"severity": "high"}], schema=schema))
    [done] = replay(copied.store, copied.settings, subjects(copied.store), now_ms=NOW_MS)
    assert [(one.column, one.stored, one.again) for one in done.differing] == [("severity", "high", "low")]


def test_later_rows_are_replayed_with_the_labels_of_their_time(copied: Demo) -> None:
    [dataset, store, settings] = [copied.dataset, copied.store, copied.settings]
    key = copied.report.new_anomaly_ids[0]
    say(store, "true", anomaly_target(store, key), author="anna", now_ms=SCORED_MS + 1)
    keener = dataset.threshold.model_copy(update={"rule": "alarm", "value": 80.0})
    scoring = dataset.scoring.model_copy(update={"end": None})
    on = dataset.model_copy(update={"scoring": scoring, "threshold": keener})
    report = detect(on, store, settings, now_ms=SCORED_MS + 1000)
    say(store, "false", anomaly_target(store, report.new_anomaly_ids[-1]), author="anna", now_ms=NOW_MS)
    done = replay(store, settings, subjects(store), now_ms=NOW_MS)
    assert len(done) == 1 + len(report.new_anomaly_ids) > 3
    assert {(one.verdict, one.flagged) for one in done} == {("bit-equal", True)}, [one.differing for one in done]


def test_a_revised_row_is_replayed_as_it_is_now_and_a_late_one_shows(copied: Demo) -> None:
    [dataset, store, settings] = [copied.dataset, copied.store, copied.settings]
    [split] = subjects(store)
    rows = store.read(dataset.container).to_pandas()
    at = rows["ts"].astype("int64") == split.ts_ms
    store.put(dataset.container, rows[at].assign(close=rows[at]["close"] - 1.0))
    detect(dataset, store, settings, now_ms=SCORED_MS + 1000)
    [again] = subjects(store)
    assert (again["detected_ms"], again["scored_ms"]) == (split["detected_ms"], SCORED_MS + 1000)
    [done] = replay(store, settings, [again], now_ms=NOW_MS)
    assert done.verdict == "bit-equal"
    late = rows[rows["ts"].astype("int64") < split.ts_ms].tail(1)
    store.put(dataset.container, late.assign(ts=late["ts"] + pd.Timedelta(hours=1)))
    [done] = replay(store, settings, [again], now_ms=NOW_MS)
    assert done.verdict == "differs"
    assert "expected" in {column.column for column in done.differing}
    assert f"the rows have changed since: {again['input_rows'] + 1} now, {again['input_rows']} then" in done.text


def test_what_changed_in_the_store_shows(copied: Demo) -> None:
    [dataset, store] = [copied.dataset, copied.store]
    rows = store.read(dataset.container).to_pandas()
    first = find_subject(store, copied.report.new_anomaly_ids[0])
    learnt = rows[rows["ts"].astype("int64") < first["trained_to_ms"]].head(1)
    store.put(dataset.container, learnt.assign(close=learnt["close"] + 0.01))
    store.delete(dataset.container, [first["input_to_ms"]])
    Path(store.get(VALIDATIONS.name, [first["validation_id"]])["report"][0].as_py()).unlink()
    said = found(copied)
    assert said["training rows"] is said["input rows"] is Status.CHANGED
    assert said["validation"] is Status.MISSING
    assert said["model bytes"] is Status.OK
    assert "values or times have changed" in text(copied, "training rows")
    assert f"{first['input_rows'] - 1:,} rows now" in text(copied, "input rows")
    assert "its report" in text(copied, "validation")
    store.delete(VALIDATIONS.name, [first["validation_id"]])
    store.drop_container(dataset.container)
    said = found(copied)
    assert said["training rows"] is said["input rows"] is said["validation"] is Status.MISSING
    [again] = replay(store, copied.settings, [first], now_ms=NOW_MS)
    assert "has no row at its time any more" in again.text


def test_what_changed_in_mlflow_shows(copied: Demo) -> None:
    first = find_subject(copied.store, copied.report.new_anomaly_ids[0])
    real = tracking.recorded_version(copied.settings, first["model_uri"])
    assert real is not None
    other = copied.store.get(first.container, [first.id]).to_pylist()[0]
    row = {**other, "model_sha256": "0" * 64, "run_id": "1" * 32, "trained_sha256": "2" * 64}
    copied.store.put(first.container, pa.Table.from_pylist([row], schema=anomaly_info("AAPL").arrow))
    said = found(copied)
    assert {said[name] for name in ("model bytes", "model version", "MLflow run", "training rows")} == {Status.CHANGED}
    [done] = replay(copied.store, copied.settings, [find_subject(copied.store, first.id)], now_ms=NOW_MS)
    assert "with the digest 000000000000 are gone: its bytes have changed" in done.text
    row["model_uri"] = "models:/gridwatch-aapl_daily/99"
    copied.store.put(first.container, pa.Table.from_pylist([row], schema=anomaly_info("AAPL").arrow))
    assert found(copied)["MLflow run"] is Status.MISSING
    assert "MLflow has no models:/gridwatch-aapl_daily/99 any more" in text(copied, "model version")


def test_without_mlflow_the_kept_bytes_still_replay(copied: Demo) -> None:
    (copied.settings.home / "mlflow.db").unlink()
    said = found(copied)
    assert said["model bytes"] is said["MLflow run"] is Status.MISSING
    assert "The home folder keeps a copy with the same digest." in text(copied, "model bytes")
    assert not (copied.settings.home / "mlflow.db").exists()
    [one] = replay(copied.store, copied.settings, subjects(copied.store), now_ms=NOW_MS)
    assert one.verdict == "bit-equal"
    shutil.rmtree(copied.settings.home / "models")
    [one] = replay(copied.store, copied.settings, subjects(copied.store), now_ms=NOW_MS)
    assert f"There is no MLflow database at {copied.settings.home / 'mlflow.db'}." in one.text
    with pytest.raises(ProvenanceError, match=r"networks of job 'deep' are in MLflow\. There is no MLflow database at"):
        _ = RecordedNetworks(copied.settings, "deep")._known
    assert not (copied.settings.home / "mlflow.db").exists()


def test_a_server_that_is_away_says_nothing_of_the_links(copied: Demo) -> None:
    mlflow = copied.settings.mlflow.model_copy(update={"tracking_uri": "http://anna:secret@127.0.0.1:9"})
    settings = copied.settings.model_copy(update={"mlflow": mlflow})
    chain = explain(copied.store, settings, copied.report.new_anomaly_ids[0])
    said = found(copied, chain)
    assert {said[name] for name in ("model bytes", "model version", "MLflow run")} == {Status.UNREACHABLE}
    assert chain.sound
    words = next(link.text for link in chain.links if link.name == "model bytes")
    assert words.startswith(
        "MLflow at http://127.0.0.1:9 does not answer (ConnectionError). The home folder keeps a copy"
    )
    shutil.rmtree(settings.home / "models")
    [one] = replay(copied.store, settings, subjects(copied.store), now_ms=NOW_MS)
    assert one.text.startswith("The home folder keeps no copy of models:/gridwatch-aapl_daily/1. MLflow at http://127")


def test_a_row_without_a_time_is_refused() -> None:
    with pytest.raises(ProvenanceError, match=r"Anomaly 'x' of 'ANOMALY_Y' has no time in `ts`"):
        Subject.of("ANOMALY_Y", {"id": "x", "ts": None})


def test_who_was_told_and_what_they_said(copied: Demo) -> None:
    key = copied.report.new_anomaly_ids[0]
    sent = {
        "id": f"{key}:email",
        "anomaly_id": key,
        "channel": "email",
        "status": "sent",
        "recipients": "a@example.com",
    }
    dead = {"id": f"{key}:hook", "anomaly_id": key, "channel": "hook", "status": "dead", "error": "410", "attempts": 9}
    both = [{**one, "last_ms": NOW_MS, "message_id": "msg-1", "possible_duplicate": True} for one in (sent, dead)]
    copied.store.put_container(DELIVERIES)
    copied.store.put(DELIVERIES.name, pa.Table.from_pylist(both, schema=DELIVERIES.arrow))
    say(copied.store, "expected", anomaly_target(copied.store, key), author="anna", now_ms=NOW_MS, note="split")
    said = found(copied)
    assert (said["email receipt"], said["hook receipt"], said["label"]) == (Status.OK, Status.MISSING, Status.OK)
    assert text(copied, "email receipt").endswith("receipt msg-1. It may have come twice.")
    gone = {**both[0], "message_id": "1760000000000-0123456789ab"}
    copied.store.put(DELIVERIES.name, pa.Table.from_pylist([gone], schema=DELIVERIES.arrow))
    assert found(copied)["email receipt"] is Status.MISSING
    assert text(copied, "email receipt").endswith("The inbox has the mail no more.")
    assert text(copied, "hook receipt") == "Not sent: dead after 9 tries: 410."
    assert "Called expected by anna" in text(copied, "label")


def test_labels_given_after_scoring_do_not_count_in_a_replay(copied: Demo) -> None:
    key = copied.report.new_anomaly_ids[0]
    say(copied.store, "expected", anomaly_target(copied.store, key), author="anna", now_ms=NOW_MS)
    [one] = replay(copied.store, copied.settings, subjects(copied.store), now_ms=NOW_MS)
    assert (one.verdict, one.flagged) == ("bit-equal", True)


def test_a_row_of_an_older_version_is_replayed_by_its_dataset_file(copied: Demo) -> None:
    first = find_subject(copied.store, copied.report.new_anomaly_ids[0])
    row = copied.store.get(first.container, [first.id]).to_pylist()[0]
    names = list(row)
    new = dict.fromkeys(names[names.index("scored_ms") :])
    copied.store.put(
        first.container, pa.Table.from_pylist([{**row, **new, "severity": "low"}], schema=anomaly_info("AAPL").arrow)
    )
    said = found(copied)
    assert {said[name] for name in ("anomaly", "input rows", "training rows", "libraries")} == {Status.NOT_RECORDED}
    [one] = replay(copied.store, copied.settings, subjects(copied.store), now_ms=NOW_MS)
    assert one.verdict == "bit-equal"
    elsewhere = copied.settings.model_copy(update={"datasets_dir": copied.settings.home})
    [one] = replay(copied.store, elsewhere, subjects(copied.store), now_ms=NOW_MS)
    assert "no dataset file in" in one.text


@contextmanager
def prefect(status: int, body: bytes) -> Iterator[str]:
    """Serve one answer; give the address of its API."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == f"/api/flow_runs/{RUN}" else 500)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/api/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("status", "body", "expected", "words"),
    [
        (200, b'{"name": "detect aapl", "state_name": "Completed"}', Status.OK, "'detect aapl'"),
        (404, b"{}", Status.MISSING, "has no flow run"),
        (500, b"", Status.UNREACHABLE, "did not answer as it should (HTTPError)"),
        (200, b"<html>", Status.UNREACHABLE, "did not answer as it should"),
    ],
)
def test_the_flow_run_is_looked_up(demo: Demo, status: int, body: bytes, expected: Status, words: str) -> None:
    from gridwatch.provenance.flow_run import flow_run

    with prefect(status, body) as url:
        settings = demo.settings.model_copy(
            update={"prefect": demo.settings.prefect.model_copy(update={"api_url": url})}
        )
        link = flow_run(subjects(demo.store)[0], settings)
    assert link.status is expected
    assert words in link.text


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("f" * 32, "There is no anomaly 'f{32}'; `gridwatch anomalies` lists them"),
        ("x' OR 1=1", r"is no id of an anomaly: 32 digits"),
        ("abc", r"the first six of them or more"),
    ],
)
def test_an_id_that_is_none(demo: Demo, key: str, why: str) -> None:
    with pytest.raises(ProvenanceError, match=why):
        explain(demo.store, demo.settings, key)


def test_a_short_id_must_be_of_one_anomaly(copied: Demo) -> None:
    row = copied.store.get("ANOMALY_AAPL", copied.report.new_anomaly_ids).to_pylist()[0]
    twin = {**row, "id": row["id"][:6] + "0" * 26}
    copied.store.put("ANOMALY_AAPL", pa.Table.from_pylist([twin], schema=anomaly_info("AAPL").arrow))
    with pytest.raises(ProvenanceError, match=f"Several anomalies begin with '{row['id'][:6]}': .*; give more digits"):
        find_subject(copied.store, row["id"][:6])
