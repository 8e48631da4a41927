"""Artifacts through MLflow's own server: `mlflow server --artifacts-destination griddb:///dest`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest
import requests
from typer.testing import CliRunner

from gridwatch.cli.app import app
from gridwatch.containers import open_store
from gridwatch.containers._object_rows import BATCH_CHUNKS, CHUNK_BYTES
from gridwatch.containers.objects import ObjectStore
from gridwatch.streaming.broker_files import free_ports
from tests.mlflow_database import put_database

pytestmark = [
    pytest.mark.filterwarnings("default"),
]

NAMES = (".hidden", "zero", "a/b/c/deep.txt", "Gänge 漢字.txt", "100%.txt", "foo/x", "foobar/x", "a b+c&d=e;f.txt")


@dataclass(frozen=True)
class Server:
    """A running server: its URL, its database, and the objects behind it."""

    url: str
    database: str
    objects: ObjectStore

    def artifacts(self, path: str) -> str:
        return f"{self.url}/api/2.0/mlflow-artifacts/artifacts/{path}"


@contextmanager
def running(folder: Path, command: Sequence[str], port: int) -> Iterator[Server]:
    url = f"sqlite:///{folder / 'store.db'}"
    environ = os.environ | {"GRIDWATCH_STORE_URL": url, "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "server.log").open("wb") as log, open_store(url) as store:
        server = subprocess.Popen(command, env=environ, cwd=folder, stdout=log, stderr=log, start_new_session=True)
        try:
            deadline = time.monotonic() + 240
            while True:
                assert server.poll() is None, (folder / "server.log").read_text()
                assert time.monotonic() < deadline, (folder / "server.log").read_text()
                try:
                    if requests.get(f"http://127.0.0.1:{port}/health", timeout=60).ok:
                        break
                except requests.RequestException:
                    time.sleep(0.1)
            yield Server(f"http://127.0.0.1:{port}", f"sqlite:///{folder / 'mlflow.db'}", ObjectStore(store))
        finally:
            os.killpg(server.pid, 15)
            server.wait(60)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder, port = tmp_path_factory.mktemp("server"), free_ports(1)[0]
    script = Path(__file__).with_name("proxy_server.py")
    backend = f"sqlite:///{folder / 'mlflow.db'}"
    put_database(tmp_path_factory, folder / "mlflow.db")
    with running(folder, [sys.executable, str(script), str(port), backend, "griddb:///dest"], port) as server:
        yield server


@pytest.fixture
def client(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[mlflow.MlflowClient]:
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    mlflow.set_tracking_uri(server.url)
    yield mlflow.MlflowClient()
    mlflow.set_tracking_uri(None)


def a_tree(folder: Path) -> Path:
    for name in NAMES:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"" if name == "zero" else name.encode())
    return folder


def came_back(tree: Path, folder: Path) -> bool:
    return all((folder / name).read_bytes() == (tree / name).read_bytes() for name in NAMES)


def test_a_run_through_the_proxy(server: Server, client: mlflow.MlflowClient, tmp_path: Path) -> None:
    tree = a_tree(tmp_path / "tree")
    run = client.create_run(client.create_experiment("tree")).info
    assert run.artifact_uri.startswith("mlflow-artifacts:/")
    client.log_artifacts(run.run_id, str(tree), "t")
    found = Path(client.download_artifacts(run.run_id, "t", str(tmp_path)))
    assert came_back(tree, found)
    assert [one.path for one in client.list_artifacts(run.run_id, "t/foo")] == ["t/foo/x"]
    # Again, with other bytes: replaced, not added.
    (tree / "zero").write_bytes(bytes(BATCH_CHUNKS * CHUNK_BYTES + 1))
    client.log_artifact(run.run_id, str(tree / "zero"), "t")
    again = Path(client.download_artifacts(run.run_id, "t/zero", str(tmp_path)))
    assert again.stat().st_size == BATCH_CHUNKS * CHUNK_BYTES + 1
    assert len(server.objects.list("dest")) == len(NAMES)


@pytest.mark.parametrize("path", ["..%2F..%2Fx", "a/..%2F..%2F..%2Fx", "%2Fetc%2Fpasswd", "a/.%2Fb", "%252E%252E%2Fx"])
def test_paths_that_leave_the_folder_are_answered_with_400(server: Server, path: str) -> None:
    before = server.objects.list()
    # MLflow's router for deletions turns two slashes into one by itself.
    for method in ("PUT", "GET", *(() if path.startswith("%2F") else ("DELETE",))):
        answer = requests.request(method, server.artifacts(path), data=b"x" if method == "PUT" else None, timeout=60)
        assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), method
    assert server.objects.list() == before


def test_what_is_not_there_and_what_is_in_the_way(server: Server) -> None:
    assert requests.get(server.artifacts("no/such"), timeout=60).status_code == 404
    assert requests.put(server.artifacts("way/file"), data=b"x", timeout=60).status_code == 200
    answer = requests.put(server.artifacts("way/file/below"), data=b"x", timeout=60)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "RESOURCE_ALREADY_EXISTS")
    assert "'dest/way/file' is an object, not a folder" in answer.json()["message"]
    answer = requests.put(server.artifacts("way"), data=b"x", timeout=60)
    assert "it is a folder, with 'dest/way/file' in it" in answer.json()["message"]


def test_changed_bytes_are_an_error_that_names_the_artifact(server: Server) -> None:
    requests.put(server.artifacts("flip/model.onnx"), data=b"good", timeout=60)
    store, info = server.objects.store, server.objects.info("dest/flip/model.onnx")
    store.execute("UPDATE mlflow_artifact_chunks SET data = X'00' WHERE object_id = ?", [info.object_id])
    answer = requests.get(server.artifacts("flip/model.onnx"), timeout=60)
    assert (answer.status_code, answer.json()["error_code"]) == (500, "DATA_LOSS")
    assert "'dest/flip/model.onnx'" in answer.json()["message"]


def count_chunks(server: Server) -> int:
    return len(server.objects.store.sql("SELECT chunk FROM mlflow_artifact_chunks"))


def test_an_upload_that_breaks_off_leaves_nothing(server: Server) -> None:
    requests.put(server.artifacts("cut/x"), data=b"old", timeout=60)
    before = count_chunks(server)
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as connection:
        head = f"PUT {server.artifacts('cut/x')[len(server.url) :]} HTTP/1.1\r\nHost: localhost\r\n"
        connection.sendall(f"{head}Content-Length: {100 * CHUNK_BYTES}\r\n\r\n".encode())
        connection.sendall(bytes(3 * BATCH_CHUNKS * CHUNK_BYTES))
    deadline = time.monotonic() + 180
    while count_chunks(server) != before:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert server.objects.read("dest/cut/x") == b"old"


def test_a_client_cannot_send_the_server_elsewhere(server: Server, client: mlflow.MlflowClient) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        experiment = client.create_experiment("evil", artifact_location=f"griddb://127.0.0.1:{port}/c/public/x")
        run = client.create_run(experiment).info
        listing = f"{server.url}/ajax-api/2.0/mlflow/artifacts/list"
        answer = requests.get(listing, {"run_id": run.run_id}, timeout=60)
        assert (answer.status_code, answer.json()["error_code"]) == (403, "PERMISSION_DENIED")
        listener.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listener.accept()


def test_gc_through_the_proxy_deletes_the_bytes(
    server: Server, client: mlflow.MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = client.create_experiment("gc")
    kept, gone = (client.create_run(experiment).info.run_id for _ in range(2))
    (tmp_path / "f").write_text("x")
    for run_id in (kept, gone):
        client.log_artifact(run_id, str(tmp_path / "f"), "d")
    client.delete_run(gone)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRIDWATCH_STORE_URL", server.objects.store.url)
    monkeypatch.setenv("GRIDWATCH_MLFLOW__TRACKING_URI", server.url)
    done = CliRunner().invoke(app, ["artifacts", "gc", "--yes", "--database", server.database])
    assert done.exit_code == 0, done.output
    assert f"remove: run {gone}" in done.output
    assert "Removed 1 run, 0 models, 0 experiments" in done.output
    assert [info.path for info in server.objects.list(f"dest/{experiment}")] == [
        f"dest/{experiment}/{kept}/artifacts/d/f"
    ]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_command_mlflow_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_ports(1)[0]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path / 'mlflow.db'}"]
    command += ["--artifacts-destination", "griddb:///dest", "--workers", "2"]
    with running(tmp_path, command, port) as server:
        mlflow.set_tracking_uri(server.url)
        try:
            client = mlflow.MlflowClient()
            run_id = client.create_run(client.create_experiment("e")).info.run_id
            tree = a_tree(tmp_path / "tree")
            client.log_artifacts(run_id, str(tree))
            (tmp_path / "out").mkdir()
            assert came_back(tree, Path(client.download_artifacts(run_id, "", str(tmp_path / "out"))))
            assert len(server.objects.list("dest")) == len(NAMES)
            client.delete_run(run_id)
            # MLflow's own gc, through its proxy, with the slash at the end of the path.
            done = subprocess.run(
                [sys.executable, "-m", "mlflow", "gc", "--backend-store-uri", server.database],
                env=os.environ | {"MLFLOW_TRACKING_URI": server.url},
                capture_output=True,
                text=True,
                check=True,
            )
            assert "permanently deleted" in done.stdout
            assert server.objects.list() == []
        finally:
            mlflow.set_tracking_uri(None)
