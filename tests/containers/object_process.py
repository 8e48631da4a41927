"""Run as a script by the tests: uploads until it is killed, or measures the memory of one upload and download.

Usage: object_process.py upload STORE_URL | object_process.py memory STORE_URL MIB FOLDER
"""

from __future__ import annotations

import hashlib
import itertools
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil

from gridwatch.containers import open_store
from gridwatch.containers.objects import CHUNK_BYTES, ObjectStore

UPLOAD_CHUNKS = 11


def content(number: int) -> bytes:
    """Return the bytes of upload `number`: some chunks and a half, none like another's."""
    seed = hashlib.sha256(str(number).encode()).digest()
    return seed * ((2 * UPLOAD_CHUNKS + 1) * CHUNK_BYTES // 2 // len(seed))


def upload(url: str) -> None:
    """Store ever new bytes under one path; print the number of each upload when it begins."""
    with open_store(url) as store:
        objects = ObjectStore(store)
        for number in itertools.count(1):
            data = content(number)
            print(number, flush=True)
            objects.put("models/x", data)


class Zeros:
    """A stream of `size` bytes, made as they are read."""

    def __init__(self, size: int) -> None:
        self.left = size

    def read(self, size: int) -> bytes:
        piece = min(size, self.left)
        self.left -= piece
        return os.urandom(1024) * (piece // 1024)


def memory(url: str, size: int, folder: Path) -> None:
    """Print by how many bytes the process grows in an upload and in a download of `size` bytes."""
    with open_store(url) as store:
        objects = ObjectStore(store)
        # What is loaded and opened once is not counted.
        objects.put("small", b"x")
        objects.read("small")
        print(_growth(lambda: objects.put("large", Zeros(size))))  # type: ignore[arg-type]
        print(_growth(lambda: objects.download("large", folder / "large")))
        assert (folder / "large").stat().st_size == size


def _growth(work: Callable[[], object]) -> int:
    process = psutil.Process()
    before = most = process.memory_info().rss
    over = threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.wait(0.002):
            most = max(most, process.memory_info().rss)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        work()
    finally:
        over.set()
        watching.join()
    return int(most - before)


if __name__ == "__main__":
    if sys.argv[1] == "upload":
        upload(sys.argv[2])
    else:
        memory(sys.argv[2], int(sys.argv[3]) << 20, Path(sys.argv[4]))
