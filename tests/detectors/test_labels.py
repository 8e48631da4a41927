"""What people say changes alarms from then on, and never before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from gridwatch.detectors.adaptation import Adapted, adapt, adapt_rows
from gridwatch.detectors.base import Floats, Times
from gridwatch.detectors.explain import DRIVERS
from gridwatch.detectors.labels import Label, Labels, Lesson, Verdict, kind_of, kinds_of, level_of
from gridwatch.detectors.online import AutoDetector, OnlineScores

HOUR_MS, STEP_MS, DAY = 3_600_000, 300_000, 288
THRESHOLD = 96.98
FOREVER = np.iinfo(np.int64).max


def label(verdict: Verdict, from_ms: int, to_ms: int, said_ms: int, anomaly_id: str | None = None) -> Label:
    return Label(f"{said_ms}", "S", "", anomaly_id, from_ms, to_ms, verdict, "", "ann", said_ms)


def made(seed: int, days: int = 30) -> tuple[Times, Floats, list[int]]:
    """Return a daily wave with spikes every other day, which nobody minds, and a flat stretch near its end."""
    rng, rows = np.random.default_rng(seed), days * DAY
    values = 10.0 * np.sin(2.0 * np.pi * np.arange(rows) / DAY) + rng.normal(0.0, 1.0, rows)
    spikes = (np.arange(8, days - 2, 2) * DAY + rng.integers(0, DAY, len(range(8, days - 2, 2)))).tolist()
    for row in spikes:
        values[row : row + 3] += rng.uniform(18.0, 24.0)
    values[(days - 1) * DAY : (days - 1) * DAY + 60] = values[(days - 1) * DAY]
    return np.arange(rows, dtype=np.int64) * STEP_MS + 1_700_000_000_000, values, spikes


@pytest.fixture(scope="module")
def runs() -> list[tuple[Times, OnlineScores, list[int]]]:
    found = []
    for seed in range(4):
        times, values, spikes = made(seed)
        found.append((times, AutoDetector().update(times, values), spikes))
    return found


def alarms_after(flags: np.ndarray, spikes: Sequence[int]) -> list[int]:
    """Return the first alarm of each spike that has one."""
    firsts = (np.flatnonzero(flags[row : row + 100]) + row for row in spikes)
    return [int(rows[0]) for rows in firsts if len(rows)]


def said_false(times: Times, rows: Sequence[int]) -> list[Label]:
    return [label("false", int(times[row]), int(times[row]), int(times[row]) + HOUR_MS, f"a{row}") for row in rows]


def test_a_nuisance_labelled_false_twice_falls_silent_and_a_fault_does_not(
    runs: list[tuple[Times, OnlineScores, list[int]]],
) -> None:
    before, after, faults = 0, 0, 0
    for times, scores, spikes in runs:
        like = _kinds(scores) == "value above"
        own = scores.anomaly_score >= THRESHOLD
        rows = alarms_after(own & like, spikes)[:2]
        labels = Labels.of(said_false(times, rows)).learnt_from(scores, times)
        adapted = adapt(scores, times, labels, threshold=THRESHOLD)
        later = [row for row in spikes if row > rows[-1] + 100]
        before += len(alarms_after(own & like, later))
        after += len(alarms_after(adapted.flags & like, later))
        faults += bool(adapted.flags[29 * DAY : 29 * DAY + 100].any())
        # Nothing changed before the first label was said.
        said = int(np.searchsorted(times, labels.labels[0].labelled_ms))
        assert adapted.anomaly_score[:said].tolist() == scores.anomaly_score[:said].tolist()
    assert faults == len(runs)
    assert before >= 8
    assert after <= before // 3


def test_without_labels_nothing_changes(runs: list[tuple[Times, OnlineScores, list[int]]]) -> None:
    times, scores, _ = runs[0]
    same = adapt(scores, times, Labels(), threshold=THRESHOLD)
    assert same.anomaly_score.tolist() == scores.anomaly_score.tolist()
    assert same.flags.tolist() == (scores.anomaly_score >= THRESHOLD).tolist()
    # Taking the long way, over hold and dead time, finds the alarms of the detector again.
    elsewhere = Lesson("no such kind", 5.0, False, 0, FOREVER)
    far = label("expected", 0, 1, 0)
    again = adapt(scores, times, Labels((far,), (elsewhere,)), threshold=THRESHOLD)
    assert again.anomaly_score.tolist() == scores.anomaly_score.tolist()
    one = label("expected", int(times[200]), int(times[200]), 0)
    rebuilt = adapt(scores, times, Labels((one,)), threshold=THRESHOLD)
    assert np.allclose(rebuilt.anomaly_score[400:], scores.anomaly_score[400:], rtol=0, atol=1e-9)
    assert (rebuilt.anomaly_score > 0).tolist()[400:] == (scores.anomaly_score > 0).tolist()[400:]


def test_what_is_said_later_changes_nothing_before(runs: list[tuple[Times, OnlineScores, list[int]]]) -> None:
    """Prequential is backtest: with the labels known at each moment, or with all of them, the scores are the same."""
    times, scores, spikes = runs[1]
    rng = np.random.default_rng(5)
    words: list[Verdict] = ["true", "false", "expected", "false", "removed"]
    some = []
    for number, row in enumerate(
        rng.integers(9 * DAY, 28 * DAY, 40).tolist() + alarms_after(scores.anomaly_score > 90, spikes)
    ):
        end, word = row + int(rng.integers(0, 50)), words[number % 5]
        said = int(times[min(end, len(times) - 1)]) + int(rng.integers(0, 48)) * HOUR_MS
        some.append(label(word, int(times[row]), int(times[end]), said, f"a{number // 2}" if number % 3 else None))
    everything = adapt(scores, times, Labels.of(some).learnt_from(scores, times), threshold=THRESHOLD)
    assert (everything.handicap != 0.0).any()
    for cut in (10 * DAY, 15 * DAY + 7, 22 * DAY, 29 * DAY):
        known = [one for one in some if one.labelled_ms <= times[cut]]
        seen = slice(0, cut + 1)
        # Only rows up to now exist, and only what has been said until now.
        part = Labels.of(known).with_lessons(times[seen], scores.surprise[seen], _kinds(scores)[seen])
        now = _adapted(part, times[seen], scores, cut + 1)
        assert now.anomaly_score.tolist() == everything.anomaly_score[seen].tolist()
        assert now.wrong.tolist() == everything.wrong[seen].tolist()


def _kinds(scores: OnlineScores) -> np.ndarray:
    return kinds_of(scores.driver_names(), scores.actual, scores.expected)


def _adapted(labels: Labels, times: Times, scores: OnlineScores, rows: int) -> Adapted:
    return adapt_rows(
        labels,
        times,
        scores.surprise[:rows],
        scores.anomaly_score[:rows],
        _kinds(scores)[:rows],
        threshold=THRESHOLD,
    )


def one_row(level: float, lessons: Sequence[Lesson], kind: str = "spread") -> Adapted:
    """Adapt a series with one odd row among a thousand."""
    surprise = np.zeros(300)
    surprise[200] = level
    kinds = np.full(300, kind, dtype=object)
    own = -100.0 * np.expm1(-surprise)
    times = np.arange(300, dtype=np.int64)
    return adapt_rows(Labels((), tuple(lessons)), times, surprise, own, kinds, threshold=float(-100 * np.expm1(-3.5)))


def lesson(level: float, *, right: bool = False, kind: str = "spread") -> Lesson:
    return Lesson(kind, level, right, 0, FOREVER)


@pytest.mark.parametrize(
    ("level", "said", "raised"),
    [
        (3.49, [], False),
        (3.51, [], True),
        (5.0, [lesson(5.0)], True),  # once is chance
        (3.6, [lesson(5.0)], False),  # unless it is hardly an alarm at all
        (5.0, [lesson(5.0)] * 2, False),
        (30.0, [lesson(30.0)] * 2, False),  # however surprising
        (5.4, [lesson(5.0)] * 2, False),  # the same thing is not as surprising each time
        (5.6, [lesson(5.0)] * 2, True),  # clearly more surprising than what was wrong
        (5.0, [lesson(5.0, kind="flat")] * 9, True),  # another kind
        (5.0, [lesson(5.0)] * 2 + [lesson(4.8, right=True)], True),  # it was right as well
        (5.0, [lesson(5.0)] * 2 + [lesson(6.0, right=True)], False),  # right where it was more surprising
        (6.0, [lesson(5.0)] * 9 + [lesson(6.0, right=True)], True),  # told apart by how surprising they are
        (5.0, [lesson(5.0)] * 4 + [lesson(4.8, right=True)], False),
        (3.0, [lesson(2.9, right=True)], True),  # it was missed once
        (2.8, [lesson(2.9, right=True)], False),
        (2.4, [lesson(1.0, right=True)], False),  # at most ten times as many alarms
        (3.0, [lesson(2.9, right=True), lesson(3.0), lesson(3.0)], False),
    ],
)
def test_the_bar(level: float, said: list[Lesson], raised: bool) -> None:
    adapted = one_row(level, said)
    assert adapted.flags[200] == raised
    assert adapted.flags.sum() == raised
    assert bool(adapted.right[200] + adapted.wrong[200]) == (adapted.handicap[200] != 0.0)


def test_more_surprise_is_never_less_of_an_alarm() -> None:
    rng = np.random.default_rng(3)
    levels = np.linspace(0.1, 12.0, 240)
    for _ in range(20):
        said = [
            lesson(float(rng.uniform(1, 8)), right=bool(rng.random() < 0.4)) for _ in range(int(rng.integers(1, 9)))
        ]
        surprise, kinds = levels.copy(), np.full(240, "spread", dtype=object)
        adapted = adapt_rows(
            Labels((), tuple(said)), np.arange(1, 241), surprise, np.zeros(240), kinds, threshold=THRESHOLD
        )
        assert (np.diff(levels - adapted.handicap) >= -1e-9).all()


def test_a_silent_alarm_holds_back_none_after_it() -> None:
    surprise, kinds = np.zeros(400), np.full(400, "spread", dtype=object)
    surprise[200], surprise[210], kinds[210] = 6.0, 5.0, "flat"
    own = np.where(np.arange(400) == 200, -100.0 * np.expm1(-surprise), 0.0)
    times = np.arange(400, dtype=np.int64)

    def rows(labels: Labels) -> list[int]:
        return np.flatnonzero(adapt_rows(labels, times, surprise, own, kinds, threshold=THRESHOLD).flags).tolist()

    assert rows(Labels()) == [200]
    assert rows(Labels((), (lesson(6.0), lesson(6.0)))) == [210]
    assert rows(Labels((label("expected", 200, 205, 0),))) == [210]
    # Said at 202: the alarm had been raised by then, and what it held back stays back.
    assert rows(Labels((label("expected", 200, 205, 202),))) == [200]


def test_overlapping_and_removed_labels() -> None:
    times = np.arange(10, dtype=np.int64) * 10
    labels = Labels.of(
        [
            label("expected", 0, 90, 5),
            label("true", 40, 60, 100),
            label("false", 50, 50, 110, "a"),
            label("removed", 50, 50, 120, "a"),
            label("removed", 0, 90, 130),
        ]
    )
    assert labels.said("expected", times, 4).sum() == 0
    assert labels.said("expected", times, times).tolist() == [False] + [True] * 9
    assert labels.said("expected", times, 101).tolist() == [True] * 4 + [False] * 3 + [True] * 3
    assert labels.in_force(times, 115).tolist() == [0, 0, 0, 0, 1, 2, 1, 0, 0, 0]
    # What is taken back leaves what had been said before it.
    assert labels.in_force(times, 125).tolist() == [0, 0, 0, 0, 1, 1, 1, 0, 0, 0]
    assert labels.in_force(times, 135).tolist() == [-1, -1, -1, -1, 1, 1, 1, -1, -1, -1]
    assert labels.in_force(times, np.full(10, 125) - np.arange(10)).tolist() == [0, 0, 0, 0, 1, 2, 1, 0, 0, 0]


def test_a_lesson_is_the_most_surprising_row_until_another_word() -> None:
    times, levels = np.arange(6, dtype=np.int64), np.array([1.0, 4.0, 5.0, np.nan, 2.0, 2.5])
    kinds = np.array(["a", "b", "c", "d", "e", "f"], dtype=object)
    said = [
        label("true", 0, 3, 10),
        label("false", 2, 2, 20),
        label("false", 3, 3, 30),
        label("true", 4, 5, 40, "x"),
        label("removed", 4, 5, 50, "x"),
        label("true", 9, 9, 60),
        label("removed", 2, 2, 70),
    ]
    assert Labels.of(said).with_lessons(times, levels, kinds).lessons == (
        Lesson("c", 5.0, True, 10, 20),
        Lesson("c", 5.0, True, 70, FOREVER),
        Lesson("c", 5.0, False, 20, 70),
        Lesson("f", 2.5, True, 40, 50),
    )


def test_what_each_driver_looks_at_is_known() -> None:
    assert {kind_of(driver, 2.0, 1.0) for driver in DRIVERS} <= {"value above", "spread", "shape", "flat"}


def test_levels() -> None:
    assert level_of(np.array([0.0, 100.0])).tolist() == pytest.approx([0.0, 32.236], abs=1e-2)
    assert len(kinds_of([], np.empty(0), np.empty(0))) == 0
