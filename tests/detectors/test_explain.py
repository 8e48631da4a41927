"""Why a row is an anomaly, in words."""

from __future__ import annotations

import re

import numpy as np
import pytest

from gridwatch.detectors import Scores, explain, explain_row
from gridwatch.detectors.explain import DRIVERS
from gridwatch.detectors.online import AutoConfig, AutoDetector
from gridwatch.detectors.online.members import members_of
from gridwatch.detectors.testing import random_walk

BAND = {"expected": 5.0, "lower": 4.0, "upper": 6.0}


def test_every_member_has_words() -> None:
    members = {name.partition("-")[0] for name in members_of(AutoConfig())} - {"recent", "combined"}
    assert members <= set(DRIVERS)
    assert "{" not in "".join(explain(f"{name}-24", actual=1.0, p_value=0.1, **BAND).sentence() for name in DRIVERS)


def test_the_width_and_the_unit_are_told() -> None:
    told = explain("deviation-24", actual=5.5, p_value=3.3e-6, **BAND).sentence("m/s")
    assert told.startswith("5.5 m/s is itself within the ordinary 4 to 6 m/s; 5 m/s was expected.")
    assert "how much the last 24 rows vary; normal would have been as much noise as before" in told
    assert told.endswith("One ordinary row in 300,000 is as odd.")


@pytest.mark.parametrize(
    ("actual", "p_value", "told"),
    [(7.0, 1e-12, "above the ordinary"), (3.0, 0.9, "below .*Most rows are as odd"), (5.0, np.nan, "is not known")],
)
def test_an_unknown_driver_is_told_by_its_band(actual: float, p_value: float, told: str) -> None:
    assert re.search(told, explain("", actual=actual, p_value=p_value, **BAND).sentence())


def test_a_row_of_any_scores_is_explained() -> None:
    times, values = random_walk(300, seed=2)
    values[250] *= 1.3
    # As an LSTM's: nothing is known of the first window. What a trained one says is explained in the detectors' checks.
    known = np.where(np.arange(300) < 8, np.nan, 100.0)
    scores = Scores(values, known, known - 1.0, known + 1.0, known, known / 1e6, known, method="lstm")
    assert scores.driver_names()[0] == ""
    explained = explain_row(scores, 250)
    assert (explained.driver, explained.actual) == ("lstm", values[250])
    assert "the miss of the LSTM's forecast" in explained.sentence()
    assert explained.upper == scores.upper[250]
    online = AutoDetector().update(times, values)
    assert explain_row(online, 250).driver == online.driver_names()[250] in online.members
    assert explain_row(online, -50) == explain_row(online, 250)
