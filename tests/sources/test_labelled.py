"""Folders of labelled series: what is read, and what is told of those that cannot be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gridwatch.errors import SourceError
from gridwatch.sources.labelled import read_labelled

ROWS = "timestamp,value\n" + "".join(f"2024-01-01 00:{minute:02}:00,{minute}\n" for minute in range(10))
Folder = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    def made(labels: object, files: dict[str, str] | None = None) -> Path:
        for name, text in ({"a/x.csv": ROWS} if files is None else files).items():
            path = tmp_path / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (tmp_path / "labels").mkdir()
        text = labels if isinstance(labels, str) else json.dumps(labels)
        (tmp_path / "labels" / "combined_windows.json").write_text(text)
        return tmp_path

    return made


def minute(number: int) -> str:
    return f"2024-01-01 00:{number:02}:00.000000"


def test_rows_and_windows_by_file(folder: Folder) -> None:
    labels = {"b/y.csv": [], "a/x.csv": [[minute(7), minute(8)], [minute(2), minute(4)]]}
    first, second = read_labelled(folder(labels, {"b/y.csv": ROWS, "a/x.csv": ROWS}))
    assert (first.name, first.windows, second.name, second.windows) == ("a/x.csv", ((2, 4), (7, 8)), "b/y.csv", ())
    assert first.values.tolist() == list(range(10))
    assert first.timestamps[1] == "2024-01-01 00:01:00"
    assert (first.times_ms[:2].tolist(), len(first)) == ([1_704_067_200_000, 1_704_067_260_000], 10)


def test_edges_between_rows_and_zones(folder: Folder) -> None:
    inner = [["2024-01-01 00:02:30", "2024-01-01 00:04:59.999"], ["2024-01-01T01:06:00+01:00", minute(6)]]
    assert read_labelled(folder({"a/x.csv": inner}))[0].windows == ((3, 4), (6, 6))


def test_rows_at_one_time_are_kept_and_told_apart(folder: Folder) -> None:
    lines = ROWS.splitlines()
    repeated = "\n".join([*lines[:4], lines[3], lines[3], *lines[4:]])
    [series] = read_labelled(folder({"a/x.csv": [[minute(2), minute(2)]]}, {"a/x.csv": repeated}))
    assert series.repeats == 2
    assert (series.times_ms - series.times_ms[0]).tolist()[:6] == [0, 60_000, 120_000, 120_001, 120_002, 180_000]
    assert series.windows == ((2, 4),)
    assert series.timestamps[2] == series.timestamps[4]


def test_an_hour_that_comes_twice_is_kept_in_the_order_of_its_lines(folder: Folder) -> None:
    lines = ROWS.splitlines()
    # Minutes 4 to 6 come again, and the clock goes on from there.
    twice = "\n".join([*lines[:8], *lines[5:]])
    labels = {"a/x.csv": [[minute(1), minute(2)], [minute(5), minute(7)]]}
    [series] = read_labelled(folder(labels, {"a/x.csv": twice}))
    assert series.values.tolist() == [0, 1, 2, 3, 4, 5, 6, 4, 5, 6, 7, 8, 9]
    since = (series.times_ms - series.times_ms[0]).tolist()
    assert since[6:11] == [360_000, 360_001, 360_002, 360_003, 420_000]
    assert (series.repeats, series.timestamps[7]) == (3, "2024-01-01 00:04:00")
    # A window reaches from its first row to its last, as NAB's masks of time do.
    assert series.windows == ((1, 2), (5, 10))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"a/x.csv": [], "a/gone.csv": []}, r"names 'a/gone\.csv', and there is no such file"),
        ({}, r"data/a/x\.csv has no entry in labels/combined_windows\.json .* or \[\] when nothing is wrong"),
        ([], "must hold an object of windows by file, and holds a list"),
        ("{", r"combined_windows\.json' is no JSON: "),
        ({"a/x.csv": {}}, r"'a/x\.csv' must have a list of \[start, end\], and has \{\}"),
        ({"a/x.csv": [[minute(1)]]}, r"a window of 'a/x\.csv' is .*; expected \[start, end\], two times"),
        ({"a/x.csv": [3]}, r"a window of 'a/x\.csv' is 3; expected"),
        ({"a/x.csv": [["NaT", minute(2)]]}, r"a window of 'a/x\.csv' is \['NaT', .*; expected"),
        ({"a/x.csv": [["never", minute(2)]]}, r"a window of 'a/x\.csv' is \['never', .*; expected"),
        ({"a/x.csv": [[minute(3), minute(2)]]}, r"00:03:00\.000000' to '.*' of 'a/x\.csv' ends before it begins"),
        (
            {"a/x.csv": [[minute(1), minute(4)], [minute(4), minute(5)]]},
            r"windows of 'a/x\.csv' overlap at 2024-01-01T00:04:00\.000Z",
        ),
        (
            {"a/x.csv": [[minute(8), minute(11)]]},
            r"of 'a/x\.csv' reaches out of the file, which goes from 2024-01-01T00:00:00\.000Z to .*00:09:00",
        ),
        ({"a/x.csv": [["2024-01-01 00:02:10", "2024-01-01 00:02:50"]]}, r"no row of 'a/x\.csv' lies in its window"),
    ],
)
def test_wrong_labels_are_told(folder: Folder, labels: object, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read_labelled(folder(labels))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"Cannot read '.*x\.csv' as CSV"),
        ("timestamp,value\n", r"data/a/x\.csv has no rows"),
        ("time,value\n1,2\n", r"data/a/x\.csv has the header 'time,value'; expected 'timestamp,value'"),
        ("timestamp,value\n2024-01-01,1,2,3\n2024-01-02,1\n", r"data/a/x\.csv"),
        (ROWS + "2024-01-01 00:10:00,\n", r"data/a/x\.csv line 12: '' is no finite number"),
        (ROWS.replace(",4\n", ",inf\n").replace(",5\n", ",x\n"), r"line 6: 'inf' is no finite number, and 1 more are"),
        (ROWS + "yesterday,1\n", r"line 12: 'yesterday' is no time such as 2014-04-01 00:05:00"),
        (
            ROWS + "2023-12-31 12:00:00,1\n2023-01-01,1\n",
            r"line 13: '2023-01-01' comes more than a day before line 11 \('2024-01-01 00:09:00'\); sort the file",
        ),
    ],
)
def test_broken_files_are_told(folder: Folder, text: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read_labelled(folder({"a/x.csv": []}, {"a/x.csv": text}))


def test_a_folder_of_another_layout_is_told(tmp_path: Path, folder: Folder) -> None:
    with pytest.raises(SourceError, match=r"a labelled folder holds data/GROUP/FILE\.csv and labels/combined_windows"):
        read_labelled(tmp_path)
    with pytest.raises(SourceError, match=r"holds no GROUP/FILE\.csv"):
        read_labelled(folder({}, {}))


def test_kinds_of_faults_by_window(folder: Folder) -> None:
    made = folder(
        {"a/x.csv": [[minute(1), minute(3)], [minute(5), minute(6)], [minute(8), minute(9)]], "b/y.csv": []},
        {"b/y.csv": ROWS, "a/x.csv": ROWS},
    )
    begun = [("spike", 2), ("dip", 3), ("dip", 3), ("shift", 6), ("drift", 7)]
    faults = [{"fault": kind, "start": minute(at)} for kind, at in begun]
    (made / "labels" / "faults.json").write_text(json.dumps({"a/x.csv": faults}))
    first, second = read_labelled(made)
    assert (first.kinds, second.kinds) == (("dip/spike", "shift", "unknown"), ())
    (made / "labels" / "faults.json").write_text(json.dumps({"a/x.csv": [{"fault": "spike"}]}))
    with pytest.raises(SourceError, match=r"faults.json: the faults of 'a/x.csv' are .* 'fault' and 'start', a time"):
        read_labelled(made)
