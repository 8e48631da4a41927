"""Jars from Maven Central, exactly as a committed lock file names them, kept in a per-user cache.

A lock file holds coordinates and SHA-256 digests and no address: jgo knows where Maven Central is, and its own
configuration file may name a mirror. Jars are verified on every use, so a cache that was tampered with is found.
"""

from __future__ import annotations

import hashlib
import itertools
import shutil
import ssl
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from gridwatch.errors import JavaError

if TYPE_CHECKING:
    import requests

__all__ = ["ENVIRONMENTS", "LockedJar", "cache_dir", "jars", "lock_jars", "lock_path", "read_lock"]

log = structlog.get_logger(__name__)

Progress = Callable[[int, int | None], None]

_KAFKA = "4.3.1"
_LOG4J = "2.25.4"
_GRIDDB = "5.6.0"

ENVIRONMENTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "kafka": (
        tuple(
            f"org.apache.kafka:{name}:{_KAFKA}"
            for name in ("kafka_2.13", "connect-runtime", "connect-json", "connect-transforms", "kafka-tools")
        ),
        # Kafka logs through slf4j 1.7; without this bridge to log4j the broker says nothing at all.
        (f"org.apache.logging.log4j:log4j-slf4j-impl:{_LOG4J}",),
    ),
    "griddb": (
        (f"com.github.griddb:gridstore:{_GRIDDB}",),
        (f"com.github.griddb:gridstore-jdbc:{_GRIDDB}",),
    ),
    # A Java compiler that runs on a plain JRE.
    "ecj": (("org.eclipse.jdt:ecj:3.40.0",),),
}
"""What each environment asks for; its lock file holds what that resolves to.

Each group is resolved by itself, and an earlier one wins: jgo takes what is asked for together as each other's bill of
materials, and log4j's would bring Kafka's clients back to 3.9.
"""

_WORKERS = 6
_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class LockedJar:
    """One line of a lock file: `group:artifact:version` and the SHA-256 of the jar, 64 hex digits."""

    coordinate: str
    sha256: str

    @property
    def path(self) -> Path:
        """Where the jar lies below a Maven repository or the cache."""
        group, artifact, version = self.coordinate.split(":")
        return Path(*group.split("."), artifact, version, f"{artifact}-{version}.jar")


def cache_dir(environ: Mapping[str, str]) -> Path:
    """Return the folder that keeps jars: `gridwatch/jars` below `$XDG_CACHE_HOME`, or below `~/.cache`."""
    base = environ.get("XDG_CACHE_HOME", "")
    # The XDG rules: a relative path is to be ignored.
    root = Path(base) if base and Path(base).is_absolute() else Path(environ.get("HOME") or Path.home()) / ".cache"
    return root / "gridwatch" / "jars"


def lock_path(environment: str) -> Path:
    """Return the committed lock file of an environment, such as `kafka`."""
    return Path(__file__).with_name("locks") / f"{environment}.lock.toml"


