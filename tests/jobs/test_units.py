"""Elasticsearch's units of time and size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridwatch.errors import JobsValueError
from gridwatch.jobs import units


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("15m", 900_000),
        ("900000ms", 900_000),
        ("1h", 3_600_000),
        ("30s", 30_000),
        ("1d", 86_400_000),
        ("1500micros", 1),
    ],
)
def test_a_time_value_is_read_in_milliseconds(text: str, ms: int) -> None:
    assert units.ms_of(text, "frequency") == ms


@pytest.mark.parametrize("text", ["", "15", "m", "1.5h", "15 minutes", "1M", "1h30m"])
def test_what_is_no_time_value_is_refused_with_its_path(text: str) -> None:
    with pytest.raises(
        JobsValueError, match=r"\[frequency\] failed to parse .* allowed: nanos, micros, ms, s, m, h, d"
    ):
        units.ms_of(text, "frequency")


@given(st.integers(0, 10**12))
def test_what_is_written_is_read_again(ms: int) -> None:
    assert units.ms_of(units.duration_of(ms), "x") == ms


@pytest.mark.parametrize(
    ("value", "size"), [("11MB", 11 << 20), ("11mb", 11 << 20), (11, 11 << 20), ("12", 12 << 20), ("1gb", 1 << 30)]
)
def test_a_size_is_read_in_bytes_and_a_bare_number_is_mebibytes(value: str | int, size: int) -> None:
    assert units.bytes_of(value, "limit") == size


@pytest.mark.parametrize("value", ["", "mb", "1.5gb", "11 mega", "-1mb"])
def test_what_is_no_size_is_refused_with_its_path(value: str) -> None:
    with pytest.raises(JobsValueError, match=r"\[limit\] failed to parse"):
        units.bytes_of(value, "limit")
