"""A folder of CSV files: which are history, which are daily, and what is told when there are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gridwatch.errors import SourceError
from gridwatch.settings import Settings
from gridwatch.sources import Dataset, Source, open_source

HEADER = "timestamp,open,high,low,close,volume\n"
MakeDataset = Callable[..., Dataset]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for day, name in ((9, "IBM_2.csv"), (8, "IBM_1.csv"), (10, "IBM_daily.csv"), (11, "BAC_daily.csv")):
        (tmp_path / name).write_text(f"{HEADER}2013-10-{day:02} 09:30:00,1,2,1,1,{day}\n")
    (tmp_path / "IBM_folder.csv").mkdir()
    return tmp_path


def _source(make_dataset: MakeDataset, folder: Path, **fields: str) -> Source:
    return open_source(make_dataset(source={"kind": "csv_folder", "path": str(folder), **fields}), Settings())


def _names(batches: object) -> list[str]:
    return [batch.key.split("@")[0] for batch in batches]  # type: ignore[attr-defined]


def test_files_come_by_name_and_daily_ones_apart(make_dataset: MakeDataset, folder: Path) -> None:
    source = _source(make_dataset, folder, pattern="IBM*.csv")
    batches = list(source.history(now_ms=0, months=1))
    assert _names(batches) == ["IBM_1.csv", "IBM_2.csv"]
    assert [batch.frame["volume"].tolist() for batch in batches] == [[8], [9]]
    assert _names(source.daily(now_ms=0)) == ["IBM_daily.csv"]


def test_a_pattern_of_its_own_picks_the_daily_files(make_dataset: MakeDataset, folder: Path) -> None:
    source = _source(make_dataset, folder, pattern="IBM*.csv", daily_pattern="*_2.csv")
    assert _names(source.daily(now_ms=0)) == ["IBM_2.csv"]
    assert _names(source.history(now_ms=0, months=1)) == ["IBM_1.csv", "IBM_daily.csv"]


def test_without_daily_files_every_file_may_be_new(make_dataset: MakeDataset, folder: Path) -> None:
    source = _source(make_dataset, folder, pattern="IBM_[12].csv")
    assert _names(source.daily(now_ms=0)) == ["IBM_1.csv", "IBM_2.csv"]


def test_a_file_that_is_done_is_read_again_only_when_it_changed(make_dataset: MakeDataset, folder: Path) -> None:
    source = _source(make_dataset, folder, pattern="IBM_?.csv")
    done = {batch.key for batch in source.history(now_ms=0, months=1)}
    assert list(source.history(now_ms=0, months=1, done=done)) == []
    (folder / "IBM_2.csv").write_text(f"{HEADER}2013-10-09 09:30:00,1,2,1,1,99\n")
    assert _names(source.history(now_ms=0, months=1, done=done)) == ["IBM_2.csv"]


def test_a_missing_folder_is_named(make_dataset: MakeDataset, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"No folder '.*gone' for dataset 'ibm'; see its source\.path"):
        list(_source(make_dataset, tmp_path / "gone").history(now_ms=0, months=1))


def test_no_matching_file_tells_what_is_there(make_dataset: MakeDataset, folder: Path) -> None:
    with pytest.raises(
        SourceError, match=r"No file in .* matches 'MSFT\*' for dataset 'ibm'; .* holds 'BAC_daily\.csv'"
    ):
        list(_source(make_dataset, folder, pattern="MSFT*").history(now_ms=0, months=1))


def test_a_pattern_that_is_no_pattern_is_told(make_dataset: MakeDataset, folder: Path) -> None:
    with pytest.raises(SourceError, match=r"'/absolute/\*' is no pattern for file names"):
        list(_source(make_dataset, folder, pattern="/absolute/*").history(now_ms=0, months=1))


def test_a_file_that_is_no_csv_is_named(make_dataset: MakeDataset, folder: Path) -> None:
    (folder / "IBM_1.csv").write_text('{"Note": "slow down"}')
    with pytest.raises(SourceError, match=r"IBM_1\.csv holds JSON where CSV is expected"):
        list(_source(make_dataset, folder, pattern="IBM*").history(now_ms=0, months=1))


def test_a_broken_link_is_named(make_dataset: MakeDataset, tmp_path: Path) -> None:
    (tmp_path / "a.csv").symlink_to(tmp_path / "nothing")
    with pytest.raises(SourceError, match=r"No file in .*; the folder holds 'a\.csv'"):
        list(_source(make_dataset, tmp_path).history(now_ms=0, months=1))


def test_daily_files_that_are_asked_for_by_name_must_be_there(make_dataset: MakeDataset, folder: Path) -> None:
    source = _source(make_dataset, folder, pattern="IBM*.csv", daily_pattern="today_*.csv")
    with pytest.raises(SourceError, match=r"matches the daily pattern 'today_\*\.csv' of dataset 'ibm'"):
        list(source.daily(now_ms=0))
