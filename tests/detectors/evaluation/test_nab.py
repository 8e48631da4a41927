"""NAB's score: cases by hand, and what must hold for any detector."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwatch.detectors.evaluation import PROFILES, Marked, Profile, Sweep, every_other, mark, probation_rows
from gridwatch.errors import DetectorError

STANDARD, LOW_FP, LOW_FN = PROFILES
ROWS = 100  # 15 of them probation


def sigma(x: float) -> float:
    return 2.0 / (1.0 + math.exp(5.0 * x)) - 1.0


TOP = sigma(-1.0)


def marked(alarms: dict[int, float], windows: list[tuple[int, int]], rows: int = ROWS) -> Marked:
    score = np.zeros(rows)
    for row, value in alarms.items():
        score[row] = value
    return mark(score, windows)


def standard(alarms: dict[int, float], windows: list[tuple[int, int]], threshold: float = 1.0) -> float:
    return Sweep.of([marked(alarms, windows)], STANDARD).at(threshold)


def from_raw(raw: float, windows: int, profile: Profile = STANDARD) -> float:
    return 100.0 * (raw + profile.missed * windows) / (windows * (1.0 + profile.missed))


@pytest.mark.parametrize(("rows", "start"), [(0, 0), (6, 0), (7, 1), (4032, 604), (5000, 750), (90_000, 750)])
def test_probation(rows: int, start: int) -> None:
    assert probation_rows(rows) == start
    assert len(mark(np.zeros(rows), []).score) == rows - start


def test_worth_of_each_row_around_a_window_of_four() -> None:
    worth = marked({}, [(50, 53)]).worth
    assert worth[49 - 15] == -1.0
    by_hand = [sigma(-place) / TOP for place in (1.0, 0.75, 0.5, 0.25)]
    assert worth[50 - 15 : 54 - 15] == pytest.approx(by_hand)
    assert by_hand[0] == 1.0
    # Past it: 1, 2, ... rows over (4 - 1); from more than 3 widths on in full.
    assert worth[54 - 15 : 56 - 15] == pytest.approx([sigma(1 / 3), sigma(2 / 3)])
    assert worth[62 - 15] == pytest.approx(sigma(3.0))
    assert worth[63 - 15] == -1.0


@pytest.mark.parametrize(
    ("alarms", "raw"),
    [
        ({50: 1.0}, 1.0),  # at once
        ({53: 1.0}, sigma(-0.25) / TOP),  # in the last row
        ({51: 1.0, 53: 1.0}, sigma(-0.75) / TOP),  # only the best counts
        ({50: 1.0, 54: 1.0}, 1.0 + 0.11 * sigma(1 / 3)),  # once more, just after
        ({54: 1.0}, -1.0 + 0.11 * sigma(1 / 3)),  # too late
        ({50: 1.0, 20: 1.0, 90: 1.0}, 1.0 - 0.22),  # far before and far behind
        ({50: 1.0, 3: 1.0}, 1.0),  # probation is not judged
        ({}, -1.0),
    ],
)
def test_one_window_by_hand(alarms: dict[int, float], raw: float) -> None:
    assert standard(alarms, [(50, 53)]) == pytest.approx(from_raw(raw, 1))


def test_two_windows_and_the_profiles_by_hand() -> None:
    file = marked({41: 1.0, 30: 1.0}, [(40, 43), (70, 79)])
    gained = sigma(-0.75) / TOP
    for profile, raw in (
        (STANDARD, gained - 0.11 - 1.0),
        (LOW_FP, gained - 0.22 - 1.0),
        (LOW_FN, gained - 0.11 - 2.0),
    ):
        assert Sweep.of([file], profile).at(1.0) == pytest.approx(from_raw(raw, 2, profile)), profile.name


def test_rows_between_windows_pay_by_the_one_before() -> None:
    worth = marked({}, [(40, 43), (50, 59)]).worth
    assert worth[49 - 15] == pytest.approx(sigma(6 / 3))


def test_rows_with_one_score_are_flagged_together() -> None:
    sweep = Sweep.of([marked({30: 1.0, 50: 1.0, 51: 2.0}, [(50, 53)])], STANDARD)
    assert sweep.threshold.tolist() == [np.inf, 2.0, 1.0, 0.0]
    assert sweep.at(1.0) == pytest.approx(from_raw(1.0 - 0.11, 1))
    assert sweep.at(1.5) == pytest.approx(from_raw(sigma(-0.75) / TOP, 1))
    assert sweep.best() == (sweep.at(1.5), 2.0)


def test_a_window_of_one_row() -> None:
    assert standard({50: 1.0}, [(50, 50)]) == pytest.approx(100.0)
    assert standard({50: 1.0, 51: 1.0}, [(50, 50)]) == pytest.approx(from_raw(1.0 + 0.11 * sigma(1.0), 1))


def test_what_cannot_be_found_does_not_count() -> None:
    assert marked({}, [(2, 10), (50, 53)]).windows == 1
    # Half in probation: it counts, and its first judged row is worth less than 1.
    half = marked({}, [(10, 19)])
    assert (half.windows, half.worth[0]) == (1, pytest.approx(sigma(-0.5) / TOP))
    # Rows after a window in probation are cheap all the same.
    assert marked({}, [(2, 14)]).worth[0] == pytest.approx(sigma(1 / 12))


@pytest.mark.parametrize("profile", PROFILES)
def test_null_and_perfect(profile: Profile) -> None:
    windows = [[(30, 39), (60, 69)], [(50, 53)], []]
    nothing = [mark(np.zeros(ROWS), one) for one in windows]
    assert Sweep.of(nothing, profile).best() == (0.0, np.inf)
    perfect = [marked({first: 9.0 for first, _ in one}, one) for one in windows]
    assert Sweep.of(perfect, profile).best() == pytest.approx((100.0, 9.0))
    assert Sweep.of(perfect, profile).cross(every_other(3)) == pytest.approx(100.0 * (1 / 3 + 2 / 3))


def test_rows_without_a_score_are_never_flagged() -> None:
    score = np.full(ROWS, np.nan)
    assert Sweep.of([mark(score, [(50, 53)])], STANDARD).at(-1e300) == 0.0
    score[50] = -5.0
    assert Sweep.of([mark(score, [(50, 53)])], STANDARD).at(-1e300) == pytest.approx(100.0)


def test_cross_half_takes_each_threshold_to_the_other_half() -> None:
    quiet = marked({50: 1.0, 20: 0.5}, [(50, 53)])
    loud = marked({50: 3.0, 20: 2.0}, [(50, 53)])
    sweep = Sweep.of([quiet, loud], STANDARD)
    # 1.0 from the quiet file flags both rows of the loud one; 3.0 from the loud one misses all of the quiet one.
    assert sweep.cross(every_other(2)) == pytest.approx(from_raw((1.0 - 0.11) + -1.0, 2))
    assert sweep.best(np.array([True, False])) == pytest.approx((100.0, 1.0))
    assert sweep.cross_random(5, seed=1).tolist() == [sweep.cross(every_other(2))] * 5


def test_a_single_file_has_no_other_half() -> None:
    # A window of one row: what is far after it lies thousands of its widths away.
    sweep = Sweep.of([mark(np.arange(2_000.0), [(1_000, 1_000)])], STANDARD)
    assert np.isnan([sweep.cross(every_other(1)), *sweep.cross_random(3, seed=1)]).all()


def test_random_halves_are_seeded() -> None:
    random = np.random.default_rng(5)
    sweep = Sweep.of([mark(random.random(ROWS), [(50, 59)]) for _ in range(9)], STANDARD)
    assert sweep.cross_random(8, 1).tolist() == sweep.cross_random(8, 1).tolist() != sweep.cross_random(8, 2).tolist()
    assert len(set(sweep.cross_random(20, 1).tolist())) > 1


def test_without_windows_there_is_no_score() -> None:
    sweep = Sweep.of([mark(np.ones(ROWS), [])], STANDARD)
    assert math.isnan(sweep.best()[0])
    assert math.isnan(sweep.at(1.0))


def test_no_files_and_wrong_windows_are_told() -> None:
    with pytest.raises(DetectorError, match="no files to score"):
        Sweep.of([], STANDARD)
    with pytest.raises(DetectorError, match=r"Window \(90, 100\) is no pair .* in a file of 100 rows"):
        marked({}, [(90, 100)])
    with pytest.raises(DetectorError, match=r"Window \(9, 5\) is no pair"):
        marked({}, [(9, 5)])
    with pytest.raises(DetectorError, match=r"Window \(53, 60\) begins before the one before it has ended \(row 53\)"):
        marked({}, [(50, 53), (53, 60)])


@st.composite
def corpora(draw: st.DrawFn) -> list[tuple[np.ndarray, list[tuple[int, int]]]]:
    files = []
    for _ in range(draw(st.integers(1, 4))):
        rows = draw(st.integers(10, 60))
        edges = sorted(draw(st.sets(st.integers(0, rows - 1), max_size=6)))
        windows = list(zip(edges[0::2], edges[1::2], strict=False))
        levels = st.sampled_from([0.0, 1.0, 2.0, 3.0, math.nan])
        files.append((np.array(draw(st.lists(levels, min_size=rows, max_size=rows))), windows))
    return files


def by_counting(files: list[Marked], profile: Profile, threshold: float) -> float:
    """The raw score, one row after the other."""
    raw = 0.0
    for file in files:
        best = dict.fromkeys(range(file.windows), -profile.missed)
        for score, worth, window in zip(file.score, file.worth, file.window, strict=True):
            if score >= threshold and window >= 0:
                best[int(window)] = max(best[int(window)], float(worth))
            elif score >= threshold:
                raw += profile.false_row * float(worth)
        raw += sum(best.values())
    return raw


@settings(max_examples=60, deadline=None)
@given(corpora(), st.sampled_from(PROFILES))
def test_the_sweep_agrees_with_counting(
    corpus: list[tuple[np.ndarray, list[tuple[int, int]]]], profile: Profile
) -> None:
    files = [mark(score, windows) for score, windows in corpus]
    windows = sum(file.windows for file in files)
    if not windows:
        return
    sweep = Sweep.of(files, profile)
    counted = {at: from_raw(by_counting(files, profile, at), windows, profile) for at in (0.0, 1.0, 2.0, 3.0, np.inf)}
    for threshold, score in counted.items():
        assert sweep.at(threshold) == pytest.approx(score)
    assert sweep.best()[0] == pytest.approx(max(counted.values()))
    assert counted[sweep.best()[1]] == pytest.approx(max(counted.values()))
    assert sweep.best()[0] <= 100.0 + 1e-9
    half = every_other(len(files))
    # The threshold of another half is never better than the best one of each half by itself.
    apart = [
        (sweep.best(one)[0], sum(f.windows for f, kept in zip(files, one, strict=True) if kept))
        for one in (half, ~half)
    ]
    assert (
        len(files) == 1 or sweep.cross(half) * windows <= sum(score * count for score, count in apart if count) + 1e-6
    )


@settings(max_examples=60, deadline=None)
@given(corpora(), st.data())
def test_a_further_false_alarm_never_helps(
    corpus: list[tuple[np.ndarray, list[tuple[int, int]]]], data: st.DataObject
) -> None:
    score, windows = corpus[0]
    outside = [row for row in range(len(score)) if not any(first <= row <= last for first, last in windows)]
    if not outside or not mark(score, windows).windows:
        return
    louder = score.copy()
    louder[data.draw(st.sampled_from(outside))] = 3.0
    for threshold in (1.0, 3.0):
        before, after = (Sweep.of([mark(one, windows)], STANDARD).at(threshold) for one in (score, louder))
        assert after <= before + 1e-9
