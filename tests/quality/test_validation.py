"""Frames against the suites that ship: what passes, what fails, and which rows are named."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gridwatch.errors import QualityError
from gridwatch.quality import Check, Outcome, markdown
from gridwatch.settings import Settings
from gridwatch.sources import load_datasets, open_source

ROOT = Path(__file__).parents[2]
CheckFrame = Callable[..., Outcome]


def _failed(outcome: Outcome) -> dict[tuple[str, str | None], Check]:
    return {(check.expectation, check.column): check for check in outcome.failures}


def test_good_bars_pass_and_have_a_page(bars: pd.DataFrame, check: CheckFrame, tmp_path: Path) -> None:
    outcome = check(bars, docs_dir=tmp_path / "docs of a run")
    assert (outcome.success, outcome.failures, outcome.rows) == (True, [], 780)
    assert outcome.report is not None
    page = Path(outcome.report).read_text()
    assert "100.00% of 780 expected rows, longest gap 0" in page


def test_the_page_of_a_failure_names_it_in_words(
    bars: pd.DataFrame, check: CheckFrame, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outcome = check(_set(bars.drop(bars.index[50:100]), 3, "close", 999.0), docs_dir=tmp_path)
    assert outcome.report is not None
    page = " ".join(re.sub(r"<[^>]+>", " ", Path(outcome.report).read_text()).split())
    assert "1 of 730 rows fail, first 2013-10-09 13:33:00" in page
    assert "In every bar low must be the lowest of open, high, low, close, and high the highest." in page
    assert "50 of 780 rows are missing, and only 5.00% may be; 50 rows are missing in a row" in page
    assert "at least the share 0.95 of them" in page
    # Great Expectations logs what it cannot render, and goes on.
    assert "Exception" not in caplog.text


@pytest.mark.parametrize("name", ["aapl_daily", "buoy_temperature"])
def test_the_packaged_series_pass(check: CheckFrame, name: str) -> None:
    (dataset,) = load_datasets(ROOT / "flows" / "datasets", [name])
    (batch,) = open_source(dataset, Settings()).history(now_ms=1_800_000_000_000, months=1)
    assert check(batch.frame, of=dataset).failures == []


def _set(frame: pd.DataFrame, row: int, column: str, value: Any) -> pd.DataFrame:
    frame = frame.astype({column: "float64"})
    frame.loc[row, column] = value
    return frame


@pytest.mark.parametrize(
    ("spoil", "expectation", "column", "rows", "reason"),
    [
        (lambda f: _set(f, 3, "close", 999.0), "expect_ohlc_to_be_consistent", None, [3], "1 of 780 rows"),
        (lambda f: _set(f, 3, "low", 200.0), "expect_ohlc_to_be_consistent", None, [3], "1 of 780 rows"),
        (lambda f: _set(f, 3, "close", np.nan), "expect_ohlc_to_be_consistent", None, [3], "1 of 780 rows"),
        (lambda f: _set(f, 3, "close", np.nan), "expect_column_values_to_not_be_null", "close", [3], "1 of 780"),
        (lambda f: _set(f, 3, "close", np.nan), "expect_column_values_to_be_finite", "close", [3], "1 of 780 rows"),
        (lambda f: _set(f, 3, "high", np.inf), "expect_column_values_to_be_finite", "high", [3], "1 of 780 rows"),
        (lambda f: _set(f, 3, "low", 0.0), "expect_column_values_to_be_between", "low", [3], "strict_min True"),
        (lambda f: _set(f, 3, "high", 2e7), "expect_column_values_to_be_between", "high", [3], "max_value 10000000"),
        (lambda f: _set(f, 3, "volume", -1), "expect_column_values_to_be_between", "volume", [3], "min_value 0"),
        (
            lambda f: f.iloc[[0, 2, 1, *range(3, 780)]].reset_index(drop=True),
            "expect_column_values_to_be_increasing",
            "ts",
            [2],
            "1 of 780 rows",
        ),
        (
            lambda f: pd.concat([f.iloc[:5], f.iloc[4:]], ignore_index=True),
            "expect_column_values_to_be_increasing",
            "ts",
            [5],
            "1 of 781 rows",
        ),
    ],
)
def test_a_bad_row_is_named(
    bars: pd.DataFrame,
    check: CheckFrame,
    spoil: Callable[[pd.DataFrame], pd.DataFrame],
    expectation: str,
    column: str | None,
    rows: list[int],
    reason: str,
) -> None:
    frame = spoil(bars)
    outcome = check(frame)
    assert not outcome.success
    failed = _failed(outcome)[expectation, column]
    assert failed.failing == len(rows)
    assert [row["ts"] for row in failed.rows] == [frame["ts"][row].isoformat() for row in rows]
    assert reason in failed.reason


def test_many_bad_rows_are_counted_and_the_first_ten_named(bars: pd.DataFrame, check: CheckFrame) -> None:
    failed = _failed(check(bars.assign(close=0.0)))["expect_ohlc_to_be_consistent", None]
    assert (failed.failing, len(failed.rows)) == (780, 10)
    assert failed.rows[0] == {
        "ts": "2013-10-09T13:30:00+00:00",
        "open": 184.0,
        "high": 184.1,
        "low": 183.9,
        "close": 0.0,
    }


@pytest.mark.parametrize(
    ("gap", "success", "reason"),
    [
        (slice(10, 38), True, ""),  # a halt
        (slice(10, 42), False, "32 rows are missing in a row, and at most 30 may be"),
        (slice(0, 0), True, ""),
    ],
)
def test_gaps_have_a_tolerance(bars: pd.DataFrame, check: CheckFrame, gap: slice, success: bool, reason: str) -> None:
    outcome = check(bars.drop(bars.index[gap]).reset_index(drop=True))
    assert outcome.success is success
    assert [item.reason for item in outcome.failures] == ([reason] if reason else [])


def test_many_missing_minutes_and_missing_days_are_told(bars: pd.DataFrame, check: CheckFrame) -> None:
    thin = _failed(check(bars.iloc[::2].reset_index(drop=True)))["expect_rows_without_gaps", None]
    assert thin.reason == "389 of 779 rows are missing, and only 5.00% may be"
    later = bars.assign(ts=bars["ts"] + pd.to_timedelta((bars.index >= 390).astype(int), unit="D"))
    lost = _failed(check(later))["expect_rows_without_gaps", None]
    assert lost.reason.endswith("1 trading sessions have no row at all: 2013-10-10")
    assert lost.rows == [{"ts": "2013-10-10T13:30:00+00:00", "missing_rows": 390}]


def test_no_rows_fail_with_that_reason(bars: pd.DataFrame, check: CheckFrame) -> None:
    outcome = check(bars.head(0))
    assert not outcome.success
    assert outcome.failures[0].reason == "there are no rows to validate"


def test_too_few_rows_fail(bars: pd.DataFrame, check: CheckFrame) -> None:
    failed = _failed(check(bars.head(59)))
    assert list(failed) == [("expect_table_row_count_to_be_between", None)]
    assert failed["expect_table_row_count_to_be_between", None].reason == "observed 59 (min_value 60)"


def test_a_missing_column_fails_and_is_named(bars: pd.DataFrame, check: CheckFrame) -> None:
    failed = _failed(check(bars.drop(columns="close")))
    assert failed["expect_column_values_to_not_be_null", "close"].reason == "there is no column 'close'"
    assert failed["expect_column_values_to_be_finite", "close"].reason == "there is no column 'close'"
    assert failed["expect_ohlc_to_be_consistent", None].reason == "there is no column 'close'"
    assert "observed ['high', 'low', 'open', 'ts', 'volume']" in (
        failed["expect_table_columns_to_match_set", None].reason
    )


def test_a_frame_without_time_fails_and_does_not_raise(bars: pd.DataFrame, check: CheckFrame) -> None:
    failed = _failed(check(bars.drop(columns="ts")))
    assert failed["expect_rows_without_gaps", None].reason == "there is no column 'ts'"


def test_text_where_numbers_should_be_fails(bars: pd.DataFrame, check: CheckFrame) -> None:
    failed = _failed(check(bars.assign(close="high")))
    assert failed["expect_column_values_to_be_finite", "close"].reason.startswith("column 'close' is no number but str")
    assert failed["expect_ohlc_to_be_consistent", None].reason.startswith("column 'close' is no number but str")


def test_failures_as_json_stay_within_a_string_of_the_store(bars: pd.DataFrame, check: CheckFrame) -> None:
    outcome = check(bars.assign(low=np.nan, high=np.inf, close=-1.0))
    everything = json.loads(outcome.failures_json())
    assert {item["expectation"] for item in everything} >= {"expect_ohlc_to_be_consistent"}
    short = outcome.failures_json(length_max=3000)
    assert len(short) <= 3000
    assert [item["failing"] for item in json.loads(short)] == [item["failing"] for item in everything]


def test_the_outcome_reads_well(bars: pd.DataFrame, check: CheckFrame) -> None:
    text = markdown(check(_set(bars, 3, "close", 999.0)), title="ibm")
    assert text.startswith("## ibm: FAILED\n\n780 rows against suite `ohlcv`: 17 of 18 expectations met.\n")
    assert "| ✗ | `expect_ohlc_to_be_consistent` |  | 1 | 1 of 780 rows |" in text
    assert "| 2013-10-09T13:33:00+00:00 |" in text
    assert markdown(check(bars)).count("✓") == 18


def test_a_table_cell_cannot_break_the_table() -> None:
    outcome = Outcome("s", False, 1, [Check("e", "a|b\nc", False, "<b>", 20, [{"ts": "t", "x": "|"}])])
    text = markdown(outcome)
    assert "| ✗ | `e` | a\\|b c | 20 | &lt;b> |" in text
    assert "the first 1 of 20" in text


def test_validations_at_once_do_not_disturb_each_other(bars: pd.DataFrame, check: CheckFrame, tmp_path: Path) -> None:
    outcomes: dict[int, Outcome] = {}

    def work(number: int) -> None:
        frame = bars if number % 2 else _set(bars, 3, "close", 999.0)
        outcomes[number] = check(frame, docs_dir=tmp_path, run_name=f"run-{number}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {number: outcome.success for number, outcome in outcomes.items()} == {0: False, 1: True, 2: False, 3: True}
    assert len({outcome.report for outcome in outcomes.values()}) == 4


def test_a_folder_that_cannot_be_written_is_told(bars: pd.DataFrame, check: CheckFrame, tmp_path: Path) -> None:
    (tmp_path / "docs").write_text("a file")
    with pytest.raises(QualityError, match=r"Cannot write Data Docs to '.*docs': File exists"):
        check(bars, docs_dir=tmp_path / "docs")
