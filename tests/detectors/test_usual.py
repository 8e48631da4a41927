"""Rows that were called out of the ordinary are scored as ever, and not learnt."""

from __future__ import annotations

import numpy as np
import pytest

from gridwatch.detectors.base import Floats, Times
from gridwatch.detectors.labels import Label, Labels
from gridwatch.detectors.online import AutoDetector
from gridwatch.detectors.usual import update_around, usual
from gridwatch.errors import DetectorError

DAY = 288


def faulty(seed: int) -> tuple[Times, Floats, list[int]]:
    """Return a daily wave that stands still for 60 rows, five times."""
    rng, rows = np.random.default_rng(seed), 24 * DAY
    values = 10.0 * np.sin(2.0 * np.pi * np.arange(rows) / DAY) + rng.normal(0.0, 1.0, rows)
    stops = [DAY * day + int(rng.integers(0, DAY)) for day in (8, 11, 14, 17, 20)]
    for row in stops:
        values[row : row + 60] = values[row]
    return np.arange(rows, dtype=np.int64) * 300_000 + 1_700_000_000_000, values, stops


def test_a_fault_that_was_confirmed_stays_as_surprising() -> None:
    found = {"learnt": 0, "around": 0}
    for seed in range(3):
        times, values, stops = faulty(seed)
        labels = Labels.of(
            [
                Label(str(row), "S", "", None, int(times[row]), int(times[row + 59]), "true", "", "", 0)
                for row in stops[:4]
            ]
        )
        away = labels.away(times, 2**60)
        assert away.sum() == 240
        for name, scores in (
            ("learnt", AutoDetector().update(times, values)),
            ("around", update_around(AutoDetector(), times, values, away)),
        ):
            found[name] += bool((scores.surprise[stops[-1] : stops[-1] + 60] > 8.0).any())
            assert len(scores) == len(values)
            # A row is scored before anything is learnt of it, and the rows before the first stop are the same.
            first = scores.surprise[: stops[0] + 60]
            if name == "learnt":
                same = first
            assert first.tolist() == same.tolist()
    assert found == {"learnt": 0, "around": 3}


def test_without_such_rows_it_is_an_update() -> None:
    times, values, _ = faulty(5)
    plain, nothing = AutoDetector(), np.zeros(1000, bool)
    scores = update_around(AutoDetector(), times[:1000], values[:1000], nothing)
    assert scores.surprise.tolist() == plain.update(times[:1000], values[:1000]).surprise.tolist()
    assert len(update_around(AutoDetector(), times[:0], values[:0], nothing[:0])) == 0
    # Nothing comes before them: they are learnt as they are.
    nothing[:50] = True
    begun = AutoDetector()
    update_around(begun, times[:1000], values[:1000], nothing)
    assert begun.save()["state.npz"] == plain.save()["state.npz"]


def test_what_is_usual() -> None:
    rng = np.random.default_rng(2)
    day = rng.normal(0.0, 5.0, 24)
    hours = np.arange(24 * 8) * 3_600_000
    repeating = np.tile(day, 8) + rng.normal(0.0, 0.1, len(hours))
    assert usual(hours, repeating, 30).tolist() == [*repeating[-24:], *repeating[-24:-18]]
    wandering = np.cumsum(rng.normal(0.0, 1.0, len(hours)))
    assert usual(hours, wandering, 3).tolist() == wandering[:-4:-1].tolist()
    assert usual(hours[:1], wandering[:1], 3).tolist() == [wandering[0]] * 3


def test_columns_of_one_length() -> None:
    with pytest.raises(DetectorError, match=r"Times \(3,\), values \(3,\) and away \(2,\) must be three columns"):
        update_around(AutoDetector(), np.arange(3), np.zeros(3), np.zeros(2, bool))
