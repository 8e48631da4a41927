"""Labelled series for judging detectors, in the folder layout of the Numenta Anomaly Benchmark.

`data/GROUP/FILE.csv` hold `timestamp,value`; `labels/combined_windows.json` names for every file the windows in which
something is wrong: `{"GROUP/FILE.csv": [["2014-04-10 16:15:00", "2014-04-12 01:45:00"]]}`, or none. Where the kind of
each fault is known, `labels/faults.json` may say it: `{"GROUP/FILE.csv": [{"fault": "spike", "start": "2014-04-11
00:00:00"}]}`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridwatch.errors import SourceError

__all__ = ["FAULT_LIST", "LABELS", "LabelledSeries", "read_labelled", "read_unlabelled"]

LABELS = "labels/combined_windows.json"
"""Where the windows are, below the folder."""

FAULT_LIST = "labels/faults.json"
"""Which kind of fault is where, below the folder; there may be none."""

_BACK_MS_MAX = 86_400_000  # a row of a daily file in the wrong place, or a clock that was set to another zone


@dataclass(frozen=True, slots=True, eq=False)
class LabelledSeries:
    """One file and its windows.

    Attributes:
        name: `GROUP/FILE.csv`.
        timestamps: The times as the file has them, n texts.
        times_ms: int64 (n,), UTC epoch ms, strictly increasing: a row that is not after the one before it is moved to
            1 ms after it.
        values: float64 (n,), finite.
        windows: First and last row of each window, both included, in order.
        repeats: Rows that were so moved.
        kinds: What is wrong in each window, where the folder says so; otherwise none.
        lead: Rows at the beginning that the detector sees, and that count for nothing, not even probation.
        unjudged: First and last row of stretches that no figure counts, in order.
    """

    name: str
    timestamps: tuple[str, ...]
    times_ms: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    windows: tuple[tuple[int, int], ...]
    repeats: int = 0
    kinds: tuple[str, ...] = ()
    lead: int = 0
    unjudged: tuple[tuple[int, int], ...] = ()

    def __len__(self) -> int:
        return len(self.values)


def read_labelled(folder: Path) -> list[LabelledSeries]:
    """Return the files of a labelled folder, by name.

    Raises:
        SourceError: A file or its labels are missing, a CSV is broken or its times go back by more than a day, or
            windows are reversed, overlap or lie where the file has no rows; names the file and the place.
    """
    labels = _read_object(folder / LABELS)
    found = sorted(path.relative_to(folder / "data").as_posix() for path in (folder / "data").glob("*/*.csv"))
    if not found:
        raise SourceError(f"{str(folder / 'data')!r} holds no GROUP/FILE.csv to judge a detector on.")
    missing = sorted(set(labels) - set(found))
    if missing:
        raise SourceError(
            f"{LABELS} of {str(folder)!r} names {missing[0]!r}, and there is no such file in data/"
            f"{_and_more(missing)}. Put it there, or take its labels out.",
            missing=missing,
        )
    unlabelled = sorted(set(found) - set(labels))
    if unlabelled:
        raise SourceError(
            f"data/{unlabelled[0]} has no entry in {LABELS} of {str(folder)!r}{_and_more(unlabelled)}. Give it its "
            "windows, or [] when nothing is wrong in it.",
            unlabelled=unlabelled,
        )
    faults = _read_object(folder / FAULT_LIST) if (folder / FAULT_LIST).exists() else {}
    return [
        _with_kinds(_read_series(folder / "data" / name, name, labels[name]), faults.get(name, [])) for name in found
    ]


def read_unlabelled(path: Path) -> LabelledSeries:
    """Return one CSV of `timestamp,value` without windows, such as a base for made-up faults; named as its file.

    Raises:
        SourceError: The file is missing, broken, or its times go back by more than a day; names the file and line.
    """
    return _read_series(path, path.name, [])


def _and_more(names: Sequence[str]) -> str:
    return f" (nor {len(names) - 1} more)" if len(names) > 1 else ""


def _with_kinds(series: LabelledSeries, faults: Any) -> LabelledSeries:
    """Return the series with the kinds of faults that begin in each window, several with a stroke between."""
    if not faults:
        return series
    try:
        begun = [(_utc_ms(pd.Timestamp(one["start"])), str(one["fault"])) for one in faults]
    except (KeyError, TypeError, ValueError) as error:
        raise SourceError(
            f"{FAULT_LIST}: the faults of {series.name!r} are {faults!r}; expected a list of objects with 'fault' and "
            "'start', a time."
        ) from error
    edges = [(series.times_ms[first], series.times_ms[last]) for first, last in series.windows]
    kinds = ["/".join(sorted({kind for at, kind in begun if start <= at <= end})) or "unknown" for start, end in edges]
    return replace(series, kinds=tuple(kinds))


def _read_object(path: Path) -> dict[str, Any]:
    try:
        labels = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SourceError(
            f"Cannot read {str(path)!r} ({error.strerror}); a labelled folder holds data/GROUP/FILE.csv and {LABELS}."
        ) from error
    except ValueError as error:
        raise SourceError(f"{str(path)!r} is no JSON: {error}.") from error
    if not isinstance(labels, dict):
        raise SourceError(f"{str(path)!r} must hold an object of windows by file, and holds a {type(labels).__name__}.")
    return labels


def _read_series(path: Path, name: str, labels: Any) -> LabelledSeries:
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise SourceError(f"Cannot read {str(path)!r} as CSV: {error}") from error
    if list(frame.columns) != ["timestamp", "value"]:
        raise SourceError(f"data/{name} has the header {','.join(frame.columns)!r}; expected 'timestamp,value'.")
    if frame.empty:
        raise SourceError(f"data/{name} has no rows.")
    times = _times(name, frame["timestamp"])
    values = pd.to_numeric(frame["value"], errors="coerce").to_numpy(np.float64)
    broken = np.flatnonzero(~np.isfinite(values))
    if len(broken):
        raise SourceError(
            f"data/{name} line {broken[0] + 2}: {frame['value'].iloc[broken[0]]!r} is no finite number"
            f"{_further(len(broken))}."
        )
    windows = _windows(name, labels, times)
    spread, repeats = _apart(name, frame["timestamp"], times)
    return LabelledSeries(name, tuple(frame["timestamp"]), spread, values, windows, repeats)


def _further(count: int) -> str:
    return f", and {count - 1} more are not" if count > 1 else ""


def _times(name: str, texts: pd.Series[str]) -> npt.NDArray[np.int64]:
    """Return times int64 (n,), UTC epoch ms, as the file has them."""
    parsed = pd.to_datetime(texts, errors="coerce", utc=True, format="ISO8601")
    broken = np.flatnonzero(parsed.isna().to_numpy())
    if len(broken):
        raise SourceError(
            f"data/{name} line {broken[0] + 2}: {texts.iloc[broken[0]]!r} is no time such as 2014-04-01 00:05:00"
            f"{_further(len(broken))}."
        )
    return parsed.dt.tz_convert(None).to_numpy().astype("datetime64[ms]").astype(np.int64)


def _apart(name: str, texts: pd.Series[str], times: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], int]:
    """Return times that strictly increase, a row that is not after the one before it 1 ms after that, and how many are.

    Times stand still or go back where an hour comes twice in autumn and where a clock was set: what came after what is
    told by the lines. What goes back further is no file in the order of its rows.
    """
    rows = np.arange(len(times))
    spread = np.maximum.accumulate(times - rows) + rows
    far = np.flatnonzero(spread - times > _BACK_MS_MAX)
    if len(far):
        row = int(far[0])
        latest = int(np.argmax(times[:row]))
        raise SourceError(
            f"data/{name} line {row + 2}: {texts.iloc[row]!r} comes more than a day before line {latest + 2} "
            f"({texts.iloc[latest]!r}); sort the file by time."
        )
    return spread, int((spread > times).sum())


def _windows(name: str, labels: Any, times: npt.NDArray[np.int64]) -> tuple[tuple[int, int], ...]:
    """Return first and last row of each window; `times` are as in the file."""
    if not isinstance(labels, list):
        raise SourceError(f"{LABELS}: {name!r} must have a list of [start, end], and has {labels!r}.")
    windows = sorted(_window(name, label, times) for label in labels)
    for before, after in pairwise(windows):
        if after[0] <= before[1]:
            raise SourceError(
                f"{LABELS}: windows of {name!r} overlap at {_text(times[after[0]])}; make one of them, or shorten one."
            )
    return tuple(windows)


def _window(name: str, label: Any, times: npt.NDArray[np.int64]) -> tuple[int, int]:
    try:
        start, end = (pd.Timestamp(edge) for edge in label if isinstance(edge, str))
        start_ms, end_ms = (_utc_ms(edge) for edge in (start, end))
    except (TypeError, ValueError) as error:
        raise SourceError(f"{LABELS}: a window of {name!r} is {label!r}; expected [start, end], two times.") from error
    if start_ms > end_ms:
        raise SourceError(f"{LABELS}: the window {label[0]!r} to {label[1]!r} of {name!r} ends before it begins.")
    if start_ms < times.min() or end_ms > times.max():
        raise SourceError(
            f"{LABELS}: the window {label[0]!r} to {label[1]!r} of {name!r} reaches out of the file, which goes from "
            f"{_text(times.min())} to {_text(times.max())}."
        )
    inside = np.flatnonzero((times >= start_ms) & (times <= end_ms))
    if not len(inside):
        raise SourceError(f"{LABELS}: no row of {name!r} lies in its window {label[0]!r} to {label[1]!r}.")
    return int(inside[0]), int(inside[-1])


def _utc_ms(time: pd.Timestamp) -> int:
    aware = time.tz_localize("UTC") if time.tzinfo is None else time
    return int(aware.timestamp() * 1000)


def _text(time_ms: np.int64) -> str:
    return f"{np.datetime64(int(time_ms), 'ms')}Z"
