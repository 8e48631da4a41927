"""Versions of a model on the same new rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gridwatch.containers import Store
from gridwatch.detectors.testing import random_walk
from gridwatch.pipeline.lesson import learn
from gridwatch.pipeline.series import Series
from gridwatch.pipeline.versions import same_rows
from tests.pipeline.conftest import MakeDataset

NEVER_MS = 2**42


def parts_of(dataset: Any, rows: int) -> Any:
    """The files of a detector that has learnt so many rows."""
    times, values = random_walk(rows, 1)
    return learn(dataset, Series(times, values)).parts


def test_versions_score_the_rows_that_neither_has_learnt(store: Store, make_dataset: MakeDataset) -> None:
    dataset = make_dataset("same-rows", 400, detector={"type": "auto"})
    times, values = random_walk(400, 1)
    old, new = parts_of(dataset, 300), parts_of(dataset, 360)
    found = same_rows(dataset, store, {"1": old, "2": new}, now_ms=NEVER_MS, rows_max=30)
    # The newest 18 of 360 rows were kept from the newer one.
    assert found.from_ms == times[341] + 1
    assert found.unseen == 58
    assert found.times_ms.tolist() == times[-30:].tolist()
    assert found.actual.tolist() == values[-30:].tolist()
    assert found.naive_mae == pytest.approx(np.abs(np.diff(values[-31:])).mean())
    assert [(one.version, one.kind) for one in found.said] == [("1", "auto"), ("2", "auto")]
    for one in found.said:
        assert one.mae == pytest.approx(np.abs(one.expected - values[-30:]).mean())
    alone = same_rows(dataset, store, {"2": new}, now_ms=NEVER_MS, rows_max=30)
    assert alone.said[0].expected.tolist() == found.said[1].expected.tolist()
    assert alone.said[0].mae == found.said[1].mae


def test_without_new_rows_there_is_nothing_to_say(store: Store, make_dataset: MakeDataset) -> None:
    dataset = make_dataset("no-new-rows", 400, detector={"type": "auto"})
    times, _ = random_walk(400, 1)
    found = same_rows(dataset, store, {"1": parts_of(dataset, 400)}, now_ms=int(times[200]))
    assert (len(found.times_ms), found.unseen, found.naive_mae, found.said[0].mae) == (0, 0, None, None)
