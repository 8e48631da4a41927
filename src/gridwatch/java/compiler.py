"""Compile gridwatch's own Java on a plain JRE, with ecj; the classes are kept in the per-user cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from gridwatch.errors import JavaError
from gridwatch.java.jars import cache_dir, jars
from gridwatch.java.jre import find_java

__all__ = ["compile_java"]

log = structlog.get_logger(__name__)

_OPTIONS = ("-encoding", "UTF-8", "-nowarn", "-g")
_MAIN = "org.eclipse.jdt.internal.compiler.batch.Main"
_TIMEOUT_S = 300.0


def compile_java(folder: Path, class_path: Sequence[Path], environ: Mapping[str, str], *, version: int = 11) -> Path:
    """Return the folder with the classes of all `*.java` below `folder`, compiling them on first use.

    The classes are kept by the SHA-256 of the sources and of the jars they are compiled against, so a change of either
    compiles them anew. Two processes may do this at once.

    Args:
        folder: Root of the sources.
        class_path: Jars that they need.
        environ: Environment variables, for Java and the place of the cache.
        version: Java version of the language and of the classes.

    Raises:
        JavaError: There is no Java or no ecj, the sources do not compile, or the cache cannot be written.
    """
    sources = sorted(folder.rglob("*.java"))
    if not sources:
        raise JavaError(f"No Java sources below {str(folder)!r}; reinstall gridwatch.")
    # ecj's `--release` needs a file that only a JDK has.
    options = ("-source", str(version), "-target", str(version), *_OPTIONS)
    target = cache_dir(environ).with_name("classes") / _digest(folder, sources, class_path, options)
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent))
    except OSError as error:
        raise JavaError(
            f"Cannot write to the class cache {str(target.parent)!r}: {error}. Set XDG_CACHE_HOME."
        ) from error
    try:
        _compile(sources, class_path, new, environ, options)
        _move(new, target)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    log.info("java_compiled", sources=len(sources), classes=str(target))
    return target


def _digest(folder: Path, sources: Sequence[Path], class_path: Sequence[Path], options: Sequence[str]) -> str:
    total = hashlib.sha256(" ".join(options).encode())
    for path in (*sources, *class_path):
        name = path.relative_to(folder).as_posix() if path in sources else path.name
        with path.open("rb") as file:
            total.update(f"\n{name} {hashlib.file_digest(file, 'sha256').hexdigest()}".encode())
    return total.hexdigest()


def _compile(
    sources: Sequence[Path],
    class_path: Sequence[Path],
    target: Path,
    environ: Mapping[str, str],
    options: Sequence[str],
) -> None:
    compiler = os.pathsep.join(map(str, jars("ecj", environ)))
    needs = os.pathsep.join(map(str, class_path))
    command: list[str | Path] = [find_java(environ), "-cp", compiler, _MAIN, *options]
    try:
        done = subprocess.run(
            [*command, "-cp", needs, "-d", target, *sources],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            env=dict(environ),
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise JavaError(f"The Java compiler did not run: {error}.") from error
    if done.returncode:
        raise JavaError(f"Java sources do not compile: {(done.stderr + done.stdout).strip()[-2000:]}")


def _move(new: Path, target: Path) -> None:
    """Put the whole folder in place at once; when another process was first, its classes are the same."""
    try:
        new.rename(target)
    except OSError as error:
        if not target.is_dir():
            raise JavaError(f"Cannot keep classes at {str(target)!r}: {error}.") from error
