"""The Kafka Connect sink is built from its sources into a plugin folder, the same bytes every time."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gridwatch.cli.app import app
from gridwatch.errors import JavaError
from gridwatch.java.connector import CONNECTOR_CLASS, PLUGIN, build_connector, connector_sources

SINK = """package org.gridwatch.connect;
public class GridDBSinkConnector {
  org.apache.kafka.connect.sink.SinkTask task;
  com.toshiba.mwcloud.gs.GridStore store;
}
"""


def environ_below(folder: Path) -> dict[str, str]:
    """The jars of this user's cache, what is built in a cache of the test's own."""
    cache = folder / "cache" / "gridwatch"
    cache.mkdir(parents=True)
    found = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gridwatch" / "jars"
    found.mkdir(parents=True, exist_ok=True)
    (cache / "jars").symlink_to(found)
    return {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return environ_below(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    package = tmp_path / "sources" / "java" / "org" / "gridwatch" / "connect"
    package.mkdir(parents=True)
    (package / "GridDBSinkConnector.java").write_text(SINK, encoding="utf-8")
    resources = tmp_path / "sources" / "resources"
    resources.mkdir()
    (resources / "note.txt").write_text("a resource")
    return tmp_path / "sources"


def digests(plugin_path: Path) -> dict[str, str]:
    return {
        str(path.relative_to(plugin_path)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in plugin_path.rglob("*")
        if path.is_file()
    }


def jar_of(plugin_path: Path) -> zipfile.ZipFile:
    [path] = (plugin_path / PLUGIN).glob(f"{PLUGIN}-*.jar")
    return zipfile.ZipFile(path)


def test_the_plugin_folder_holds_the_connector_and_what_it_needs(sources: Path, environ: dict[str, str]) -> None:
    built = build_connector(environ, sources=sources)
    assert built == build_connector(environ, sources=sources)
    assert [path.name for path in built.iterdir()] == [PLUGIN]
    names = {path.name.rpartition("-")[0] for path in (built / PLUGIN).iterdir()}
    assert names == {PLUGIN, "gridstore", "gridstore-jdbc", "jackson-core", "jackson-databind", "jackson-annotations"}
    with jar_of(built) as jar:
        assert jar.testzip() is None
        held = jar.namelist()
        assert held[0] == "META-INF/MANIFEST.MF"
        assert held[1:] == sorted(held[1:])
        assert {entry.date_time for entry in jar.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert (
            jar.read("META-INF/services/org.apache.kafka.connect.sink.SinkConnector") == f"{CONNECTOR_CLASS}\n".encode()
        )
        assert jar.read("note.txt") == b"a resource"
        # Java 17's class files: Connect 4 runs on no older one.
        assert jar.read("org/gridwatch/connect/GridDBSinkConnector.class")[4:8] == bytes((0, 0, 0, 61))
    assert not list(built.parent.glob(".new-*"))


def test_the_same_sources_give_the_same_bytes_and_others_another_folder(sources: Path, environ: dict[str, str]) -> None:
    built = build_connector(environ, sources=sources)
    before = digests(built)
    shutil.rmtree(built)
    shutil.rmtree(built.parents[1] / "classes")
    assert digests(build_connector(environ, sources=sources)) == before
    (sources / "resources" / "note.txt").write_text("another")
    other = build_connector(environ, sources=sources)
    assert other != built
    assert digests(built) == before


def test_two_processes_may_build_at_once(sources: Path, tmp_path: Path) -> None:
    environ = environ_below(tmp_path)
    code = (
        "import os, pathlib, sys; from gridwatch.java.connector import build_connector;"
        "print(build_connector(os.environ, sources=pathlib.Path(sys.argv[1]), out=pathlib.Path(sys.argv[2])))"
    )
    outs = [tmp_path / "one", tmp_path / "two"]
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(sources), str(out)], env=environ, stderr=subprocess.PIPE)
        for out in outs
    ]
    for process in started:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said.decode()
    assert digests(outs[0]) == digests(outs[1]) == digests(build_connector(environ, sources=sources))
    assert not list((tmp_path / "cache" / "gridwatch").rglob(".new-*"))


def test_a_folder_of_the_users_is_replaced_only_where_it_is_a_build(
    sources: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "plugins"
    assert build_connector(environ, sources=sources, out=out) == out
    (out / PLUGIN / "left-from-before.jar").write_text("")
    build_connector(environ, sources=sources, out=out)
    assert digests(out) == digests(build_connector(environ, sources=sources))
    shutil.rmtree(out / PLUGIN)
    (out / PLUGIN).mkdir()
    (out / PLUGIN / "mine.txt").write_text("keep me")
    with pytest.raises(JavaError, match=r"holds no gridwatch-griddb-sink jar, so it is left alone"):
        build_connector(environ, sources=sources, out=out)
    assert (out / PLUGIN / "mine.txt").read_text() == "keep me"
    (tmp_path / "file").write_text("")
    with pytest.raises(JavaError, match=r"Cannot write the connector to .*file"):
        build_connector(environ, sources=sources, out=tmp_path / "file")


def test_sources_that_do_not_compile_leave_no_plugin(sources: Path, tmp_path: Path) -> None:
    environ = environ_below(tmp_path)
    next((sources / "java").rglob("*.java")).write_text("class Nonsense { int x = y; }")
    with pytest.raises(JavaError, match=r"do not compile: (?s:.*)y cannot be resolved"):
        build_connector(environ, sources=sources)
    assert not (Path(environ["XDG_CACHE_HOME"]) / "gridwatch" / "connect").exists()


def test_our_own_connector_compiles_and_the_command_lays_it_out(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", environ["XDG_CACHE_HOME"])
    done = CliRunner().invoke(app, ["connect", "build", "--out", str(tmp_path / "out"), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout[done.stdout.index("{") :])
    assert (told["plugin_path"], told["plugin"], told["class"]) == (str(tmp_path / "out"), PLUGIN, CONNECTOR_CLASS)
    assert told["jars"] == sorted(path.name for path in (tmp_path / "out" / PLUGIN).iterdir())
    with jar_of(tmp_path / "out") as jar:
        held = set(jar.namelist())
        services = {name for name in held if name.startswith("META-INF/services/")}
        assert "META-INF/services/org.apache.kafka.connect.sink.SinkConnector" in services
        for name in services:
            for provider in jar.read(name).decode().split():
                assert f"{provider.replace('.', '/')}.class" in held
    wanted = {path.relative_to(connector_sources() / "java") for path in connector_sources().rglob("*.java")}
    # A package's own page becomes no class.
    classes = {path.with_suffix(".class").as_posix() for path in wanted if path.stem != "package-info"}
    assert classes <= held
