"""How bad an anomaly is, in a word: read off the greatest of its scores, 0 to 100, which people see beside the word.

A series' scores are decades of rarity (`calibration.score_of`), and so are the words: 98.17 is what one ordinary row in
10,000 has, and medium from there on. The alarm stream of detectors that learn as they go is made in the same way of the
surprise of several members. It is what raises the alarm, so it counts as well: the p-value of a row, a rank among the
surprises of one series, cannot tell a split from a bad day where there are few rows. By the p-value alone 154 of 163
alarms of `auto` on labelled files were low; by the greater of both it is about half.

A job's scores are on the scale of Elasticsearch, and the words begin where its users know them: 25, 50 and 75.
"""

from __future__ import annotations

from math import log1p
from typing import Literal

__all__ = [
    "JOB_BANDS",
    "ROW_BANDS",
    "Severity",
    "band_in_words",
    "job_severity_of",
    "severity_by_p",
    "severity_of",
    "severity_score",
]

Severity = Literal["low", "medium", "high", "critical"]

_DECADES: tuple[tuple[float, Severity], ...] = ((6.0, "critical"), (5.0, "high"), (4.0, "medium"))

ROW_BANDS: tuple[tuple[float, Severity], ...] = ((99.75, "critical"), (99.33, "high"), (98.17, "medium"), (0.0, "low"))
"""From which score on, of the rows of a series: 6, 5 and 4 decades of rarity, rounded as scores are shown."""

JOB_BANDS: tuple[tuple[float, Severity], ...] = ((75.0, "critical"), (50.0, "high"), (25.0, "medium"), (0.0, "low"))
"""From which score on, of the records of a job: Elasticsearch's critical, major and minor; below, its warning."""


def severity_score(score: float | None, anomaly_score: float | None = None) -> float | None:
    """Return the number that the severity of an anomaly goes by: the greater of its scores; None for neither.

    >>> severity_score(95.2, 99.96), severity_score(99.4, None), severity_score(None)
    (99.96, 99.4, None)
    """
    return max((one for one in (score, anomaly_score) if one is not None), default=None)


def severity_of(score: float) -> Severity:
    """Return how bad a row of a series is, by its greatest score, 0 to 100.

    >>> severity_of(95.2), severity_of(98.2), severity_of(99.4), severity_of(99.96)
    ('low', 'medium', 'high', 'critical')
    """
    # The score of a p-value of just one in a million must not fall short by its last digit.
    decades = -log1p(-min(score, 100.0 - 1e-12) / 100.0) + 1e-9
    return next((word for least, word in _DECADES if decades >= least), "low")


def job_severity_of(score: float) -> Severity:
    """Return how bad a record of a job is, by its score, 0 to 100.

    >>> job_severity_of(24.9), job_severity_of(25.0), job_severity_of(74.9), job_severity_of(75.0)
    ('low', 'medium', 'high', 'critical')
    """
    return next(word for least, word in JOB_BANDS if score >= least or not least)


def severity_by_p(p_value: float) -> Severity:
    """Return the severity as older rows have it, by the p-value alone: they are replayed with it."""
    # A decade of the p-value was a decade of severity, as a decade of the score is now.
    return next((word for decades, word in _DECADES if p_value <= 10.0**-decades), "low")


def band_in_words(severity: str, score: float, *, job: bool) -> str:
    """Return the scores that have a severity; empty where this score has another, as in rows of older versions.

    Args:
        severity: The word that is stored.
        score: The number that it goes by.
        job: Whether a job found it.

    >>> band_in_words("critical", 99.96, job=False), band_in_words("high", 60.0, job=True)
    ('a score of 99.75 or more', 'a score of 50 to 75')
    >>> band_in_words("low", 99.96, job=False)
    ''
    """
    if severity != (job_severity_of(score) if job else severity_of(score)):
        return ""
    bands = JOB_BANDS if job else ROW_BANDS
    place = [word for _, word in bands].index(severity)
    least = bands[place][0]
    if place == 0:
        return f"a score of {least:g} or more"
    above = bands[place - 1][0]
    return f"a score of {least:g} to {above:g}" if least else f"a score below {above:g}"
