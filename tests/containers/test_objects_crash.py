"""Byte objects when a process is killed at any moment, and how much memory they take."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gridwatch.containers import open_store
from gridwatch.containers.objects import CHUNK_BYTES, ObjectStore
from tests.containers.object_process import UPLOAD_CHUNKS, content

SCRIPT = Path(__file__).with_name("object_process.py")


@pytest.mark.parametrize("kills", [5, pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_killed_at_any_moment_of_an_upload(tmp_path: Path, kills: int) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    seed = random.randrange(10**6)
    moments = random.Random(seed)
    found: list[int] = []
    with open_store(url) as store:
        objects = ObjectStore(store)
        now = content(0)
        objects.put("models/x", now)
        kill = 0
        # On a busy machine half a second may be over before a chunk is stored: then some more, after more time.
        while kill < kills or (not any(found) and kill < 10 * kills):
            last = _killed_upload(url, moments.uniform(0, 0.5 * max(1, kill - kills + 1)))
            kill += 1
            # The bytes before the upload that was cut short, or its own: never a mixture, never none.
            before = content(last - 1) if last > 1 else now
            now = objects.read("models/x")
            assert now in (before, content(last)), f"seed {seed}, kill {kill}"
            check = objects.check(grace_ms=-1)
            assert check.broken == {}, f"seed {seed}, kill {kill}"
            found.append(sum(len(orphan.chunks) for orphan in check.orphans))
            # A writer that is alive would not be disturbed: its chunks are young.
            assert objects.collect_orphans() == 0
            assert objects.collect_orphans(grace_ms=-1) == found[-1]
            assert len(store.sql("SELECT chunk FROM mlflow_artifact_chunks")) == UPLOAD_CHUNKS + 1
            assert objects.read("models/x") == now
    # A test that never leaves anything to collect would kill at the wrong moments.
    assert any(found), f"seed {seed}"


def _killed_upload(url: str, after_s: float) -> int:
    """Start uploading, kill the process, and return the number of the last upload that it began."""
    process = subprocess.Popen([sys.executable, str(SCRIPT), "upload", url], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, process.stdout as out:
        first = out.readline()
        time.sleep(after_s)
        process.kill()
        return int([first, *out.read().split()][-1])


@pytest.mark.parametrize("mib", [96, pytest.param(1024, marks=pytest.mark.slow)])
def test_large_objects_take_little_memory(tmp_path: Path, mib: int) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    command = [sys.executable, str(SCRIPT), "memory", url, str(mib), str(tmp_path)]
    grown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    # The store's own cache of 32 MiB among it; whole in memory, the object would be over even the first bound.
    assert all(0 < int(one) < 64 << 20 for one in grown), grown
    assert mib << 20 > 64 << 20
    assert len(grown) == 2
    assert (tmp_path / "large").stat().st_size % CHUNK_BYTES == 0
