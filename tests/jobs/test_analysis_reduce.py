"""Rows to one number a series and bucket."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridwatch.jobs.analysis.reduce import reduce
from gridwatch.jobs.functions import Metric

_PLAIN: dict[Metric, Any] = {
    "sum": lambda column: column.sum(min_count=1),
    "mean": lambda column: column.mean(),
    "median": lambda column: column.median(),
    "min": lambda column: column.min(),
    "max": lambda column: column.max(),
    "varp": lambda column: column.var(ddof=0),
}
_ROWS = st.lists(st.tuples(st.integers(0, 4), st.none() | st.floats(-1e6, 1e6)), max_size=40)


@pytest.mark.parametrize("metric", list(_PLAIN))
@given(rows=_ROWS)
def test_metrics_are_those_of_pandas(metric: Metric, rows: list[tuple[int, float | None]]) -> None:
    frame = pd.DataFrame({"g": [row[0] for row in rows], "v": [row[1] for row in rows]}).astype({"v": float, "g": int})
    plain = frame.groupby("g")["v"].apply(_PLAIN[metric]).reindex(range(5)).to_numpy(float) if rows else [np.nan] * 5
    ours = reduce(metric, frame["g"].to_numpy(np.int64), 5, frame["v"].to_numpy(), None)
    np.testing.assert_allclose(ours, plain, rtol=1e-9, atol=1e-6)


@given(_ROWS)
def test_counts_are_zero_where_nothing_is(rows: list[tuple[int, float | None]]) -> None:
    groups = np.array([row[0] for row in rows], np.int64)
    values: Any = pd.Categorical(["" if row[1] is None else str(row[1]) for row in rows])
    expected = [sum(group == place for group in groups) for place in range(5)]
    assert reduce("count", groups, 5, None, None).tolist() == expected
    assert reduce("count", groups, 5, None, np.full(len(groups), 3.0)).tolist() == [3 * count for count in expected]
    distinct = [len({row[1] for row in rows if row[0] == place and row[1] is not None}) for place in range(5)]
    assert reduce("distinct_count", groups, 5, values, None).tolist() == distinct


def test_summaries_weigh_in_a_mean_and_add_in_a_sum() -> None:
    groups, values, weights = np.zeros(2, np.int64), np.array([10.0, 40.0]), np.array([2.0, 1.0])
    assert reduce("mean", groups, 1, values, weights).tolist() == [20.0]
    assert reduce("sum", groups, 1, values, weights).tolist() == [50.0]
    assert reduce("max", groups, 1, values, weights).tolist() == [40.0]


def test_a_variance_beside_a_large_mean_does_not_cancel() -> None:
    values = 1e9 + np.array([-1.0, 0.0, 1.0])
    assert reduce("varp", np.zeros(3, np.int64), 1, values, None)[0] == pytest.approx(2 / 3)
