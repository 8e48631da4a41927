"""A folder of CSV files in the shape of Alpha Vantage's, or with whatever columns the dataset names."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path

from typing_extensions import override

from gridwatch.errors import SourceError
from gridwatch.sources.base import Source, SourceBatch
from gridwatch.sources.csv_rows import parse_csv
from gridwatch.sources.dataset_model import CsvFolderSource, Dataset

__all__ = ["CsvFolder"]


class CsvFolder(Source):
    """CSV files of one folder, each file a batch, in the order of their names.

    Those that match `daily_pattern` (unset: that match `pattern` and have `daily` in their name) are the newest rows;
    where there are none, every file is. A batch's key holds a hash of the file, so a file that changed is read again.
    """

    def __init__(self, dataset: Dataset, source: CsvFolderSource) -> None:
        self._dataset = dataset
        self._source = source

    @override
    def history(self, *, now_ms: int, months: int, done: Collection[str] = ()) -> Iterator[SourceBatch]:
        """Yield the files that are not daily ones. `months` is not looked at: all that lies there is history."""
        daily = set(self._daily_files())
        files = [path for path in self._files() if path not in daily]
        yield from self._batches(files or self._files(), done)

    @override
    def daily(self, *, now_ms: int) -> Iterator[SourceBatch]:
        files = self._daily_files()
        if not files and self._source.daily_pattern is not None:
            raise SourceError(
                f"No file in {str(self._source.path)!r} matches the daily pattern {self._source.daily_pattern!r} of "
                f"dataset {self._dataset.name!r}."
            )
        yield from self._batches(files or self._files(), ())

    def _batches(self, files: list[Path], done: Collection[str]) -> Iterator[SourceBatch]:
        for path in files:
            data = _read(path)
            key = f"{path.name}@{hashlib.sha256(data).hexdigest()[:16]}"
            if key not in done:
                frame, rejected = parse_csv(data, self._dataset, name=str(path))
                yield SourceBatch(key, frame, rejected)

    def _files(self) -> list[Path]:
        folder, pattern = self._source.path, self._source.pattern
        if not folder.is_dir():
            raise SourceError(f"No folder {str(folder)!r} for dataset {self._dataset.name!r}; see its source.path.")
        files = self._matching(pattern)
        if not files:
            there = sorted(path.name for path in folder.iterdir())[:5]
            raise SourceError(
                f"No file in {str(folder)!r} matches {pattern!r} for dataset {self._dataset.name!r}; "
                f"the folder holds {', '.join(map(repr, there)) or 'nothing'}."
            )
        return files

    def _daily_files(self) -> list[Path]:
        if self._source.daily_pattern is None:
            return [path for path in self._files() if "daily" in path.name.lower()]
        return self._matching(self._source.daily_pattern)

    def _matching(self, pattern: str) -> list[Path]:
        try:
            return sorted(path for path in self._source.path.glob(pattern) if path.is_file())
        except (ValueError, NotImplementedError) as error:
            raise SourceError(
                f"{pattern!r} is no pattern for file names in dataset {self._dataset.name!r} ({error}); use one such "
                "as IBM_*.csv.",
                pattern=pattern,
            ) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"Cannot read {str(path)!r}: {error.strerror}.", name=str(path)) from error
