"""MLflow: what a training leaves behind, and how its champion is found again. The artifacts go to a real store."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gridwatch import tracking
from gridwatch.containers import open_store
from gridwatch.containers.catalog import TRAININGS
from gridwatch.detectors import LstmDetector, fingerprint
from gridwatch.detectors.testing import SMALL, random_walk
from gridwatch.errors import TrackingError
from gridwatch.server.app import create_app
from gridwatch.settings import MlflowSettings, Settings
from gridwatch.sources.dataset_model import Dataset
from gridwatch.tracking import Training, champions
from gridwatch.tracking.registry import Registered, peek
from tests.mlflow_database import put_database


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRIDWATCH_HOME", str(home))  # where the artifact repository looks for its store
        patch.setenv("MLFLOW_TRACKING_URI", "")  # MLflow sets it; put back afterwards
        put_database(tmp_path_factory, home / "mlflow.db")
        yield Settings(home=home)


@pytest.fixture(scope="module")
def detector() -> LstmDetector:
    one = LstmDetector("log_return", replace(SMALL, epochs=2))
    one.learn(*random_walk(200))
    return one


def training(detector: LstmDetector, name: str = "walk") -> Training:
    assert detector.trained is not None
    parts = detector.save()
    return Training(
        dataset=name,
        model_name=f"gridwatch-{name}",
        container="INTRADAY_WALK",
        kind="lstm",
        network=detector.trained.model,
        parts=parts,
        sha256=fingerprint(parts),
        example=detector.example(*random_walk(200)),
        params={"window": 8, "units": [6]},
        epochs=detector.trained.history,
        metrics={"val_mae": 1.5, "champion_mae": 2.0},
        tags={"gridwatch.why": "First model."},
        rows={"digest": "abc", "rows": 200, "from_ms": 1, "to_ms": 2, "columns": {"ts": "datetime", "close": "double"}},
        files={"plots/loss.png": b"png"},
        started_ms=1_700_000_000_000,
        ended_ms=1_700_000_005_000,
    )


@pytest.fixture(scope="module")
def recorded(settings: Settings, detector: LstmDetector) -> tracking.Recorded:
    made = tracking.record(settings, training(detector))
    tracking.crown(settings, "gridwatch-walk", made.model_version)
    return made


def test_a_run_holds_all_that_is_needed_to_compare_it(settings: Settings, recorded: tracking.Recorded) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(settings.tracking_uri)
    run = client.get_run(recorded.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.end_time - run.info.start_time == 5_000
    assert run.data.params == {"window": "8", "units": "[6]"}
    assert run.data.metrics["val_mae"] == 1.5
    assert [point.step for point in client.get_metric_history(recorded.run_id, "val_loss")] == [1, 2]
    assert run.data.tags["gridwatch.why"] == "First model."
    [rows] = run.inputs.dataset_inputs
    assert (rows.dataset.name, rows.dataset.digest) == ("INTRADAY_WALK", "abc")
    assert json.loads(rows.dataset.profile) == {"num_rows": 200}
    assert [item.path for item in client.list_artifacts(recorded.run_id, "plots")] == ["plots/loss.png"]
    experiment = client.get_experiment(run.info.experiment_id)
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"


def test_a_trainings_curves_come_epoch_by_epoch(settings: Settings, recorded: tracking.Recorded) -> None:
    found = tracking.training_curves(settings, recorded.run_id)
    assert found is not None
    assert "val_mae" not in found, "that was measured once, afterwards"
    assert [epoch for epoch, _ in found["val_loss"]] == [1, 2]
    assert all(value > 0 for _, value in found["loss"])
    assert tracking.training_curves(settings, "0" * 32) is None


def test_the_logged_model_is_kept_in_the_store_with_signature_and_example(
    settings: Settings, recorded: tracking.Recorded
) -> None:
    from mlflow.models import get_model_info
    from mlflow.tracking import MlflowClient

    client = MlflowClient(settings.tracking_uri)
    model = client.get_logged_model(recorded.model_id)
    assert model.artifact_location.startswith("griddb:/")
    assert model.status == "READY"
    assert {metric.key for metric in model.metrics} == {"val_mae", "champion_mae"}
    names = {item.path for item in client.list_logged_model_artifacts(recorded.model_id)}
    assert names >= {"MLmodel", "detector.json", "model.onnx", "data", "input_example.json", "requirements.txt"}
    info = get_model_info("models:/gridwatch-walk@champion")
    assert info.signature.inputs.to_dict()[0]["tensor-spec"]["shape"] == (-1, 8, 1)
    assert info.metadata["gridwatch"]["files"] == ["detector.json", "model.onnx"]


def test_the_keras_model_loads_by_its_alias(recorded: tracking.Recorded, detector: LstmDetector) -> None:
    import mlflow.keras

    assert detector.trained is not None
    windows = np.random.default_rng(1).standard_normal((5, SMALL.window, 1)).astype(np.float32)
    loaded = mlflow.keras.load_model("models:/gridwatch-walk@champion")
    assert np.allclose(loaded(windows), detector.trained.model(windows))


def test_the_champion_comes_with_its_two_files(
    settings: Settings, recorded: tracking.Recorded, detector: LstmDetector
) -> None:
    found = tracking.champion(settings, "gridwatch-walk", "walk")
    assert found.uri == recorded.model_uri == f"models:/gridwatch-walk/{recorded.model_version}"
    assert found.run_id == recorded.run_id
    assert found.parts == detector.save()
    assert found.sha256 == fingerprint(found.parts)


def test_the_champion_is_found_without_tensorflow(settings: Settings, recorded: tracking.Recorded) -> None:
    code = """
