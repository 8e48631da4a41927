"""Java sources become classes once, on a plain JRE."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from gridwatch.errors import JavaError
from gridwatch.java.compiler import compile_java
from gridwatch.java.jre import find_java, find_jvm

HELLO = "public class Hello { public static void main(String[] words) { System.out.print(%s); } }"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "Hello.java").write_text(HELLO % '"Gänge"', encoding="utf-8")
    return folder


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """The compiler's jar from this user's cache, classes in a cache of the test's own."""
    cache = tmp_path / "cache" / "gridwatch"
    cache.mkdir(parents=True)
    found = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gridwatch" / "jars"
    found.mkdir(parents=True, exist_ok=True)
    (cache / "jars").symlink_to(found)
    return {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}


def test_sources_are_compiled_once_and_again_after_a_change(sources: Path, environ: dict[str, str]) -> None:
    classes = compile_java(sources, [], environ)
    java = find_java(environ)
    said = subprocess.run([java, "-Dstdout.encoding=UTF-8", "-cp", classes, "Hello"], capture_output=True, check=True)
    assert said.stdout.decode() == "Gänge"
    made_ns = (classes / "Hello.class").stat().st_mtime_ns
    assert compile_java(sources, [], environ) == classes
    assert (classes / "Hello.class").stat().st_mtime_ns == made_ns
    assert re.fullmatch("[0-9a-f]{64}", classes.name)
    (sources / "Hello.java").write_text(HELLO % "1", encoding="utf-8")
    assert compile_java(sources, [], environ) != classes
    # What one needs of others counts as well: the same sources against another jar are compiled again.
    jar = sources.parent / "other.jar"
    jar.write_bytes(b"PK\5\6" + bytes(18))
    assert compile_java(sources, [jar], environ) != compile_java(sources, [], environ)


def test_sources_that_do_not_compile_are_told_and_nothing_is_kept(sources: Path, environ: dict[str, str]) -> None:
    (sources / "Hello.java").write_text("public class Hello { int x = nonsense; }")
    with pytest.raises(JavaError, match=r"do not compile: (?s:.*)nonsense cannot be resolved"):
        compile_java(sources, [], environ)
    assert list((Path(environ["XDG_CACHE_HOME"]) / "gridwatch" / "classes").iterdir()) == []


def test_a_folder_without_sources_is_told(tmp_path: Path) -> None:
    with pytest.raises(JavaError, match="No Java sources below"):
        compile_java(tmp_path, [], {})


def test_a_cache_that_cannot_be_written_is_told(sources: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JavaError, match=r"Cannot write to the class cache.*Set XDG_CACHE_HOME"):
        compile_java(sources, [], {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "file")})


def test_the_jvm_is_the_one_of_the_java_that_is_found(tmp_path: Path) -> None:
    library, version = find_jvm(os.environ)
    assert library.is_file()
    assert version >= 17
    # One that comes without the library is passed over.
    java = tmp_path / "home" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\necho 'openjdk version \"21.0.2\" 2024-01-16' >&2\n")
    java.chmod(0o755)
    assert find_jvm({**os.environ, "JAVA_HOME": str(tmp_path / "home")})[0] == library
