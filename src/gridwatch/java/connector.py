"""Build the Kafka Connect sink from its Java sources: a plugin folder with its jar and the jars that it needs.

Connect gives each folder below `plugin.path` a class loader of its own, so what the connector needs beyond Connect's
own interfaces lies beside it, in the versions it was compiled against.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import structlog

from gridwatch import __version__
from gridwatch.errors import JavaError
from gridwatch.java.compiler import compile_java
from gridwatch.java.jars import cache_dir, jars

__all__ = ["CONNECTOR_CLASS", "PLUGIN", "build_connector", "connector_sources"]

log = structlog.get_logger(__name__)

Progress = Callable[[int, int | None], None]

CONNECTOR_CLASS = "org.gridwatch.connect.GridDBSinkConnector"
PLUGIN = "gridwatch-griddb-sink"
"""Name of the folder below `plugin.path`, and of the jar in it."""

_JAVA = 17
"""What Connect 4's workers need at least."""

_SERVICE = "META-INF/services/org.apache.kafka.connect.sink.SinkConnector"
# In the plugin folder, beside the connector; slf4j is the worker's own, always.
_OWN = ("gridstore", "gridstore-jdbc", "jackson-annotations", "jackson-core", "jackson-databind")
_NEEDED = ("connect-api", "kafka-clients", "slf4j-api", *_OWN)
_EPOCH = (1980, 1, 1, 0, 0, 0)


def connector_sources() -> Path:
    """Return the folder with the connector's `java` and `resources`: the wheel's, or that of the source tree.

    Raises:
        JavaError: The installation lacks it.
    """
    here = Path(__file__).resolve()
    for folder in (here.with_name("_connector"), here.parents[3] / "kafka_connect" / "src" / "main"):
        if (folder / "java").is_dir():
            return folder
    raise JavaError(
        f"This installation of gridwatch in {str(here.parents[1])!r} lacks the connector's Java sources; install it "
        "again."
    )


def build_connector(
    environ: Mapping[str, str],
    *,
    out: Path | None = None,
    sources: Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Return a folder for `plugin.path` that holds the connector, building it on first use.

    The folder below it, `PLUGIN`, holds the connector's jar and those it needs. It is kept in the per-user cache by the
    SHA-256 of all that goes in; the same sources give the same bytes. Two processes may do this at once.

    Args:
        environ: Environment variables, for Java and the place of the cache.
        out: Another folder to lay the plugin in; one of an earlier build there is replaced.
        sources: Folder with `java` and perhaps `resources`; by default gridwatch's own connector.
        progress: Told the jars that are there and how many there will be, when some must be downloaded first.

    Raises:
        JavaError: There is no Java, a jar cannot be had, the sources do not compile, or a folder cannot be written.
    """
    root = sources or connector_sources()
    needed = _jars(environ, progress)
    classes = compile_java(root / "java", list(needed.values()), environ, version=_JAVA)
    entries = _entries(classes, root / "resources")
    home = cache_dir(environ).with_name("connect")
    target = home / _digest(entries, classes.name)
    own = [needed[name] for name in _OWN]
    if not target.is_dir():
        _lay(target, entries, own)
        log.info("connector_built", plugin_path=str(target), classes=len(entries))
    if out is None:
        return target
    _copy(target / PLUGIN, out / PLUGIN)
    return out


def _jars(environ: Mapping[str, str], progress: Progress | None) -> dict[str, Path]:
    """Return the jars that the connector is compiled against, by artifact; Kafka's come first, so its slf4j wins."""
    found: dict[str, Path] = {}
    for path in (*jars("kafka", environ, progress=progress), *jars("griddb", environ)):
        # .../<artifact>/<version>/<artifact>-<version>.jar
        found.setdefault(path.parent.parent.name, path)
    return {name: found[name] for name in _NEEDED}


def _entries(classes: Path, resources: Path) -> dict[str, bytes]:
    """Return what the connector's jar holds, by name, sorted; the manifest first, where Java looks for it."""
    manifest = (
        f"Manifest-Version: 1.0\r\nImplementation-Title: {PLUGIN}\r\nImplementation-Version: {__version__}\r\n\r\n"
    )
    # Connect 4 finds connectors by this file alone.
    found = {_SERVICE: f"{CONNECTOR_CLASS}\n".encode()}
    for root in (classes, resources):
        found |= {path.relative_to(root).as_posix(): path.read_bytes() for path in _files(root)}
    return {"META-INF/MANIFEST.MF": manifest.encode(), **dict(sorted(found.items()))}


def _files(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if path.is_file())


def _digest(entries: Mapping[str, bytes], classes: str) -> str:
    # The classes' own name counts the jars they were compiled against, which lie beside them.
    total = hashlib.sha256(classes.encode())
    for name, data in entries.items():
        total.update(f"\n{name} {hashlib.sha256(data).hexdigest()}".encode())
    return total.hexdigest()


def _lay(target: Path, entries: Mapping[str, bytes], own: Sequence[Path]) -> None:
    """Make the plugin folder under another name and put it in place at once."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent))
        try:
            # mkdtemp's folder is for its owner alone; a worker may run as another user.
            new.chmod(0o755)
            (new / PLUGIN).mkdir()
            _write_jar(new / PLUGIN / f"{PLUGIN}-{__version__}.jar", entries)
            for jar in own:
                shutil.copyfile(jar, new / PLUGIN / jar.name)
            _move(new, target)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    except OSError as error:
        raise JavaError(
            f"Cannot write the connector to {str(target.parent)!r}: {error}. Set XDG_CACHE_HOME."
        ) from error


def _write_jar(path: Path, entries: Mapping[str, bytes]) -> None:
    """Write a jar whose bytes depend on its entries alone: fixed times, and no compression, whose libraries differ."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as jar:
        for name, data in entries.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            jar.writestr(entry, data)


def _move(new: Path, target: Path) -> None:
    try:
        new.rename(target)
    except OSError:
        # Another process was first; its folder is the same.
        if not target.is_dir():
            raise


def _copy(plugin: Path, target: Path) -> None:
    """Lay the plugin in a folder of the user's; only one that holds a build of ours is replaced."""
    if target.exists() and not any(target.glob(f"{PLUGIN}-*.jar")):
        raise JavaError(
            f"{str(target)!r} is there and holds no {PLUGIN} jar, so it is left alone; name another folder with --out."
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent))
        try:
            shutil.copytree(plugin, new / "new")
            if target.exists():
                target.rename(new / "old")
            (new / "new").rename(target)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    except OSError as error:
        raise JavaError(f"Cannot write the connector to {str(target)!r}: {error}.") from error