def read_lock(path: Path) -> list[LockedJar]:
    """Return the jars of a lock file, in class path order.

    Raises:
        JavaError: The file is missing, or is no lock file.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))["jars"]
        locked = [LockedJar(coordinate, digest) for coordinate, digest in table.items()]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, AttributeError) as error:
        raise JavaError(f"Cannot read the lock file {str(path)!r}: {error!r}. Restore it from Git.") from error
    for jar in locked:
        if jar.coordinate.count(":") != 2 or not isinstance(jar.sha256, str) or len(jar.sha256) != 64:
            raise JavaError(
                f"Lock file {str(path)!r} has a wrong entry {jar.coordinate!r} = {jar.sha256!r}; it should be "
                "'group:artifact:version' = 64 hex digits of SHA-256. Restore it from Git."
            )
    return locked


def jars(
    environment: str,
    environ: Mapping[str, str],
    *,
    lock: Path | None = None,
    progress: Progress | None = None,
    repositories: Mapping[str, str] | None = None,
) -> list[Path]:
    """Return the jars of an environment, downloading those that the cache lacks; each one is verified.

    Two processes may do this at once: a jar is downloaded to a temporary name and moved into place when it is whole.

    Args:
        environment: A key of `ENVIRONMENTS`.
        environ: Environment variables, for the place of the cache.
        lock: Another lock file than the committed one.
        progress: Told the jars that are there, and how many there will be; not called when none was missing.
        repositories: Names and addresses of Maven repositories; by default those that jgo is set up with.

    Raises:
        JavaError: A jar is not what the lock file says, or cannot be downloaded.
    """
    locked = read_lock(lock or lock_path(environment))
    cache = cache_dir(environ)
    missing = [jar for jar in locked if not _verified(cache / jar.path, jar)]
    if missing:
        _download(missing, cache, repositories, progress, already=len(locked) - len(missing))
    return [cache / jar.path for jar in locked]


def lock_jars(
    environment: str = "kafka",
    *,
    path: Path | None = None,
    progress: Progress | None = None,
    repositories: Mapping[str, str] | None = None,
) -> Path:
    """Resolve an environment anew, write its lock file and return its path. For those who work on gridwatch.

    Args:
        environment: A key of `ENVIRONMENTS`.
        path: Another place than that of the committed lock file.
        progress: Told the jars that are there, and how many there will be.
        repositories: Names and addresses of Maven repositories; by default those that jgo is set up with.

    Raises:
        JavaError: A jar or POM cannot be downloaded.
    """
    target = path or lock_path(environment)
    with tempfile.TemporaryDirectory(prefix="gridwatch-lock-") as folder:
        context = _context(Path(folder), repositories)
        chosen: dict[tuple[str, str], Any] = {}
        for group in ENVIRONMENTS[environment]:
            wanted = [context.create_dependency(coordinate) for coordinate in group]
            for dependency in itertools.chain(*context.resolver.resolve(wanted)):
                chosen.setdefault((dependency.groupId, dependency.artifactId), dependency)
        lines = []
        for done, dependency in enumerate(chosen.values(), 1):
            coordinate = f"{dependency.groupId}:{dependency.artifactId}:{dependency.version}"
            if dependency.artifact.packaging != "jar" or dependency.artifact.classifier:
                raise JavaError(f"{coordinate} is no plain jar ({dependency.artifact}); the lock file cannot name it.")
            lines.append(f'"{coordinate}" = "{_sha256(dependency.artifact.resolve())}"\n')
            if progress:
                progress(done, len(chosen))
    command = f"gridwatch kafka lock{'' if environment == 'kafka' else f' {environment}'}"
    head = f"# {environment}: what src/gridwatch/java/jars.py asks for, resolved by `{command}`.\n\n[jars]\n"
    target.write_text(head + "".join(lines), encoding="utf-8")
    log.info("jars_locked", environment=environment, jars=len(lines), path=str(target))
    return target


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verified(path: Path, jar: LockedJar) -> bool:
    """Tell whether the jar is in the cache; one with other bytes is an error, never silently replaced."""
    try:
        found = _sha256(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise JavaError(f"Cannot read {jar.coordinate} at {str(path)!r}: {error}.") from error
    if found != jar.sha256:
        raise _mismatch(jar, found, f"Delete {str(path)!r} to download it again")
    return True


def _mismatch(jar: LockedJar, found: str, hint: str) -> JavaError:
    return JavaError(
        f"{jar.coordinate} has SHA-256 {found}, but the lock file says {jar.sha256}. {hint}.",
        coordinate=jar.coordinate,
        found=found,
        expected=jar.sha256,
    )


def _download(
    missing: list[LockedJar],
    cache: Path,
    repositories: Mapping[str, str] | None,
    progress: Progress | None,
    *,
    already: int,
) -> None:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=".new-", dir=cache)
    except OSError as error:
        raise JavaError(f"Cannot write to the jar cache {str(cache)!r}: {error}. Set XDG_CACHE_HOME.") from error
    log.info("jars_downloading", jars=len(missing), cache=str(cache))
    try:
        context = _context(Path(folder), repositories)

        def one(jar: LockedJar) -> None:
            new = context.create_dependency(jar.coordinate).artifact.resolve()
            found = _sha256(new)
            if found != jar.sha256:
                raise _mismatch(jar, found, "The repository serves another file than the one that was locked")
            (cache / jar.path).parent.mkdir(parents=True, exist_ok=True)
            new.replace(cache / jar.path)

        total = already + len(missing)
        with ThreadPoolExecutor(_WORKERS) as pool:
            try:
                for done, _ in enumerate(pool.map(one, missing), already + 1):
                    if progress:
                        progress(done, total)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    except OSError as error:
        raise JavaError(f"Cannot write to the jar cache {str(cache)!r}: {error}.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _context(folder: Path, repositories: Mapping[str, str] | None) -> Any:
    """Return a jgo context that keeps its files in `folder` and downloads through `_session`."""
    from jgo.config import GlobalSettings
    from jgo.maven import MavenContext, PythonResolver

    session = _session()

    class Resolver(PythonResolver):  # type: ignore[misc]
        """jgo's resolver, with the system's certificates, retries, and no half-written files."""

        def download(self, artifact: Any) -> Path:
            reasons = []
            for name, base in artifact.context.remote_repos.items():
                url = f"{base.rstrip('/')}/{artifact.component.path_prefix.as_posix()}/{artifact.filename}"
                reason = _fetch(session, url, artifact.cached_path)
                if reason is None:
                    return Path(artifact.cached_path)
                reasons.append(f"{name}: {reason}")
            raise JavaError(
                f"Cannot download {artifact.filename} ({'; '.join(reasons)}). Jars are fetched once and then kept; "
                "check the network, the proxy and its certificate (REQUESTS_CA_BUNDLE), or copy the cache folder "
                "~/.cache/gridwatch/jars of another machine.",
                artifact=artifact.filename,
            )

    # Their own settings win over the default, so that a company's mirror can stand in for Maven Central.
    mirrors = GlobalSettings.load().repositories
    context = MavenContext(resolver=Resolver(), repo_cache=folder)
    context.remote_repos = dict(repositories) if repositories is not None else {**context.remote_repos, **mirrors}
    return context


def _fetch(session: requests.Session, url: str, target: Path) -> str | None:
    """Download `url` to `target`; return None, or why it failed."""
    import requests

    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    try:
        with session.get(url, stream=True, timeout=_TIMEOUT_S) as answer:
            if answer.status_code != requests.codes.ok:
                return f"HTTP {answer.status_code}"
            with part.open("wb") as file:
                for chunk in answer.iter_content(1 << 16):
                    file.write(chunk)
    except requests.RequestException as error:
        return f"{type(error).__name__}: {error}"
    part.replace(target)
    return None


def _session() -> requests.Session:
    """Return an HTTP session that trusts what the system trusts; `requests` alone trusts certifi's list only."""
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util.retry import Retry

    class SystemTrust(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, ssl_context=ssl.create_default_context(), **kwargs)

    retry = Retry(
        total=4, connect=2, backoff_factor=0.3, status_forcelist=(429, 500, 502, 503, 504), raise_on_status=False
    )
    session = requests.Session()
    session.mount("https://", SystemTrust(max_retries=retry, pool_maxsize=_WORKERS))
    session.mount("http://", HTTPAdapter(max_retries=retry, pool_maxsize=_WORKERS))
    return session
