"""Artifacts in the embedded store against MLflow's own file store: the same calls, files and folder for both."""

from __future__ import annotations

import hashlib
import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.figure import Figure, compare, fastest

MIB = 256
SMALL = 100
_BLOCK = 1024 * 1024


def _flush(folder: Path) -> None:
    """Make sure that what a file store wrote has reached the disk, as gridwatch does before it says that it has."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def run() -> Iterator[Figure]:
    """Yield the figures for one large file and for many small ones, written and read."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        settings = {
            "GRIDWATCH_STORE_URL": os.environ.get("GRIDWATCH_BENCH_STORE", f"sqlite:///{folder / 'store.db'}"),
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        }
        with _environment(**settings):
            yield from _compared(folder)


def _compared(folder: Path) -> Iterator[Figure]:
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

    from mlflow_griddb import GridDBArtifactRepository

    large = folder / "large"
    with large.open("wb") as file:
        for _ in range(MIB):
            file.write(os.urandom(_BLOCK))
    small = folder / "small"
    small.mkdir()
    for number in range(SMALL):
        (small / f"{number}.json").write_bytes(os.urandom(2000))
    (folder / "files").mkdir()
    files = LocalArtifactRepository(str(folder / "files"))
    ours = GridDBArtifactRepository("griddb:///bench")
    out, their_out = folder / "out", folder / "their_out"
    out.mkdir()
    their_out.mkdir()

    def flushed(run: str) -> None:
        files.log_artifact(str(large), run)
        _flush(folder / "files" / run)

    size = MIB * _BLOCK
    # A new place each time, as every run of MLflow has its own.
    runs = (f"run-{number}" for number in itertools.count())
    ours_s, plain_s = compare(
        lambda: ours.log_artifact(large, next(runs)),
        lambda: files.log_artifact(str(large), next(runs)),
        # What one leaves in memory is not written to the disk in the other's time.
        before=os.sync,
    )
    yield Figure(
        "artifact write", size, "bytes", ours_s, "MLflow's file store", plain_s, aim=0.8, note="sha256, flushed"
    )
    content = large.read_bytes()
    sha_s = fastest(lambda: hashlib.sha256(content))
    yield Figure("sha256 alone", size, "bytes", sha_s, "MLflow's file store", plain_s, note="bounds a checked write")
    ours_s, plain_s = compare(lambda: ours.log_artifact(large, next(runs)), lambda: flushed(next(runs)), before=os.sync)
    yield Figure("artifact write", size, "bytes", ours_s, "file store, flushed", plain_s, note="both safe on the disk")
    for repository in (ours, files):
        repository.log_artifact(str(large))
    ours_s, plain_s = compare(
        lambda: ours.download_artifacts("large", str(out)), lambda: files.download_artifacts("large", str(their_out))
    )
    equal = (out / "large").read_bytes() == large.read_bytes()
    note = f"sha256 checked; equal bytes: {equal}"
    yield Figure("artifact read", size, "bytes", ours_s, "MLflow's file store", plain_s, aim=0.4, note=note)
    ours_s, plain_s = compare(
        lambda: ours.log_artifacts(small, "small"), lambda: files.log_artifacts(str(small), "small")
    )
    yield Figure("small artifacts write", SMALL, "files", ours_s, "MLflow's file store", plain_s, note="each flushed")
    ours_s, plain_s = compare(
        lambda: ours.download_artifacts("small", str(out)), lambda: files.download_artifacts("small", str(their_out))
    )
    yield Figure("small artifacts read", SMALL, "files", ours_s, "MLflow's file store", plain_s)
