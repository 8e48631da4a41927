"""The artifact repository, used through MLflow itself with a SQLite tracking store."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from gridwatch.containers import open_store
from gridwatch.containers.object_uri import ObjectUri
from gridwatch.containers.objects import ObjectStore
from mlflow_griddb import GridDBArtifactRepository, stores


@pytest.fixture
def objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    monkeypatch.setenv("GRIDWATCH_STORE_URL", url)
    with open_store(url) as store:
        yield ObjectStore(store)


@pytest.fixture
def repository(objects: ObjectStore) -> GridDBArtifactRepository:
    return GridDBArtifactRepository("griddb:///root/run/artifacts")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "data" / "deep").mkdir(parents=True)
    (folder / "MLmodel").write_text("flavors: {}\n")
    (folder / "data" / "empty").write_bytes(b"")
    (folder / "data" / "Gänge 漢字.txt").write_text("ü")
    (folder / "data" / "deep" / "model.onnx").write_bytes(bytes(range(256)) * 20_000)
    return folder


def listing(repository: GridDBArtifactRepository, path: str | None = None) -> list[tuple[str, bool, int | None]]:
    return [(info.path, info.is_dir, info.file_size) for info in repository.list_artifacts(path)]


def test_a_tree_goes_in_is_listed_and_comes_out(
    repository: GridDBArtifactRepository, tree: Path, tmp_path: Path
) -> None:
    repository.log_artifacts(str(tree), "model")
    assert listing(repository) == [("model", True, None)]
    assert listing(repository, "model") == [("model/MLmodel", False, 12), ("model/data", True, None)]
    assert listing(repository, "model/data") == [
        ("model/data/Gänge 漢字.txt", False, 2),
        ("model/data/deep", True, None),
        ("model/data/empty", False, 0),
    ]
    assert listing(repository, "model/MLmodel") == []
    assert listing(repository, "nosuch") == []
    out = tmp_path / "out"
    out.mkdir()
    repository.download_artifacts("model", str(out))
    for file in tree.rglob("*"):
        if file.is_file():
            assert (out / "model" / file.relative_to(tree)).read_bytes() == file.read_bytes()


def test_names_with_percent_and_underscore_are_kept_apart(repository: GridDBArtifactRepository, tmp_path: Path) -> None:
    for name in ("a_b", "axb", "a%20b", "a b"):
        (tmp_path / name).write_text(name)
        repository.log_artifact(str(tmp_path / name), "names")
    assert [path for path, _, _ in listing(repository, "names")] == [
        "names/a b",
        "names/a%20b",
        "names/a_b",
        "names/axb",
    ]
    repository.delete_artifacts("names/a_b")
    assert len(listing(repository, "names")) == 3


def test_a_missing_artifact_is_not_found(repository: GridDBArtifactRepository, tmp_path: Path) -> None:
    with pytest.raises(MlflowException, match="No object 'root/run/artifacts/nosuch'") as caught:
        repository._download_file("nosuch", tmp_path / "x")
    assert caught.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    assert not (tmp_path / "x").exists()


def test_delete_takes_folders_with_a_trailing_slash(
    repository: GridDBArtifactRepository, objects: ObjectStore, tree: Path
) -> None:
    repository.log_artifacts(str(tree), "a")
    repository.log_artifacts(str(tree), "ab")
    # What MLflow's gc sends through its artifact proxy.
    GridDBArtifactRepository("griddb:///root").delete_artifacts("run/artifacts/a/")
    assert listing(repository) == [("ab", True, None)]
    repository.delete_artifacts()
    assert objects.list() == []
    assert objects.collect_orphans(grace_ms=-1) == 0


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "a//b", "./a"])
def test_paths_that_leave_the_root_are_refused(repository: GridDBArtifactRepository, tmp_path: Path, path: str) -> None:
    (tmp_path / "f").write_text("x")
    for action in (
        lambda: repository.log_artifact(str(tmp_path / "f"), path),
        lambda: repository.list_artifacts(path),
        lambda: repository.delete_artifacts(path),
        lambda: repository._download_file(path, tmp_path / "y"),
    ):
        with pytest.raises(MlflowException, match="Invalid"):
            action()


def test_streams(repository: GridDBArtifactRepository, objects: ObjectStore) -> None:
    repository.log_artifact_from_stream(io.BytesIO(b"abc"), "ignored/name.bin", "up")

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield bytes(1024 * 1024)

    async def broken() -> AsyncIterator[bytes]:
        yield bytes(3 * 1024 * 1024)
        raise ConnectionResetError

    asyncio.run(repository.log_artifact_from_async_stream(chunks(), "big.bin", "up"))
    with pytest.raises(ConnectionResetError):
        asyncio.run(repository.log_artifact_from_async_stream(broken(), "half.bin", "up"))
    assert listing(repository, "up") == [("up/big.bin", False, 5 * 1024 * 1024), ("up/name.bin", False, 3)]
    assert objects.collect_orphans(grace_ms=-1) == 0


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("griddb://admin:secret@host:1/c/d/r", r"griddb://\*\*\*@host:1/c/d/r' carries a user or password"),
        ("griddb://host:1/cluster", "misses a part; use griddb://host:port/cluster/database/folder"),
    ],
)
def test_wrong_uris(uri: str, message: str) -> None:
    with pytest.raises(MlflowException, match=message) as caught:
        GridDBArtifactRepository(uri)
    assert "secret" not in str(caught.value)


def test_only_the_configured_store_is_connected_to(objects: ObjectStore) -> None:
    repository = GridDBArtifactRepository("griddb://evil:1/cluster/public/root")
    with pytest.raises(MlflowException, match="only that one is connected to"):
        repository.list_artifacts()


def test_one_store_serves_all_repositories(objects: ObjectStore) -> None:
    assert stores.objects_at(ObjectUri("", "a")) is stores.objects_at(ObjectUri("", "b"))


@pytest.mark.filterwarnings("default::DeprecationWarning", "default::FutureWarning", "default::ResourceWarning")
def test_runs_of_mlflow(objects: ObjectStore, tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    try:
        experiment = mlflow.create_experiment("e", artifact_location="griddb:///mlflow/e")
        with mlflow.start_run(experiment_id=experiment) as run:
            mlflow.log_text("hello", "notes/hello.txt")
            mlflow.log_dict({"a": 1}, "config.json")
            mlflow.log_artifacts(str(tree), "model")
        # MLflow shortens the three slashes to one.
        assert run.info.artifact_uri.startswith("griddb:")
        client = mlflow.MlflowClient()
        assert [info.path for info in client.list_artifacts(run.info.run_id)] == ["config.json", "model", "notes"]
        assert mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/notes/hello.txt") == "hello"
        assert mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/config.json") == {"a": 1}
        found = Path(mlflow.artifacts.download_artifacts(f"runs:/{run.info.run_id}/model", dst_path=str(tmp_path)))
        assert (found / "data" / "deep" / "model.onnx").stat().st_size == 5_120_000
        assert len(objects.list("mlflow/e")) == 6
    finally:
        mlflow.set_tracking_uri(None)
