"""A job's network from its rows to MLflow and to anomalies. Here, where TensorFlow and MLflow are at hand already."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gridwatch.containers import Store
from gridwatch.errors import ProvenanceError
from gridwatch.jobs.analysis import Analyzer, Results
from gridwatch.jobs.analysis.models import BUCKETS as USUAL
from gridwatch.jobs.anomalies import anomaly_row
from gridwatch.jobs.results import Wanted
from gridwatch.jobs.service import JobsService
from gridwatch.provenance import Status, explain
from gridwatch.provenance.job_networks import RecordedNetworks
from gridwatch.settings import Settings
from gridwatch.tracking import find_champion, model_versions
from tests.jobs.lstm_parts import BUCKETS, HOUR, START, lstm_job, rows

NOW_MS = START + 400 * HOUR
ODD = 190


@dataclass
class Deep:
    """A service and the job in it that has been given rows of 200 hours."""

    service: JobsService
    settings: Settings


@pytest.fixture(scope="module")
def deep(store: Store, settings: Settings) -> Iterator[Deep]:
    service = JobsService(store, now_ms=lambda: NOW_MS, settings=settings)
    service.put_job(lstm_job(data_description={"time_format": "epoch_ms"}).to_json() | {"job_id": "deep"})
    service.open_job("deep")
    frame = rows(200, odd=ODD)
    for start in range(0, len(frame), 4001):
        service.post_data("deep", frame.iloc[start : start + 4001])
    yield Deep(service, settings)
    service.delete_job("deep", force=True)


def said(service: JobsService) -> list[str]:
    return [one["message"] for one in service.messages.of("deep")]


def test_the_network_is_trained_told_of_and_kept_in_mlflow(deep: Deep, settings: Settings, tmp_path: Path) -> None:
    from mlflow.artifacts import download_artifacts
    from mlflow.models import Model

    messages = said(deep.service)
    assert f"An LSTM is trained after {BUCKETS} buckets; until then the usual model judges." in messages
    trained = next(one for one in messages if one.startswith("The LSTM is trained (models:/job-deep/1)"))
    assert "judges from 2024-02-22T00:00:00Z on: " in trained
    assert "windows of 3 series" in trained
    network = deep.service.job_stats("deep")["jobs"][0]["network"]
    champion = find_champion(deep.settings, "job-deep")
    assert champion is not None
    assert (champion.uri, champion.run_id, champion.sha256) == (
        network["model_uri"], network["run_id"], network["sha256"],
    )  # fmt: skip
    assert sorted(champion.parts) == ["detector.json", "model.onnx"]
    logged = Path(download_artifacts("models:/job-deep/1", dst_path=str(tmp_path), tracking_uri=settings.tracking_uri))
    kept = Model.load(str(logged))
    assert (kept.run_id, kept.metadata["gridwatch"]["sha256"]) == (network["run_id"], network["sha256"])
    assert kept.signature.inputs.inputs[0].shape == (-1, 12, 1)
    assert (logged / "data" / "model.keras").stat().st_size > 1000
    version = model_versions(deep.settings, "job-deep")[0]
    assert (version["champion"], version["detector"]) == (True, "job-lstm")
    assert version["metrics"]["best_val_loss"] == pytest.approx(network["val_loss"])


def test_a_fresh_analysis_takes_the_networks_from_mlflow(deep: Deep, store: Store) -> None:
    job = deep.service.resources.job("deep").config
    analyzer = Analyzer(job, USUAL, teacher=RecordedNetworks(deep.settings, "deep"))
    results = analyzer.push(rows(200, odd=ODD))
    results.extend(analyzer.advance(START + 200 * HOUR))
    again = {row["id"]: row for row in (anomaly_row(job, record, "deep") for record in results.records)}
    told = store.sql("SELECT * FROM ANOMALY_deep").to_pylist()
    assert told
    for row in told:
        for name in ("actual", "expected", "lower", "upper", "score", "p_value", "driver"):
            assert again[row["id"]][name] == row[name]
    chain = explain(store, deep.settings, max(told, key=lambda row: row["ts"])["id"])
    found = {link.name: link.status for link in chain.links}
    assert found["job"] is found["network"] is found["MLflow run"] is Status.OK


def test_other_rows_than_the_network_learnt_are_told(deep: Deep) -> None:
    job = deep.service.resources.job("deep").config
    analyzer = Analyzer(job, USUAL, teacher=RecordedNetworks(deep.settings, "deep"))
    with pytest.raises(ProvenanceError, match=r"'job-deep' that learnt the windows of these rows .* not be the same"):
        analyzer.push(rows(200, odd=ODD).iloc[:-3000:2])


def test_what_it_finds_has_its_provenance(deep: Deep, store: Store) -> None:
    found = deep.service.records("deep", Wanted(START + ODD * HOUR, START + (ODD + 1) * HOUR))["records"]
    assert {one["p"][0] for one in found} == {"p0", "p1", "p2"}
    assert min(one["record_score"] for one in found) > 25.0
    network = deep.service.job_stats("deep")["jobs"][0]["network"]
    told = store.sql("SELECT * FROM ANOMALY_deep").to_pylist()
    assert {int(row["ts"].timestamp() * 1000) for row in told} >= {START + ODD * HOUR}
    for row in told:
        after = int(row["ts"].timestamp() * 1000) >= START + BUCKETS * HOUR
        assert row["run_id"] == (network["run_id"] if after else None)
        assert json.loads(row["provenance"]).get("network") == ("models:/job-deep/1" if after else None)


def test_the_same_rows_all_at_once_give_the_same_network_and_scores(deep: Deep) -> None:
    one, results = Analyzer(deep.service.resources.job("deep").config, USUAL), Results()
    results.extend(one.push(rows(200, odd=ODD)))
    assert one.network is not None
    assert one.network.sha256 == deep.service.job_stats("deep")["jobs"][0]["network"]["sha256"]
    found = {
        (record["timestamp"], record["p"][0]): (record["probability"], record["typical"][0], record["driver"])
        for record in deep.service.records("deep", Wanted(size=10_000))["records"]
    }
    assert found == {
        (record.timestamp, record.partition[0][1]): (record.probability, record.typical, record.driver)
        for record in results.records
    }


def test_a_service_that_starts_again_goes_on_with_the_network(deep: Deep, store: Store) -> None:
    service = JobsService(store, now_ms=lambda: NOW_MS, settings=deep.settings)
    before = service.job_stats("deep")["jobs"][0]["network"]
    more = rows(230, odd=220)
    service.post_data("deep", more[more["time"] >= START + 200 * HOUR])
    assert service.job_stats("deep")["jobs"][0]["network"] == before
    found = service.records("deep", Wanted(START + 220 * HOUR, START + 221 * HOUR))["records"]
    assert found
