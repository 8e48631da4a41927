"""Made-up labelled series: ordinary ones, made up or real, with known faults put in at known places.

What a detector finds in them can be told by the kind of fault, and nothing in them has been seen while a detector was
tuned. One seed, one corpus: series `i` of a seed is the same however many are made.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gridwatch.errors import SourceError
from gridwatch.sources.labelled import FAULT_LIST, LABELS, LabelledSeries
from gridwatch.sources.synthetic_bases import BASES, Values
from gridwatch.sources.synthetic_faults import FAULTS, Place

__all__ = ["MadeSeries", "PutFault", "make_series", "write_series"]

_ROWS_MIN = 500
_START_MS = 1_704_067_200_000  # 2024-01-01, a Monday
_DAY_MS = 86_400_000
_STEPS_MS = (300_000, 300_000, 600_000, 900_000, 3_600_000)
_WINDOWS_SHARE = 0.1  # NAB's: the windows of a file span a tenth of it
_PROBATION_SHARE = 0.15
_TRIES = 20
_DAYS_MIN = 4  # for a fault of a cycle: two before it, and some to put it in
_REPEATS = 0.3  # correlation of rows a day apart


@dataclass(frozen=True, slots=True)
class PutFault:
    """One fault: its kind, the first and last row that it changed, both included, and its strength."""

    kind: str
    first: int
    last: int
    strength: float


@dataclass(frozen=True, slots=True, eq=False)
class MadeSeries:
    """A made-up series.

    Attributes:
        series: As a labelled folder gives it.
        clean: float64 (n,), the values without the faults.
        faults: One a window, in order.
    """

    series: LabelledSeries
    clean: Values
    faults: tuple[PutFault, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Ordinary:
    """An ordinary series before its faults; `cycle_first` is how often faults of a cycle are tried before others."""

    name: str
    times_ms: npt.NDArray[np.int64]
    values: Values
    day: int
    cycle: bool
    whole: bool
    cycle_first: float


def make_series(
    seed: int,
    count: int,
    *,
    rows: int = 4032,
    bases: Sequence[str] = (),
    faults: Sequence[str] = (),
    real: Sequence[LabelledSeries] = (),
    clean_share: float = 0.15,
) -> list[MadeSeries]:
    """Return labelled series, the kinds of base taking turns.

    Windows are as NAB's: together a tenth of the series, each around its fault. No fault is in the first 15 %, nor in
    the first two days.

    Args:
        seed: The same seed makes the same series.
        count: How many.
        rows: Rows of each; of a real base at most, a stretch of it is taken where it is longer.
        bases: Kinds of `BASES`; all of them when none is named and no real one is given.
        faults: Kinds of `FAULTS`; all of them when none is named.
        real: Series to put faults into. Their own windows are left out: no fault is looked for in them.
        clean_share: How many of the series get no fault, at random, 0 to 1.

    Raises:
        SourceError: A base or fault is not known, a series would be too short, or no fault fits a base.
    """
    for kind, known in ((bases, BASES), (faults, FAULTS)):
        unknown = sorted(set(kind) - set(known))
        if unknown:
            raise SourceError(f"There is no {unknown[0]!r}; there are {', '.join(known)}.", unknown=unknown)
    for name, length in (("a made-up series", rows), *((one.name, len(one)) for one in real)):
        if length < _ROWS_MIN:
            raise SourceError(f"{name!r} with {length} rows is too short to put faults in; {_ROWS_MIN} are needed.")
    names = list(bases) if bases or real else list(BASES)
    turns: list[str | LabelledSeries] = [*names, *real]
    made = []
    for index in range(count):
        random = np.random.default_rng([seed, index])
        ordinary = _ordinary(turns[index % len(turns)], index, rows, random)
        number = 0 if random.random() < clean_share else int(random.choice([1, 2, 3], p=[0.45, 0.35, 0.2]))
        made.append(_with_faults(ordinary, number, list(faults) or list(FAULTS), random))
    return made


def write_series(folder: Path, made: Sequence[MadeSeries]) -> None:
    """Write series in NAB's layout, and `labels/faults.json` with what is where.

    Raises:
        SourceError: The folder holds something already, or cannot be written.
    """
    try:
        if folder.exists() and any(folder.iterdir()):
            raise SourceError(f"{str(folder)!r} holds something already; name a new folder for made-up series.")
        for one in made:
            path = folder / "data" / one.series.name
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = map("%s,%.10g".__mod__, zip(one.series.timestamps, one.series.values, strict=True))
            path.write_text("timestamp,value\n" + "\n".join(lines) + "\n", encoding="utf-8")
        _write_json(folder / LABELS, {one.series.name: _edges(one) for one in made})
        _write_json(folder / FAULT_LIST, {one.series.name: _told(one) for one in made})
    except OSError as error:
        raise SourceError(f"Cannot write made-up series to {str(folder)!r}: {error.strerror}.") from error


def _write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def _edges(one: MadeSeries) -> list[list[str]]:
    return [[one.series.timestamps[first], one.series.timestamps[last]] for first, last in one.series.windows]


def _told(one: MadeSeries) -> list[dict[str, object]]:
    times = one.series.timestamps
    return [
        {"fault": put.kind, "start": times[put.first], "end": times[put.last], "strength": round(put.strength, 3)}
        for put in one.faults
    ]


def _ordinary(turn: str | LabelledSeries, index: int, rows: int, random: np.random.Generator) -> _Ordinary:
    if isinstance(turn, LabelledSeries):
        first = int(random.integers(max(len(turn) - rows, 0) + 1))
        times, values = turn.times_ms[first : first + rows], turn.values[first : first + rows]
        day = max(round(_DAY_MS / float(np.median(np.diff(times)))), 1)
        whole = bool((values == np.floor(values)).all() and (values >= 0).all())
        name = f"{Path(turn.name).stem}/{index:04d}.csv"
        return _Ordinary(name, times, values, day, _repeats(values, day), whole, 0.0)
    step_ms = int(random.choice(_STEPS_MS))
    day, base = _DAY_MS // step_ms, BASES[turn]
    times = _START_MS + step_ms * np.arange(rows, dtype=np.int64)
    values = base.make(rows, day, random)
    cycle = base.cycle and _DAYS_MIN * day <= rows
    # Half of the bases have no cycle; so that faults of a cycle are as frequent as others.
    return _Ordinary(f"{turn}/{index:04d}.csv", times, values, day, cycle, base.whole, 0.5)


def _repeats(values: Values, day: int) -> bool:
    """Tell whether a real series has a cycle to miss: days enough, and rows a day apart that go together."""
    if _DAYS_MIN * day > len(values) or np.ptp(values[day:]) == 0 or np.ptp(values[:-day]) == 0:
        return False
    return bool(np.corrcoef(values[day:], values[:-day])[0, 1] > _REPEATS)


def _with_faults(ordinary: _Ordinary, number: int, kinds: list[str], random: np.random.Generator) -> MadeSeries:
    rows = len(ordinary.values)
    fitting = [kind for kind in kinds if ordinary.cycle or not FAULTS[kind].cycle]
    if not fitting:
        raise SourceError(
            f"None of the faults {', '.join(kinds)} fits {ordinary.name.split('/')[0]!r}, which does not repeat by the "
            f"day{' in ' + str(rows) + ' rows' if rows < _DAYS_MIN * ordinary.day else ''}; name another fault or base."
        )
    values, puts, windows = ordinary.values.copy(), [], []
    for start, width in _windows(rows, number, ordinary.day, random):
        put = _put(values, start, width, ordinary, _order(fitting, ordinary.cycle_first, random), random)
        puts.append(put)
        windows.append((start, start + width - 1))
    texts = tuple(np.datetime_as_string(ordinary.times_ms.astype("datetime64[ms]"), unit="ms").tolist())
    short = tuple(text[:-4].replace("T", " ") if text.endswith(".000") else text.replace("T", " ") for text in texts)
    told = tuple(put.kind for put in puts)
    series = LabelledSeries(ordinary.name, short, ordinary.times_ms, values, tuple(windows), kinds=told)
    return MadeSeries(series, ordinary.values, tuple(puts))


def _order(kinds: list[str], cycle_first: float, random: np.random.Generator) -> list[str]:
    """Return the kinds in the order they are tried."""
    order = [str(kind) for kind in random.permutation(kinds)]
    return sorted(order, key=lambda kind: not FAULTS[kind].cycle) if random.random() < cycle_first else order


def _windows(rows: int, number: int, day: int, random: np.random.Generator) -> list[tuple[int, int]]:
    """Return first row and width of windows that do not overlap, at random places after what is left free."""
    if not number:
        return []
    width = int(_WINDOWS_SHARE * rows / number)
    lead = min(max(int(_PROBATION_SHARE * rows), 2 * day), rows // 2)
    free = np.sort(random.integers(rows - lead - number * width, size=number))
    return [(lead + int(at) + index * width, width) for index, at in enumerate(free)]


def _put(
    values: Values, start: int, width: int, ordinary: _Ordinary, kinds: list[str], random: np.random.Generator
) -> PutFault:
    """Put one fault into the middle of a window, in place; the first kind whose rows really change."""
    for kind in kinds * _TRIES:
        fault = FAULTS[kind]
        most = min(width, max(3 * ordinary.day // 2, 12), start // 2)
        count = int(random.integers(1, fault.rows_max + 1)) if fault.rows_max else int(random.integers(most // 3, most))
        first = start + (width - count) // 2
        strength = float(np.exp(random.uniform(0, np.log(4))))
        rows = slice(first, first + count)
        made = fault.put(Place(values[:first], values[rows], ordinary.day, strength, random))
        if ordinary.whole:
            made = np.maximum(np.round(made), 0)
        if not np.array_equal(made, values[rows]):
            values[rows] = made
            return PutFault(kind, first, first + count - 1, strength)
    raise SourceError(
        f"None of the faults {', '.join(kinds)} changes {ordinary.name.split('/')[0]!r} at row {start}, which may be "
        "constant; name another fault, such as spike."
    )
