"""`gridwatch artifacts`: what is in the store, in and out of it, and what can go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pyarrow as pa
import pytest
from typer.testing import CliRunner, Result

from gridwatch.cli.app import app
from gridwatch.containers import open_store
from gridwatch.containers.objects import CHUNK_BYTES, ObjectStore
from gridwatch.errors import ConfigError, ObjectConflictError, ValueRefusedError
from gridwatch.tracking import garbage
from tests.mlflow_database import put_database


def run(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(app, ["artifacts", *arguments], input=answer)


def as_json(*arguments: str, status: int = 0) -> Any:
    done = run(*arguments, "--json")
    assert done.exit_code == status, done.output
    return json.loads(done.stdout)


@pytest.fixture
def objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path / "home"))
    with open_store(f"sqlite:///{tmp_path / 'home' / 'store.db'}") as store:
        yield ObjectStore(store)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "sub" / "empty").mkdir(parents=True)
    (folder / "a.txt").write_text("a" * 1500)
    (folder / "sub" / "[b] ü%20.txt").write_text("b")
    return folder


def test_a_tree_goes_in_is_shown_and_comes_out(objects: ObjectStore, tree: Path, tmp_path: Path) -> None:
    done = run("cp", "-r", "tree", "griddb:///m/v1")
    assert done.stdout == "2 files, 1,501 bytes: tree -> griddb:///m/v1\n"
    shown = run("ls").stdout
    lines = ["griddb:///  1.5 KiB", "m/  1.5 KiB", "a.txt  1.5 KiB", "empty/  0 B", "[b] ü%20.txt  1 B"]
    assert [line for line in lines if line not in shown] == []
    assert objects.info("m/v1/a.txt").sha256 in run("ls", "griddb:/m", "-l").stdout
    listed = as_json("ls", "griddb:///m/v1/sub")
    assert [(one["uri"], one["size"]) for one in listed] == [("griddb:///m/v1/sub/[b] ü%2520.txt", 1)]
    # What it names can be given back.
    assert run("cp", listed[0]["uri"], "b.txt").exit_code == 0
    assert (tmp_path / "b.txt").read_text() == "b"
    assert run("cp", "-r", "griddb:///m/v1/", "out").exit_code == 0
    assert (tmp_path / "out" / "sub" / "empty").is_dir()
    assert (tmp_path / "out" / "sub" / "[b] ü%20.txt").read_text() == "b"
    assert (tmp_path / "out" / "a.txt").read_text() == "a" * 1500


def test_where_one_file_goes(objects: ObjectStore, tree: Path, tmp_path: Path) -> None:
    for target in ("griddb:///as", "griddb:///in/", "griddb:///in", "griddb:///"):
        assert run("cp", "tree/a.txt", target).exit_code == 0
    assert [info.path for info in objects.list()] == ["a.txt", "as", "in/a.txt"]
    (tmp_path / "out").mkdir()
    assert run("cp", "griddb:///as", "out").exit_code == 0
    assert as_json("cp", "griddb:///as", "other")[0]["sha256"] == objects.info("as").sha256
    assert (tmp_path / "out" / "as").read_text() == (tmp_path / "other").read_text()


@pytest.mark.parametrize("path", ["m/../../evil", "m/../../evil/", "../evil"])
def test_a_path_that_leaves_the_target_is_not_copied(objects: ObjectStore, tmp_path: Path, path: str) -> None:
    objects.put("m/good", b"good")
    # Not through gridwatch, which refuses such a path.
    row = objects.store.get("mlflow_artifacts", ["m/good"])
    objects.store.put("mlflow_artifacts", row.set_column(0, "path", pa.array([path])))
    uri = "griddb:///m" if path.startswith("m") else "griddb:///"
    done = run("cp", "-r", uri, "in/out")
    assert isinstance(done.exception, ValueRefusedError)
    assert "evil" in str(done.exception)
    assert not (tmp_path / "in").exists()
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (("cp", "tree", "griddb:///x"), ConfigError, "tree is a folder; copy it with -r"),
        (("cp", "griddb:///in", "x"), ConfigError, "griddb:///in is a folder; copy it with -r"),
        (("cp", "nosuch", "griddb:///x"), ConfigError, "There is no file nosuch"),
        (
            ("cp", "griddb:///nosuch", "x"),
            ConfigError,
            "There is nothing at griddb:///nosuch; `gridwatch artifacts ls`",
        ),
        (("cp", "tree", "out"), ConfigError, "One of 'tree' and 'out' must be a griddb:/// URI"),
        (("cp", "tree/a.txt", "griddb:///in/a/b"), ObjectConflictError, "'in/a' is an object, not a folder"),
        (("ls", "griddb://evil:1/c/d/x"), ConfigError, "names another store than GRIDWATCH_STORE_URL"),
        (("ls", "griddb://me:secret@h:1/c/d"), ConfigError, r"griddb://\*\*\*@h:1/c/d' carries a user or password"),
        (("gc", "--older-than", "soon"), ConfigError, "--older-than 'soon' is no duration; write it as 30d"),
        (("gc", "--database", "http://h"), ConfigError, "MLflow's database is needed to remove runs for good"),
    ],
)
def test_what_is_asked_wrongly(
    objects: ObjectStore, tree: Path, arguments: tuple[str, ...], kind: type[Exception], message: str
) -> None:
    objects.put("in/a", b"")
    done = run(*arguments)
    assert done.exit_code != 0
    assert isinstance(done.exception, kind)
    with pytest.raises(kind, match=message):
        raise done.exception


def test_nothing_is_said_so(objects: ObjectStore) -> None:
    assert run("ls").stdout == "Nothing at griddb:///.\n"
    for command in ("ls", "verify"):
        done = run(command, "griddb:///nosuch")
        assert (done.exit_code, done.stdout) == (1, "Nothing at griddb:///nosuch.\n")


def test_verify_names_what_is_corrupt(objects: ObjectStore) -> None:
    objects.put("m/good", bytes(CHUNK_BYTES + 1))
    info = objects.put("m/bad", b"good")
    done = run("verify")
    assert (done.exit_code, done.stdout) == (0, f"2 files, {CHUNK_BYTES + 5:,} bytes read, 0 corrupt.\n")
    objects.store.execute("UPDATE mlflow_artifact_chunks SET data = X'00' WHERE object_id = ?", [info.object_id])
    done = run("verify", "griddb:///m")
    assert done.exit_code == 1
    assert "Object 'm/bad'" in done.stderr
    assert list(as_json("verify", status=1)["corrupt"]) == ["m/bad"]


def test_fsck_finds_and_collects_what_an_upload_left(objects: ObjectStore) -> None:
    objects.put("m/good", b"good")
    writer = objects.start("m/cut")
    writer.write(bytes(4 * CHUNK_BYTES))
    writer._stored()
    assert "0 broken uploads, 1 that may be going on" in run("fsck").stdout
    assert "fsck --repair" in run("fsck", "--grace-hours", "0").stdout
    assert as_json("fsck", "--grace-hours", "0", "--repair")["collected_chunks"] == 4
    assert "0 broken uploads, 0 that may be going on" in run("fsck").stdout
    objects.store.execute("DELETE FROM mlflow_artifact_chunks WHERE chunk = 0")
    done = run("fsck", "--repair")
    assert done.exit_code == 1
    assert "broken: griddb:///m/good: chunk 0 of 1 is missing" in done.stderr
    assert len(objects.list()) == 1


@pytest.fixture
def client(
    objects: ObjectStore, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[mlflow.MlflowClient]:
    put_database(tmp_path_factory, tmp_path / "home" / "mlflow.db")
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'home' / 'mlflow.db'}")
    yield mlflow.MlflowClient()
    mlflow.set_tracking_uri(None)


@pytest.mark.filterwarnings("default")
def test_gc_keeps_what_an_alias_points_to(objects: ObjectStore, client: mlflow.MlflowClient, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x" * 1000)

    def made(experiment: str) -> tuple[str, str]:
        run_id = client.create_run(experiment).info.run_id
        client.log_artifact(run_id, str(tmp_path / "f"))
        model = client.create_logged_model(experiment, name="m", source_run_id=run_id)
        client.log_model_artifacts(model.model_id, str(tmp_path / "home" / "files"))
        return run_id, model.model_id

    (tmp_path / "home" / "files").mkdir()
    (tmp_path / "home" / "files" / "model.onnx").write_text("y")
    first = client.create_experiment("first", artifact_location="griddb:///one")
    second = client.create_experiment("second", artifact_location="griddb:///two")
    third = client.create_experiment("third", artifact_location="griddb:///three")
    alive, gone, champion, inside, used = made(first), made(first), made(first), made(second), made(third)
    client.create_registered_model("reg")
    for _, model_id in (champion, used):
        client.create_model_version("reg", f"models:/{model_id}", model_id=model_id)
    client.set_registered_model_alias("reg", "champion", "1")
    client.set_registered_model_alias("reg", "old", "2")
    for run_id, model_id in (gone, champion):
        client.delete_run(run_id)
        client.delete_logged_model(model_id)
    for experiment in (second, third):
        client.delete_experiment(experiment)
    before = len(objects.list())

    plan = as_json("gc", "--dry-run", status=1)
    assert plan["garbage"]["runs"] == sorted([gone[0], inside[0]])
    assert plan["garbage"]["models"] == sorted([gone[1], inside[1]])
    assert plan["garbage"]["experiments"] == [second]
    assert [(one["alias"], one["kind"], one["id"]) for one in plan["garbage"]["in_use"]] == [
        ("reg@champion", "model", champion[1]),
        ("reg@champion", "run", champion[0]),
        ("reg@old", "experiment", third),
        ("reg@old", "model", used[1]),
        ("reg@old", "run", used[0]),
    ]
    assert len(objects.list()) == before
    assert run("gc", "--older-than", "1d").stdout == (
        "Removed 0 runs, 0 models, 0 experiments; 0 chunks of broken uploads deleted.\n"
    )
    assert run("gc", answer="n\n").exit_code == 1
    assert len(objects.list()) == before

    done = run("gc", "--yes")
    assert done.exit_code == 1, done.output
    assert f"kept: model {champion[1]} is deleted, but reg@champion (version 1) uses it" in done.stderr
    assert "Removed 2 runs, 2 models, 1 experiment" in done.stdout
    kept = [(one[0], folder) for one, folder in ((alive, "one"), (champion, "one"), (used, "three"))]
    models = [(one[1], folder) for one, folder in ((alive, "one"), (champion, "one"), (used, "three"))]
    assert [info.path for info in objects.list()] == sorted(
        [f"{folder}/{run_id}/artifacts/f" for run_id, folder in kept]
        + [f"{folder}/models/{model_id}/artifacts/model.onnx" for model_id, folder in models]
    )
    assert mlflow.artifacts.load_text("models:/reg@old/model.onnx") == "y"
    assert as_json("gc", status=1)["garbage"]["runs"] == []


@pytest.mark.filterwarnings("default")
def test_gc_takes_all_models_of_a_deleted_experiment(
    objects: ObjectStore, client: mlflow.MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(garbage, "_PAGE", 1)
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "model.onnx").write_text("y")
    experiment = client.create_experiment("gone", artifact_location="griddb:///gone")
    for _ in range(3):
        model = client.create_logged_model(experiment, name="m")
        client.log_model_artifacts(model.model_id, str(tmp_path / "files"))
    client.delete_experiment(experiment)
    done = run("gc", "--yes")
    assert "Removed 0 runs, 3 models, 1 experiment;" in done.stdout, done.output
    assert objects.list() == []
