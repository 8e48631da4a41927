"""Which row belongs to which series, and rows whose texts come by code."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from gridwatch.jobs.analysis import series as series_module
from gridwatch.jobs.analysis.rows import Columns, Rows
from gridwatch.jobs.analysis.series import SeriesIndex

_TEXTS = st.sampled_from(["a", "b", "c", "1", "2.5", "", None])
_ROWS = st.lists(st.tuples(_TEXTS, _TEXTS), max_size=30)
COLUMNS = Columns("t", None, ("n",), ("k", "l"))


def rows_of(rows: list[tuple[str | None, str | None]], *, coded: bool) -> Rows:
    frame = pd.DataFrame(rows, columns=["k", "l"], dtype=object).assign(t=np.arange(len(rows)))
    frame["n"] = frame["k"]
    if coded:
        frame = frame.astype(dict.fromkeys("kln", "category"))
    return Rows.of(frame, COLUMNS)


@settings(max_examples=60)
@given(rows=_ROWS, more=_ROWS, coded=st.booleans(), most=st.sampled_from([3, 99]), few=st.booleans())
def test_series_are_numbered_in_the_order_in_which_they_come(
    rows: list[tuple[str | None, str | None]],
    more: list[tuple[str | None, str | None]],
    coded: bool,
    most: int,
    few: bool,
) -> None:
    index = SeriesIndex(["k", "l"], frozenset({"l"}))
    known: dict[tuple[str, str], int] = {}
    with pytest.MonkeyPatch.context() as patch:
        if few:
            patch.setattr(series_module, "_CODES_MAX", 2)
        for part in (rows, more):
            keys = [(first or "", second or "") for first, second in part]
            refused = set()
            for key in keys:
                if key[1] and key not in known:
                    if len(known) < most:
                        known[key] = len(known)
                    else:
                        refused.add(key)
            places, left = index.places(rows_of(part, coded=coded).keywords, len(part), most)
            assert places.tolist() == [known.get(key, -1) for key in keys]
            assert left == len(refused)
    assert index.keys == list(known)


@settings(max_examples=60)
@given(rows=_ROWS)
def test_texts_by_code_are_the_same_rows(rows: list[tuple[str | None, str | None]]) -> None:
    plain, coded = rows_of(rows, coded=False), rows_of(rows, coded=True)
    np.testing.assert_array_equal(plain.numbers["n"], coded.numbers["n"])
    for name in ("k", "l"):
        assert (
            list(plain.keywords[name])
            == list(coded.keywords[name])
            == [dict(zip("kl", row, strict=True))[name] or "" for row in rows]
        )
    numbers = {"1": 1.0, "2.5": 2.5}
    assert [None if np.isnan(one) else one for one in coded.numbers["n"]] == [numbers.get(k or "") for k, _ in rows]
