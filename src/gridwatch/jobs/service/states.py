"""States of jobs as objects of the store: one archive each, written and read through a file, without copies in memory.

Ten thousand series have a state of some 250 MB. The models' part is an archive inside the archive, neither compressed,
so that its arrays are read from the file one by one.
"""

from __future__ import annotations

import io
import json
import struct
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from typing_extensions import override

from gridwatch.errors import JobsRequestError
from gridwatch.jobs.analysis import Analyzer

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from gridwatch.containers.objects import ObjectStore
    from gridwatch.detectors.online.config import AutoConfig
    from gridwatch.jobs.analysis.lstm_learning import Teacher
    from gridwatch.jobs.config import JobConfig

__all__ = ["State", "packed", "read_state", "state_path"]

_FEED, _MODELS = "feed.json", "models.npz"
_NAMES_AT, _NAMES_AFTER = 26, 30
"""Where a file's header in an archive has the lengths of its two names, and how far they begin from its beginning."""


def state_path(job_id: str) -> str:
    """Return the object that holds the state of a job."""
    return f"ml/state/{job_id}"


@dataclass(frozen=True, slots=True)
class State:
    """A state that was stored.

    Attributes:
        analyzer: Goes on from it.
        fed_to_ms: First instant whose rows have not been analysed, None before the first.
        keys: Of the newest posts that are in it.
    """

    analyzer: Analyzer
    fed_to_ms: int | None
    keys: tuple[str, ...]


@contextmanager
def packed(analyzer: Analyzer, fed_to_ms: int | None, keys: Sequence[str]) -> Iterator[BinaryIO]:
    """Give a state as one archive, a file that is gone afterwards.

    Not compressed, since models hardly are.
    """
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            analyzer.write(archive)
            archive.writestr(_FEED, json.dumps({"fed_to_ms": fed_to_ms, "keys": list(keys)}))
        file.seek(0)
        yield file


def read_state(objects: ObjectStore, job: JobConfig, model: AutoConfig, threads: int, teacher: Teacher | None) -> State:
    """Return the stored state of a job.

    Args:
        objects: Has it.
        job: Whose.
        model: Members and constants of the models.
        threads: How many threads share the analysis.
        teacher: Trains the network of the job, if it has one.

    Raises:
        JobsRequestError: It is damaged, or of another job or version.
        ObjectCorruptError: Its bytes are not those that were stored.
        ObjectNotFoundError: There is none.
    """
    with tempfile.TemporaryDirectory(prefix="gridwatch-state-") as folder:
        path = Path(folder) / "state.zip"
        objects.download(state_path(job.job_id), path)
        try:
            with path.open("rb") as file, zipfile.ZipFile(file) as archive:
                told = json.loads(archive.read(_FEED))
                analyzer = Analyzer.load(job, model, Parts(file, archive), threads, teacher)
                return State(analyzer, told["fed_to_ms"], tuple(told.get("keys", ())))
        except (zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
            raise JobsRequestError(f"the state of job [{job.job_id}] is damaged ({error!r}); reset the job.") from error


class Parts(dict[str, Any]):
    """The parts of an archive: the models as a file, the others as bytes."""

    def __init__(self, file: BinaryIO, archive: zipfile.ZipFile) -> None:
        super().__init__()
        for info in archive.infolist():
            nested = info.filename == _MODELS and info.compress_type == zipfile.ZIP_STORED
            self[info.filename] = _window(file, info) if nested else archive.read(info)


def _window(file: BinaryIO, info: zipfile.ZipInfo) -> BinaryIO:
    """Return the part of a file that one of its archive's files is, uncompressed."""
    file.seek(info.header_offset + _NAMES_AT)
    first, second = struct.unpack("<HH", file.read(4))
    return io.BufferedReader(_Window(file, info.header_offset + _NAMES_AFTER + first + second, info.file_size))


class _Window(io.RawIOBase):
    """A part of a file as a file. What is in it has checksums of its own."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    @override
    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer)
        self._file.seek(self._start + self._at)
        taken = self._file.readinto(view[: max(self._size - self._at, 0)])  # type: ignore[attr-defined]
        self._at += taken
        return int(taken)
