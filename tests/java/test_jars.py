"""Jars come exactly as the lock file names them, or not at all."""

from __future__ import annotations

import hashlib
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gridwatch.errors import JavaError
from gridwatch.java.jars import ENVIRONMENTS, cache_dir, jars, lock_jars, lock_path, read_lock

ALPHA, BETA = "org.example:alpha:1.0", "org.example.deep:beta:2.1"
BYTES = {ALPHA: b"alpha's bytes", BETA: b"beta's bytes" * 1000}
SHA = {name: hashlib.sha256(content).hexdigest() for name, content in BYTES.items()}


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A Maven repository on loopback with two jars; alpha depends on beta."""
    root = tmp_path / "repository"
    for name, content in BYTES.items():
        group, artifact, version = name.split(":")
        folder = root.joinpath(*group.split("."), artifact, version)
        folder.mkdir(parents=True)
        (folder / f"{artifact}-{version}.jar").write_bytes(content)
        needs = ""
        if name == ALPHA:
            needs = (
                "<dependencies><dependency><groupId>org.example.deep</groupId><artifactId>beta</artifactId>"
                "<version>2.1</version></dependency></dependencies>"
            )
        (folder / f"{artifact}-{version}.pom").write_text(
            f"<project><modelVersion>4.0.0</modelVersion><groupId>{group}</groupId>"
            f"<artifactId>{artifact}</artifactId><version>{version}</version>{needs}</project>"
        )
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield {"local": f"http://127.0.0.1:{server.server_port}/"}
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "test.lock.toml"
    path.write_text("[jars]\n" + "".join(f'"{name}" = "{digest}"\n' for name, digest in SHA.items()))
    return path


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"XDG_CACHE_HOME": str(tmp_path / "cache")}


def test_jars_are_downloaded_once_in_the_order_of_the_lock(
    repository: dict[str, str], lock: Path, environ: dict[str, str]
) -> None:
    seen: list[tuple[int, int | None]] = []
    found = jars("kafka", environ, lock=lock, repositories=repository, progress=lambda *done: seen.append(done))
    assert [path.read_bytes() for path in found] == [BYTES[ALPHA], BYTES[BETA]]
    assert seen == [(1, 2), (2, 2)]
    # The second time nothing is asked of the network: there is no repository at all.
    assert jars("kafka", environ, lock=lock, repositories={}, progress=lambda *done: seen.append(done)) == found
    assert len(seen) == 2
    assert [path.name for path in cache_dir(environ).iterdir()] == ["org"], "no temporary folder stays behind"


def test_another_file_than_the_locked_one_is_refused(
    repository: dict[str, str], lock: Path, environ: dict[str, str]
) -> None:
    lock.write_text(lock.read_text().replace(SHA[BETA], "0" * 64))
    with pytest.raises(JavaError, match=rf"{BETA} has SHA-256 {SHA[BETA]}, but the lock file says {'0' * 64}"):
        jars("kafka", environ, lock=lock, repositories=repository)
    assert not list(cache_dir(environ).rglob("beta*.jar")), "it must not get into the cache"


def test_a_jar_that_was_changed_in_the_cache_is_found(
    repository: dict[str, str], lock: Path, environ: dict[str, str]
) -> None:
    found = jars("kafka", environ, lock=lock, repositories=repository)
    found[0].write_bytes(b"something else")
    with pytest.raises(
        JavaError, match=rf"{ALPHA} has SHA-256 [0-9a-f]+, but .* {SHA[ALPHA]}\. Delete '.*alpha-1.0.jar'"
    ):
        jars("kafka", environ, lock=lock, repositories=repository)


def test_without_a_network_the_message_says_what_to_do(lock: Path, environ: dict[str, str]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = {"nobody": f"http://127.0.0.1:{probe.getsockname()[1]}"}
        with pytest.raises(
            JavaError, match=r"Cannot download alpha-1.0.jar \(nobody: ConnectionError.*copy the cache folder"
        ):
            jars("kafka", environ, lock=lock, repositories=nobody)


def test_a_jar_that_the_repository_lacks_is_named(
    repository: dict[str, str], lock: Path, environ: dict[str, str]
) -> None:
    lock.write_text(lock.read_text().replace(BETA, "org.example:gone:3"))
    with pytest.raises(JavaError, match=r"Cannot download gone-3.jar \(local: HTTP 404\)"):
        jars("kafka", environ, lock=lock, repositories=repository)


def test_a_cache_that_cannot_be_written_is_named(repository: dict[str, str], lock: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JavaError, match=r"Cannot (write to the jar cache|read .* at) .*file/gridwatch/jars"):
        jars("kafka", {"XDG_CACHE_HOME": str(tmp_path / "file")}, lock=lock, repositories=repository)


def test_two_processes_at_once(repository: dict[str, str], lock: Path, environ: dict[str, str]) -> None:
    code = (
        "import sys; from pathlib import Path; from gridwatch.java.jars import jars; "
        "print(len(jars('kafka', {'XDG_CACHE_HOME': sys.argv[1]}, lock=Path(sys.argv[2]), "
        "repositories={'local': sys.argv[3]})))"
    )
    argv = [sys.executable, "-c", code, environ["XDG_CACHE_HOME"], str(lock), repository["local"]]
    both = [subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [child.communicate(timeout=60) for child in both]
    assert [out.split()[-1] for out, _ in answers] == ["2", "2"], answers
    assert [path.read_bytes() for path in jars("kafka", environ, lock=lock, repositories={})] == [*BYTES.values()]


def test_a_lock_is_made_from_what_an_environment_asks_for(
    repository: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENVIRONMENTS, "test", ((ALPHA,), (BETA,)))
    path = lock_jars("test", path=tmp_path / "new.lock.toml", repositories=repository)
    assert {jar.coordinate: jar.sha256 for jar in read_lock(path)} == SHA
    assert "127.0.0.1" not in path.read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Cannot read the lock file .*KeyError.*Restore it from Git"),
        ("[jars", "Cannot read the lock file"),
        ('[jars]\n"org.example:alpha" = "00"', "wrong entry 'org.example:alpha' = '00'"),
        ('[jars]\n"org.example:alpha:1" = 5', "wrong entry 'org.example:alpha:1' = 5"),
    ],
)
def test_a_broken_lock_file_is_told(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "broken.toml"
    path.write_text(text)
    with pytest.raises(JavaError, match=message):
        read_lock(path)


def test_the_committed_lock_is_whole_and_has_no_address() -> None:
    for environment, groups in ENVIRONMENTS.items():
        text = lock_path(environment).read_text()
        assert not re.search(r"://|maven", text.replace("org.apache.maven:maven-artifact", ""))
        locked = {jar.coordinate for jar in read_lock(lock_path(environment))}
        assert {name for group in groups for name in group} <= locked
        names = [coordinate.rsplit(":", 1)[0] for coordinate in locked]
        assert len(names) == len(set(names)), "a jar in two versions"
    kafka = {jar.coordinate for jar in read_lock(lock_path("kafka"))}
    assert all(name.endswith(":4.3.1") for name in kafka if name.startswith("org.apache.kafka:"))


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"XDG_CACHE_HOME": "/x", "HOME": "/home/a"}, "/x/gridwatch/jars"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/home/a"}, "/home/a/.cache/gridwatch/jars"),
        ({"HOME": "/home/a"}, "/home/a/.cache/gridwatch/jars"),
    ],
)
def test_where_the_cache_is(environ: dict[str, str], folder: str) -> None:
    assert cache_dir(environ) == Path(folder)
