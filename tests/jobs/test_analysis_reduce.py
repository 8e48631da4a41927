"""Rows to one number a series and bucket."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwatch.jobs.analysis.reduce import reduce
from gridwatch.jobs.functions import Metric

_PLAIN: dict[Metric, Any] = {
    "sum": np.sum,
    "mean": np.mean,
    "median": np.median,
    "min": np.min,
    "max": np.max,
    "varp": np.var,
}
_ROWS = st.lists(st.tuples(st.integers(0, 4), st.none() | st.floats(-1e6, 1e6)), max_size=40)


@settings(max_examples=60, deadline=None)
@given(rows=_ROWS)
def test_metrics_are_those_of_each_series_by_itself(rows: list[tuple[int, float | None]]) -> None:
    groups = np.array([row[0] for row in rows], np.int64)
    values = np.array([np.nan if row[1] is None else row[1] for row in rows], np.float64)
    of_group = [values[(groups == group) & ~np.isnan(values)] for group in range(5)]
    for metric, plain in _PLAIN.items():
        expected = [plain(one) if len(one) else np.nan for one in of_group]
        np.testing.assert_allclose(
            reduce(metric, groups, 5, values, None), expected, rtol=1e-9, atol=1e-6, err_msg=metric
        )


@settings(max_examples=60, deadline=None)
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