import sys
from gridwatch import tracking
from gridwatch.settings import load_settings
print(tracking.champion(load_settings(), "gridwatch-walk", "walk").version)
print(sorted({"tensorflow", "keras", "torch"} & set(sys.modules)))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split("\n")[:2] == [recorded.model_version, "[]"]


def test_a_damaged_cache_is_downloaded_again(settings: Settings, recorded: tracking.Recorded) -> None:
    found = tracking.champion(settings, "gridwatch-walk", "walk")
    parts = found.parts
    cached = settings.home / "models" / found.sha256 / "detector.json"
    cached.write_bytes(b"half")
    assert tracking.champion(settings, "gridwatch-walk", "walk").parts == parts
    assert cached.read_bytes() == parts["detector.json"]


def test_bytes_that_were_changed_in_the_store_are_refused(settings: Settings, detector: LstmDetector) -> None:
    wrong = replace(training(detector, "tampered"), sha256="0" * 64)
    made = tracking.record(settings, wrong)
    tracking.crown(settings, wrong.model_name, made.model_version)
    with pytest.raises(
        TrackingError, match=r"have the sha256 [0-9a-f]{64}, but 0{64} was registered; they were changed"
    ):
        tracking.champion(settings, wrong.model_name, "tampered")


@pytest.mark.parametrize("crowned", [False, True], ids=["never-trained", "alias-deleted"])
def test_no_champion_says_what_to_run(settings: Settings, detector: LstmDetector, crowned: bool) -> None:
    name = f"gridwatch-none-{crowned}".lower()
    if crowned:
        from mlflow.tracking import MlflowClient

        made = tracking.record(settings, replace(training(detector), model_name=name))
        tracking.crown(settings, name, made.model_version)
        MlflowClient(settings.tracking_uri).delete_registered_model_alias(name, tracking.ALIAS)
    assert tracking.find_champion(settings, name) is None
    with pytest.raises(TrackingError, match=r"Dataset 'none' has no champion model .*first run `gridwatch train none`"):
        tracking.champion(settings, name, "none")


def test_crowning_a_version_that_is_not_there(settings: Settings, recorded: tracking.Recorded) -> None:
    with pytest.raises(TrackingError, match=r"MLflow at sqlite:.* answered .*[Vv]ersion.*99"):
        tracking.crown(settings, "gridwatch-walk", "99")


def test_a_training_that_cannot_be_recorded_is_marked_failed(settings: Settings, detector: LstmDetector) -> None:
    from mlflow.tracking import MlflowClient

    broken = replace(training(detector, "broken"), params={"bad\nname": 1})
    with pytest.raises(TrackingError, match=r"answered INVALID_PARAMETER_VALUE: .*bad"):
        tracking.record(settings, broken)
    client = MlflowClient(settings.tracking_uri)
    [run] = client.search_runs(["1"], "tags.`gridwatch.dataset` = 'broken'")
    assert run.info.status == "FAILED"


def test_a_deleted_experiment_is_told(settings: Settings, detector: LstmDetector) -> None:
    from mlflow.tracking import MlflowClient

    other = settings.model_copy(update={"mlflow": MlflowSettings(experiment="gone")})
    client = MlflowClient(settings.tracking_uri)
    client.delete_experiment(client.create_experiment("gone"))
    with pytest.raises(TrackingError, match=r"experiment 'gone' is deleted; restore it, or set GRIDWATCH_MLFLOW__EXP"):
        tracking.record(other, training(detector))


