"""How bad an anomaly is: one scale, read off the number that people see beside the word."""

import numpy as np
import pytest

from gridwatch.detectors.calibration import score_of
from gridwatch.detectors.severity import (
    JOB_BANDS,
    ROW_BANDS,
    band_in_words,
    job_severity_of,
    severity_by_p,
    severity_of,
    severity_score,
)


@pytest.mark.parametrize(
    ("p_value", "severity"), [(1e-3, "low"), (1e-4, "medium"), (1e-5, "high"), (1e-6, "critical"), (1e-12, "critical")]
)
def test_a_decade_of_rarity_is_a_word(p_value: float, severity: str) -> None:
    """A p-value on the very edge belongs to the worse word, whatever rounding made of its score."""
    score = float(score_of(np.array([p_value]))[0])
    assert severity_of(score) == severity_by_p(p_value) == severity
    just_above = float(score_of(np.array([p_value * 1.001]))[0])
    assert severity_of(just_above) == severity_by_p(p_value * 1.001)


def test_the_bounds_as_they_are_written_are_those_that_are_used() -> None:
    for p_value, (shown, word) in zip((1e-6, 1e-5, 1e-4), ROW_BANDS, strict=False):
        assert round(float(score_of(np.array([p_value]))[0]), 2) == shown
        assert severity_of(shown + 0.005) == word != severity_of(shown - 0.01)


def test_every_score_has_one_word_and_it_never_falls() -> None:
    order = [word for _, word in ROW_BANDS][::-1]
    for name_of in (severity_of, job_severity_of):
        places = [order.index(name_of(score)) for score in np.linspace(0.0, 100.0, 20_001).tolist()]
        assert places == sorted(places)
        assert (places[0], places[-1]) == (0, 3)


@pytest.mark.parametrize(("least", "word"), JOB_BANDS)
def test_a_jobs_words_begin_where_elasticsearchs_users_know_them(least: float, word: str) -> None:
    assert job_severity_of(least) == word
    assert least == 0.0 or job_severity_of(least - 1e-6) != word


def test_the_greater_score_decides() -> None:
    assert severity_score(95.2, 99.96) == 99.96
    assert severity_score(99.4, 97.0) == 99.4
    assert severity_score(80.0, None) == 80.0
    assert severity_score(None, 97.0) == 97.0
    assert severity_score(None, None) is None


@pytest.mark.parametrize(
    ("severity", "score", "job", "words"),
    [
        ("critical", 99.96, False, "a score of 99.75 or more"),
        ("medium", 99.0, False, "a score of 98.17 to 99.33"),
        ("low", 96.98, False, "a score below 98.17"),
        ("critical", 75.0, True, "a score of 75 or more"),
        ("low", 10.0, True, "a score below 25"),
        ("low", 99.96, False, ""),  # a row of an older version
        ("medium", 80.0, True, ""),
        ("", 80.0, True, ""),
    ],
)
def test_a_band_is_told_only_where_it_holds(severity: str, score: float, job: bool, words: str) -> None:
    assert band_in_words(severity, score, job=job) == words
