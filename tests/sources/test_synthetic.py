"""Made-up labelled series: the same seed the same bytes, and a fault changes its rows and no other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridwatch.errors import SourceError
from gridwatch.sources.labelled import FAULT_LIST, LabelledSeries, read_labelled, read_unlabelled
from gridwatch.sources.synthetic import make_series, write_series
from gridwatch.sources.synthetic_bases import BASES, Values
from gridwatch.sources.synthetic_faults import FAULTS, Place


def real(rows: int, *, step_ms: int = 900_000, values: Values | None = None) -> LabelledSeries:
    times = 1_600_000_000_000 + step_ms * np.arange(rows, dtype=np.int64)
    texts = tuple(np.datetime_as_string(times.astype("datetime64[ms]")).tolist())
    made = np.sin(np.arange(rows) / 15) if values is None else values
    return LabelledSeries("pump.csv", texts, times, made, ())


def test_the_reader_takes_what_is_written_and_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    first, again = make_series(3, 11, rows=1500), make_series(3, 13, rows=1500)
    write_series(tmp_path / "a", first)
    write_series(tmp_path / "b", again[:11])
    written = {path.relative_to(tmp_path / "a"): path.read_bytes() for path in (tmp_path / "a").rglob("*.*")}
    assert written == {path.relative_to(tmp_path / "b"): path.read_bytes() for path in (tmp_path / "b").rglob("*.*")}
    made = {one.series.name: one for one in first}
    told = json.loads((tmp_path / "a" / FAULT_LIST).read_text())
    read = read_labelled(tmp_path / "a")
    assert sorted(made) == [one.name for one in read]
    for one in read:
        source = made[one.name].series
        assert (one.windows, one.kinds) == (source.windows, source.kinds)
        assert one.timestamps == source.timestamps
        assert (one.times_ms == source.times_ms).all()
        np.testing.assert_allclose(one.values, source.values, rtol=1e-9)
        assert [put["fault"] for put in told[one.name]] == [put.kind for put in made[one.name].faults]
    others = make_series(4, 11, rows=1500)
    assert not any(np.array_equal(one.series.values, two.series.values) for one, two in zip(first, others, strict=True))


@pytest.mark.parametrize("base", BASES)
def test_faults_change_the_middle_of_their_windows_and_nothing_else(base: str) -> None:
    many = make_series(5, 30, bases=[base], clean_share=0)
    for one in many:
        changed = np.flatnonzero(one.series.values != one.clean)
        rows = len(one.clean)
        inside = np.zeros(rows, dtype=bool)
        assert 1 <= len(one.faults) == len(one.series.windows) <= 3
        assert sum(last - first + 1 for first, last in one.series.windows) <= 0.1 * rows
        for put, (first, last) in zip(one.faults, one.series.windows, strict=True):
            assert first <= put.first <= put.last <= last
            assert abs((put.first - first) - (last - put.last)) <= 1
            assert 1 <= put.strength <= 4
            assert ((changed >= put.first) & (changed <= put.last)).any(), (one.series.name, put)
            inside[put.first : put.last + 1] = True
        assert inside[changed].all()
        assert changed.min() >= int(0.15 * rows)
        assert np.isfinite(one.series.values).all()
        if BASES[base].whole:
            assert (one.series.values == np.floor(one.series.values)).all()
            assert one.series.values.min() >= 0
    kinds = {put.kind for one in many for put in one.faults}
    assert not any(FAULTS[kind].cycle for kind in kinds) or BASES[base].cycle


def test_every_base_is_a_new_series_each_time() -> None:
    many = make_series(1, 3 * len(BASES), clean_share=1)
    assert [one.series.name.split("/")[0] for one in many] == [*BASES] * 3
    assert all(np.std(one.series.values) > 0 and not one.faults and not one.series.windows for one in many)


# What each fault does to a day of 96 rows between -10 and 10 with steps of about 0.7, at strength 3.
EFFECTS: dict[str, Callable[[Values, Values], Any]] = {
    "spike": lambda new, old: new.min() > old.min() + 25,
    "dip": lambda new, old: new.max() < old.max() - 25,
    "shift": lambda new, old: np.ptp(new - old) < 1e-9 and 15 < abs(new - old).mean() < 20,
    "flatline": lambda new, old: np.ptp(new) == 0,
    "missing": lambda new, old: np.ptp(new) < 3,
    "amplitude": lambda new, old: not 0.4 < np.std(new) / np.std(old) < 2.4 and abs(np.mean(new) - np.mean(old)) < 1e-6,
    "frequency": lambda new, old: abs(np.mean(np.abs(np.diff(new))) / np.mean(np.abs(np.diff(old))) - 1) > 0.3,
    "drift": lambda new, old: abs(new - old)[0] < 1 and abs(new - old)[-1] > 25,
    "trend": lambda new, old: max(abs(new - old)[[0, -1]]) < 1 and abs(new - old)[48] > 25,
    "burst": lambda new, old: np.std(np.diff(new)) > 4 * np.std(np.diff(old)),
    "quiet": lambda new, old: np.std(np.diff(new, 2)) < 0.5 * np.std(np.diff(old, 2)),
    "swapped": lambda new, old: sorted(new) == sorted(old) and np.corrcoef(new, old)[0, 1] < -0.8,
}


@pytest.mark.parametrize("kind", FAULTS)
def test_each_fault_does_what_its_name_says(kind: str) -> None:
    noise = np.random.default_rng(2).normal(0, 0.15, 960)
    values = 10 * np.sin(2 * np.pi * np.arange(960) / 96) + noise
    old = values[480:576]
    for seed in range(6):
        new = FAULTS[kind].put(Place(values[:480], old, 96, 3.0, np.random.default_rng(seed)))
        assert new.shape == old.shape
        assert EFFECTS[kind](new, old)


def test_a_real_series_is_the_base(tmp_path: Path) -> None:
    series = real(3000)
    lines = "".join(f"{text},{value}\n" for text, value in zip(series.timestamps, series.values, strict=True))
    (tmp_path / "pump.csv").write_text("timestamp,value\n" + lines)
    base = read_unlabelled(tmp_path / "pump.csv")
    assert (base.name, base.windows) == ("pump.csv", ())
    made = make_series(1, 4, rows=2000, real=[base], bases=["walk"], clean_share=0)
    assert [one.series.name for one in made] == ["walk/0000.csv", "pump/0001.csv", "walk/0002.csv", "pump/0003.csv"]
    first = int(np.flatnonzero(series.times_ms == made[1].series.times_ms[0])[0])
    np.testing.assert_array_equal(made[1].clean, series.values[first : first + 2000])
    write_series(tmp_path / "made", made)
    assert len(read_labelled(tmp_path / "made")) == 4


@pytest.mark.parametrize(("rows", "step_ms"), [(500, 1000), (500, 86_400_000), (3000, 500), (700, 3_600_000)])
def test_any_sampling_takes_every_fault(rows: int, step_ms: int) -> None:
    noise = np.random.default_rng(4).normal(size=rows)
    made = make_series(2, 60, real=[real(rows, step_ms=step_ms, values=noise)], clean_share=0)
    assert {put.kind for one in made for put in one.faults} >= {kind for kind in FAULTS if not FAULTS[kind].cycle}
    for one in made:
        changed = np.flatnonzero(one.series.values != one.clean)
        assert all(any(put.first <= row <= put.last for put in one.faults) for row in changed)


def test_a_constant_base_takes_the_faults_that_change_it() -> None:
    made = make_series(1, 5, real=[real(1000, values=np.full(1000, 7.0))], clean_share=0)
    assert all((one.series.values != 7).any() for one in made)
    with pytest.raises(SourceError, match=r"None of the faults flatline changes 'pump' at row \d+.*such as spike"):
        make_series(1, 1, real=[real(1000, values=np.full(1000, 7.0))], faults=["flatline"], clean_share=0)


def test_what_cannot_be_made_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="There is no 'wlak'; there are walk, noise"):
        make_series(1, 1, bases=["wlak"])
    with pytest.raises(SourceError, match="There is no 'dive'; there are spike, dip"):
        make_series(1, 1, faults=["dive"])
    with pytest.raises(SourceError, match=r"'pump.csv' with 499 rows is too short .* 500 are needed"):
        make_series(1, 1, real=[real(499)])
    with pytest.raises(SourceError, match="None of the faults missing fits 'walk', which does not repeat by the day;"):
        make_series(1, 1, bases=["walk"], faults=["missing"])
    with pytest.raises(SourceError, match="fits 'pump', which does not repeat by the day in 600 rows; name another"):
        make_series(1, 1, real=[real(600, step_ms=60_000)], faults=["swapped"], clean_share=0)
    noise = np.random.default_rng(1).normal(size=1000)
    with pytest.raises(SourceError, match="fits 'pump', which does not repeat by the day; name another"):
        make_series(1, 1, real=[real(1000, values=noise)], faults=["swapped"], clean_share=0)
    days = make_series(1, 1, real=[real(1000, values=np.sin(np.arange(1000) * np.pi / 48))], faults=["swapped"])
    assert days[0].series.name == "pump/0000.csv"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(SourceError, match="full' holds something already; name a new folder"):
        write_series(tmp_path / "full", [])
    with pytest.raises(SourceError, match=r"Cannot write made-up series to '.*notes.txt': Not a directory"):
        write_series(tmp_path / "full" / "notes.txt", make_series(1, 1, rows=500))
