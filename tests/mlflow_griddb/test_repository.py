"""The artifact repository, used through MLflow itself with a SQLite tracking store."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from gridwatch.containers import open_store
from gridwatch.containers.object_uri import ObjectUri
from gridwatch.containers.objects import ObjectStore
from mlflow_griddb import GridDBArtifactRepository, stores
from tests.mlflow_database import put_database


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
    """The message goes to clients of MLflow's server, and so without the store's place."""
    with pytest.raises(MlflowException, match="No object 'root/run/artifacts/nosuch'") as caught:
        repository._download_file("nosuch", tmp_path / "x")
    assert caught.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    assert str(tmp_path) not in caught.value.serialize_as_json()
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


@pytest.mark.parametrize(
    "path", ["../x", "/x", "a/../../x", "a//b", "./a", ".", "..", "%2e%2e/x", "a/%2E%2E/%2e%2e/x", "/"]
)
def test_paths_that_leave_the_root_are_refused(
    repository: GridDBArtifactRepository, objects: ObjectStore, tmp_path: Path, path: str
) -> None:
    objects.put("root/run/artifacts/a", b"mine")
    objects.put("root/other", b"another's")
    (tmp_path / "f").write_text("x")
    for action in (
        lambda: repository.log_artifact(str(tmp_path / "f"), path),
        lambda: repository.log_artifact_from_stream(io.BytesIO(b"x"), "f", path),
        lambda: repository.list_artifacts(path),
        lambda: repository.delete_artifacts(path),
        lambda: repository._download_file(path, tmp_path / "y"),
    ):
        with pytest.raises(MlflowException, match="Invalid") as caught:
            action()
        assert (caught.value.error_code, caught.value.get_http_status_code()) == ("INVALID_PARAMETER_VALUE", 400)
    assert len(objects.list()) == 2


def test_names_that_only_look_dangerous_are_names(
    repository: GridDBArtifactRepository, objects: ObjectStore, tmp_path: Path
) -> None:
    names = ["#1", "...", "a;b", "a?b=c", "a&b", "[x]", "~", " lead", "back\\slash", "100%", "new\nline", "a..b"]
    folder = tmp_path / "names"
    folder.mkdir()
    for name in names:
        (folder / name).write_text(name)
    repository.log_artifacts(str(folder), "n")
    out = tmp_path / "out"
    out.mkdir()
    repository.download_artifacts("n", str(out))
    assert {one.name: one.read_text() for one in (out / "n").iterdir()} == {name: name for name in names}


def test_a_name_that_is_no_unicode_is_refused(repository: GridDBArtifactRepository, tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9")).write_text("x")
    with pytest.raises(MlflowException, match="is refused; use a relative path") as caught:
        repository.log_artifact(str(tmp_path / os.fsdecode(b"caf\xe9")))
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


def test_empty_folders_and_links(repository: GridDBArtifactRepository, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "empty" / "deep").mkdir(parents=True)
    (tree / "full").mkdir()
    (tree / "full" / "x").write_text("x")
    (tree / "link").symlink_to(tree / "full")
    repository.log_artifacts(str(tree), "t")
    assert [path for path, _, _ in listing(repository, "t")] == ["t/empty", "t/full", "t/link"]
    assert listing(repository, "t/empty/deep") == []
    out = tmp_path / "out"
    out.mkdir()
    repository.download_artifacts("t", str(out))
    assert (out / "t" / "empty" / "deep").is_dir()
    assert (out / "t" / "link" / "x").read_text() == "x"
    repository.delete_artifacts("t/empty/")
    assert [path for path, _, _ in listing(repository, "t")] == ["t/full", "t/link"]
    (tree / "full" / "loop").symlink_to(tree)
    with pytest.raises(MlflowException, match="loop' is a link to a folder above it"):
        repository.log_artifacts(str(tree), "t")


def test_a_file_over_a_folder_and_a_folder_over_a_file_are_refused(
    repository: GridDBArtifactRepository, tree: Path, tmp_path: Path
) -> None:
    repository.log_artifacts(str(tree), "m")
    (tmp_path / "m").write_text("x")
    for folder, message in (
        (None, "'root/run/artifacts/m' cannot be stored: it is a folder"),
        ("m/MLmodel", "m/MLmodel' is an object, not a folder"),
    ):
        with pytest.raises(MlflowException, match=message) as caught:
            repository.log_artifact(str(tmp_path / "m"), folder)
        assert (caught.value.error_code, caught.value.get_http_status_code()) == ("RESOURCE_ALREADY_EXISTS", 400)
    assert len(listing(repository, "m")) == 2


def test_sibling_prefixes(repository: GridDBArtifactRepository, objects: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    for folder in ("foo", "foobar", "foo-bar", "foo0"):
        repository.log_artifact(str(tmp_path / "x"), folder)
    objects.put("root/run/artifacts2/x", b"")
    assert listing(repository, "foo") == [("foo/x", False, 1)]
    repository.delete_artifacts("foo")
    assert [path for path, _, _ in listing(repository)] == ["foo-bar", "foo0", "foobar"]
    repository.delete_artifacts()
    assert [info.path for info in objects.list()] == ["root/run/artifacts2/x"]


def test_a_store_that_was_closed_is_opened_again(repository: GridDBArtifactRepository, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    repository.log_artifact(str(tmp_path / "x"))
    shared = stores.objects_at(ObjectUri("", ""))
    shared.store.close()
    with pytest.raises(MlflowException, match="The artifact store failed") as caught:
        repository.list_artifacts()
    assert "is closed" in str(caught.value.__cause__)
    assert listing(repository) == [("x", False, 1)]
    assert stores.objects_at(ObjectUri("", "")) is not shared


def test_a_store_that_does_not_open_is_tried_again(
    repository: GridDBArtifactRepository,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    blocked = tmp_path / "later"
    blocked.write_text("")
    monkeypatch.setenv("GRIDWATCH_STORE_URL", f"sqlite:///{blocked / 'store.db'}")
    with pytest.raises(MlflowException, match="The artifact store failed") as caught:
        repository.list_artifacts()
    assert caught.value.get_http_status_code() == 500
    # Paths are for the log, not for the clients of MLflow's server.
    assert str(tmp_path) not in caught.value.serialize_as_json()
    assert "Cannot make the folder of store" in capsys.readouterr().out
    blocked.unlink()
    assert listing(repository) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_opens_its_own_store(objects: ObjectStore, tmp_path: Path) -> None:
    script = Path(__file__).with_name("fork_process.py")
    done = subprocess.run([sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [info.path for info in objects.list()] == ["root/child", "root/parent", "root/parent again"]


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
        ("griddb+https://secret@host:1/c/d/r", "carries a user or password; set GRIDWATCH_GRIDDB__USER"),
        ("griddb://host:1/c/d/r?password=secret", "'griddb://host:1/c/d/r' carries a query; only a folder is named"),
        ("griddb:///r?user=admin&password=secret", "'griddb:/r' carries a query"),
        ("griddb:///r#secret", "carries a fragment"),
        ("griddb://host:1/cluster", "misses a part; use griddb://host:port/cluster/database/folder"),
        ("griddb:///a/../../b", "has a '..' in its path"),
        ("griddb:///%2e%2e/b", "has a '..' in its path"),
        ("griddb+http:///folder", r"names no host; use griddb\+http://host:port/cluster/database/folder"),
        ("griddb://[secret/c/d/r", "cannot be read"),
        ("s3://bucket/x", "has no scheme of griddb"),
    ],
)
def test_wrong_uris(uri: str, message: str) -> None:
    with pytest.raises(MlflowException, match=message) as caught:
        GridDBArtifactRepository(uri)
    assert "secret" not in str(caught.value)
    assert caught.value.get_http_status_code() == 400


@pytest.mark.parametrize("uri", ["griddb:///a/b", "griddb:/a/b", "griddb:a/b", "GRIDDB:///a//b/", "griddb:////a/./b"])
def test_forms_of_a_uri(uri: str) -> None:
    assert ObjectUri.parse(uri) == ObjectUri("", "a/b")


STORE = "griddb://One:10001,two:10001/cluster/public?sql=one:20001"


@pytest.mark.parametrize(
    ("uri", "same"),
    [
        ("griddb://two:10001,one:10001/cluster/public/r", True),
        ("GRIDDB://ONE:10001,TWO:10001/cluster/public", True),
        ("griddb:///r", True),
        ("griddb://one:10001/cluster/public/r", False),
        ("griddb://one:10001,two:10001,evil:1/cluster/public/r", False),
        ("griddb://one:10002,two:10001/cluster/public/r", False),
        ("griddb://one,two/cluster/public/r", False),
        ("griddb://one:10001,two:10001/other/public/r", False),
        ("griddb://one:10001,two:10001/cluster/private/r", False),
        ("griddb+http://one:10001,two:10001/cluster/public/r", False),
        ("griddb://evil:1/cluster/public/r", False),
        ("griddb://one:10001,two:10001.evil/cluster/public/r", False),
        ("griddb://127.0.0.1:10001/cluster/public/r", False),
    ],
)
def test_the_store_that_a_uri_may_name(uri: str, same: bool) -> None:
    assert ObjectUri.parse(uri).is_in(STORE) is same


def test_the_plugin_may_be_imported_before_mlflow() -> None:
    script = (
        "from mlflow_griddb import GridDBArtifactRepository as ours\n"
        "from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository as found\n"
        "assert isinstance(found('griddb:///a'), ours) and isinstance(found('griddb+https://h:1/c/d/a'), ours)\n"
    )
    command = [sys.executable, "-W", "error::UserWarning", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_scheme_of_the_web_api() -> None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    uri = "griddb+https://host:443/cluster/public/folder"
    assert isinstance(get_artifact_repository(uri), GridDBArtifactRepository)
    assert ObjectUri.parse(uri).is_in("griddb+https://host:443/cluster/public")
    assert not ObjectUri.parse(uri).is_in("griddb+http://host:443/cluster/public")


def test_only_the_configured_store_is_connected_to(objects: ObjectStore, tmp_path: Path) -> None:
    for uri in ("griddb://evil:1/c/public/root", "GRIDDB://evil/c/public/root", "griddb+http://evil:80/c/public/root"):
        with pytest.raises(MlflowException, match="only that one is connected to") as caught:
            GridDBArtifactRepository(uri).list_artifacts()
        assert caught.value.get_http_status_code() == 403
        assert str(tmp_path) not in caught.value.serialize_as_json()


def test_one_store_serves_all_repositories(objects: ObjectStore) -> None:
    assert stores.objects_at(ObjectUri("", "a")) is stores.objects_at(ObjectUri("", "b"))


@pytest.mark.filterwarnings("default::DeprecationWarning", "default::FutureWarning", "default::ResourceWarning")
def test_runs_of_mlflow(
    objects: ObjectStore,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    tree: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    put_database(tmp_path_factory, tmp_path / "mlflow.db")
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