def test_a_server_that_does_not_answer_is_named_without_its_password(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = settings.model_copy(update={"mlflow": MlflowSettings(tracking_uri="http://me:secret@127.0.0.1:9")})
    with pytest.raises(TrackingError, match=r"MLflow at http://127\.0\.0\.1:9 ") as caught:
        tracking.champion(away, "gridwatch-walk", "walk")
    assert "me:secret@" not in str(caught.value).split(" answered ")[0]


def test_a_model_that_is_kept_is_not_downloaded_and_needs_no_mlflow(
    settings: Settings, recorded: tracking.Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(settings.home / "models")
    first = tracking.champion(settings, "gridwatch-walk", "walk")
    monkeypatch.delattr(champions, "download")
    monkeypatch.delattr(champions, "mlflow_client")
    assert tracking.champion(settings, "gridwatch-walk", "walk") == first


def test_another_champion_is_seen_at_once(settings: Settings, detector: LstmDetector) -> None:
    name = "gridwatch-two"
    versions = [tracking.record(settings, replace(training(detector), model_name=name)) for _ in range(2)]
    for made in versions:
        tracking.crown(settings, name, made.model_version)
        assert tracking.champion(settings, name, "two").run_id == made.run_id
    rows = tracking.model_versions(settings, name)
    assert [(row["version"], row["champion"]) for row in rows] == [("2", True), ("1", False)]
    assert rows[0]["metrics"]["val_mae"] == 1.5
    assert rows[0]["detector"] == "lstm"
    assert tracking.model_versions(settings, "gridwatch-unknown") == []


@pytest.fixture
def registry() -> Iterator[tuple[str, dict[str, Any]]]:
    """A server that answers as MLflow's does when it is asked for an alias: its address, and the answer to give."""
    answer: dict[str, Any] = {"status": 200, "body": {}}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer["path"] = self.path
            body = json.dumps(answer["body"]).encode()
            self.send_response(answer["status"])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", answer
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_server_is_asked_for_the_alias(registry: tuple[str, dict[str, Any]]) -> None:
    address, answer = registry
    tags = [{"key": "gridwatch.sha256", "value": "ab"}, {"key": "gridwatch.files", "value": '["model.onnx"]'}]
    answer["body"] = {"model_version": {"version": "4", "run_id": "r", "tags": tags}}
    assert peek(address, "gridwatch-walk") == Registered("4", "r", "ab", ("model.onnx",))
    assert answer["path"] == "/api/2.0/mlflow/registered-models/alias?name=gridwatch-walk&alias=champion"


@pytest.mark.parametrize(("status", "body"), [(401, {}), (404, {}), (200, []), (200, {"model_version": {}})])
def test_what_a_server_does_not_say_is_left_to_mlflow(
    registry: tuple[str, dict[str, Any]], status: int, body: object
) -> None:
    address, answer = registry
    answer |= {"status": status, "body": body}
    assert peek(address, "gridwatch-walk") is None


def test_a_database_that_looks_different_is_left_to_mlflow(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    assert peek(f"sqlite:///{path}", "gridwatch-walk") is None
    assert not path.exists()
    path.touch()
    assert peek(f"sqlite:///{path}", "gridwatch-walk") is None
    assert peek("postgresql://host/mlflow", "gridwatch-walk") is None


def test_tags_that_are_not_gridwatchs_name_no_files() -> None:
    assert Registered.of(1, None, {"gridwatch.files": "{"}) == Registered("1", "", "", ())


def test_the_models_page_shows_what_mlflow_has(
    settings: Settings, recorded: tracking.Recorded, detector: LstmDetector, tmp_path: Path
) -> None:
    """The champion, and another version against it, over rows that neither has learnt."""
    other = tracking.record(settings, training(detector))
    made = {"name": "walk", "symbol": "walk", "source": {"kind": "sample", "series": "AAPL"}, "model": {"window": 8}}
    (tmp_path / "walk.json").write_text(json.dumps(made), encoding="utf-8")
    times, values = random_walk(260)
    with open_store(settings.store) as store:
        dataset = Dataset.model_validate(made)
        for info in (dataset.info, TRAININGS):
            store.put_container(info)
        ts = pa.array(times, pa.timestamp("ms", "UTC"))
        store.put(dataset.container, pa.table({"ts": ts, **dict.fromkeys(("open", "high", "low", "close"), values)}))
        for run in (recorded, other):
            uri = f"models:/gridwatch-walk/{run.model_version}"
            row = {"run_id": run.run_id, "dataset": "walk", "model_version": run.model_version, "model_uri": uri}
            full = {name: row.get(name) for name in TRAININGS.arrow.names}
            store.put(TRAININGS.name, pa.Table.from_pylist([full], schema=TRAININGS.arrow))
        told = settings.model_copy(update={"datasets_dir": tmp_path})
        client = create_app(told, store, clock=lambda: 2**42).test_client()
        base = f"/pages/data/models/walk/{other.model_version}"
        curves: Any = client.get(f"{base}/curves").json
        sides: Any = client.get(f"{base}/sides").json
    assert curves["val_loss"]["epochs"] == [1, 2]
    assert (sides["champion"], sides["chosen"]) == (recorded.model_version, other.model_version)
    assert sides["actual"][-60:] == values[-60:].tolist()
    champion, challenger = sides["versions"]
    assert champion["expected"] == challenger["expected"], "the same bytes"
    assert champion["mae"] == challenger["mae"] > 0


@pytest.mark.parametrize("uri", ["jobs:/visits", "models:/gridwatch-walk/champion", "models:/3"])
def test_what_is_no_version_cannot_be_looked_up(settings: Settings, uri: str) -> None:
    with pytest.raises(TrackingError, match=f"'{uri}' is not the address of a model version, models:/<name>/<version>"):
        tracking.recorded_version(settings, uri)
