"""CSV to rows: what is a row, what is told about a line that is none, and what is no CSV at all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwatch.errors import SourceError
from gridwatch.sources import Dataset
from gridwatch.sources.csv_rows import TEXT_MAX, parse_csv

HEADER = "timestamp,open,high,low,close,volume"
MakeDataset = Callable[..., Dataset]


def test_newest_first_becomes_oldest_first_in_utc(make_dataset: MakeDataset) -> None:
    text = (
        f"{HEADER}\r\n2013-10-10 18:20:00,184.18,184.2,184.12,184.12,700\r\n2013-10-10 09:30:00,1.5,2,1,1.75,4701.0\r\n"
    )
    frame, rejected = parse_csv(text.encode(), make_dataset(), name="x.csv")
    assert rejected == []
    assert list(frame.columns) == ["ts", "open", "high", "low", "close", "volume"]
    assert str(frame["ts"].dtype) == "datetime64[ms, UTC]"
    assert frame["ts"].astype(str).tolist() == ["2013-10-10 13:30:00+00:00", "2013-10-10 22:20:00+00:00"]
    assert frame["volume"].tolist() == [4701, 700]
    assert frame["volume"].dtype == np.int64
    assert frame["close"].tolist() == [1.75, 184.12]


def test_columns_come_in_any_order_with_others_between(make_dataset: MakeDataset) -> None:
    dataset = make_dataset(
        columns=[{"name": "b", "type": "DOUBLE"}, {"name": "a", "type": "INTEGER"}], value="b", time_column="Time"
    )
    frame, rejected = parse_csv(b'\xef\xbb\xbfx,A,"b", time \n,7,"1.5",2013-10-10\n', dataset, name="x.csv")
    assert (rejected, frame.iloc[0, 1:].tolist()) == ([], [1.5, 7])
    assert frame["ts"].astype(str).tolist() == ["2013-10-10 04:00:00+00:00"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("2013-10-10 09:30:00,1,2,1,1", "5 fields, and the header has 6"),
        ('2013-10-10 09:30:00,1,2,1,"1,5"', "5 fields, and the header has 6"),
        ('2013-10-10 09:30:00,1,2,1,1,"7', None),  # an open quote reaches to the end of its line
        ("yesterday,1,2,1,1,7", "the time is not YYYY-MM-DD HH:MM:SS"),
        ("now,1,2,1,1,7", "the time is not YYYY-MM-DD HH:MM:SS"),
        (",1,2,1,1,7", "the time is not YYYY-MM-DD HH:MM:SS"),
        ("2013-02-30 09:30:00,1,2,1,1,7", "no such date or time"),
        ("2013-02-28 25:30:00,1,2,1,1,7", "no such date or time"),
        ("1969-12-31 09:30:00,1,2,1,1,7", "before 1970 or after 9999"),
        ("9999-12-31 23:30:00,1,2,1,1,7", "before 1970 or after 9999"),
        ("2013-03-10 02:30:00,1,2,1,1,7", "the clock skipped this time in America/New_York"),
        ("2013-11-03 01:30:00,1,2,1,1,7", "the clock showed this time twice"),
        ("2013-10-10 09:30:00,,2,1,1,7", "open: no value"),
        ("2013-10-10 09:30:00,1,2,1,n/a,7", "close: not a number"),
        ("2013-10-10 09:30:00,1,2,1,0x10,7", "close: not a number"),
        ("2013-10-10 09:30:00,1,2,1,nan,7", "close: not a number"),
        ("2013-10-10 09:30:00,1,2,1,-inf,7", "close: not a number"),
        ("2013-10-10 09:30:00,1,2,1,1e999,7", "close: out of range for DOUBLE"),
        ("2013-10-10 09:30:00,1,2,1,1,7.5", "volume: not a whole number"),
        ("2013-10-10 09:30:00,1,2,1,1,1e30", "volume: not a whole number"),
    ],
)
def test_a_line_that_is_no_row_is_told_and_the_others_stay(
    make_dataset: MakeDataset, line: str, reason: str | None
) -> None:
    text = f"{HEADER}\n2013-10-09 09:30:00,1,2,1,1,7\n\n{line}\n"
    frame, rejected = parse_csv(text.encode(), make_dataset(), name="x.csv")
    if reason is None:
        assert (len(frame), rejected) == (2, [])
        return
    assert len(frame) == 1
    assert [(row.line, row.text) for row in rejected] == [(4, line)]
    assert reason in rejected[0].reason


@pytest.mark.parametrize(
    ("kind", "good", "bad", "reason"),
    [
        ("BYTE", "-128", "128", "out of range for 8 bits"),
        ("SHORT", "32767", "32768", "out of range for 16 bits"),
        ("INTEGER", "2147483647", "2147483648", "out of range for 32 bits"),
        ("LONG", "999999999999999999", "1e17", "not a whole number"),
        ("FLOAT", "3e38", "4e38", "out of range for FLOAT"),
        ("BOOL", "TRUE", "yes", "neither true nor false"),
        ("STRING", "running", "", "no value"),
        ("TIMESTAMP", "2013-10-10T09:30:00.125Z", "soon", "the time is not"),
    ],
)
def test_every_type_has_its_bounds(make_dataset: MakeDataset, kind: str, good: str, bad: str, reason: str) -> None:
    dataset = make_dataset(columns=[{"name": "v"}, {"name": "x", "type": kind}], value="v")
    text = f"timestamp,v,x\n2013-10-10,1,{good}\n2013-10-11,1,{bad}\n"
    frame, rejected = parse_csv(text.encode(), dataset, name="x.csv")
    assert len(frame) == 1
    assert [row.reason.startswith(f"x: {reason}") for row in rejected] == [True]


def test_of_two_rows_at_one_time_the_later_line_stays(make_dataset: MakeDataset) -> None:
    text = f"{HEADER}\n2013-10-10 09:30:00,1,2,1,1,7\n2013-10-10 09:30:00,1,2,1,2,8\n"
    frame, rejected = parse_csv(text.encode(), make_dataset(), name="x.csv")
    assert frame["volume"].tolist() == [8]
    assert rejected[0].reason == "line 3 has the same time and comes later"


def test_a_long_line_is_cut_in_its_report(make_dataset: MakeDataset) -> None:
    _, rejected = parse_csv(f"{HEADER}\n{'x' * 300_000}\n".encode(), make_dataset(), name="x.csv")
    assert len(rejected[0].text) == TEXT_MAX


def test_a_header_alone_is_no_error(make_dataset: MakeDataset) -> None:
    frame, rejected = parse_csv(HEADER.encode(), make_dataset(), name="x.csv")
    assert (len(frame), rejected) == (0, [])
    assert str(frame["ts"].dtype) == "datetime64[ms, UTC]"
    assert frame["volume"].dtype == np.int64


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"x\.csv is empty; expected CSV with the header 'timestamp,open,high,low,close,volume'"),
        (b" \r\n\n", r"x\.csv is empty"),
        (b"timestamp,open,high,low,close\n", r"no column 'volume': its header is 'timestamp,open,high,low,close'"),
        (b"2013-10-10,1,2,3,4,5\n", r"no column 'timestamp', 'open', 'high'.*expected 'timestamp,open"),
        (b"timestamp;open;high;low;close;volume\n", r"fields must be separated by commas"),
        (b"timestamp,open,high,low,close,close,volume\n", r"the column 'close' more than once"),
        (b"timestamp,\xff", r"x\.csv is not UTF-8: byte 0xff at offset 10; save it as UTF-8"),
        (b'{"Information": "hello"}', r"x\.csv holds JSON where CSV is expected: '\{\"Information\": \"hello\"\}'"),
        (b"<html>no</html>", r"x\.csv holds HTML or XML where CSV is expected"),
        (b"PK\x03\x04\x00\x00\x00\x08,b\n", r"no column 'timestamp'"),
    ],
)
def test_what_is_no_csv_is_refused_by_name(make_dataset: MakeDataset, data: bytes, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        parse_csv(data, make_dataset(), name="x.csv")


FIELD = st.one_of(
    st.sampled_from(
        [
            "2013-10-10 09:30:00",
            "2013-11-03 01:30:00",
            "2013-03-10 02:30",
            "1",
            "1.5",
            "-7",
            "",
            "nan",
            "1e999",
            '"',
            '"1"',
        ]
    ),
    st.text(max_size=12),
    st.floats().map(repr),
    st.datetimes().map(str),
)


@settings(max_examples=150, deadline=None)
@given(lines=st.lists(st.lists(FIELD, min_size=1, max_size=7).map(",".join), max_size=12))
def test_every_data_line_is_a_row_or_rejected(make_dataset: MakeDataset, lines: list[str]) -> None:
    text = "\n".join([HEADER, *lines])
    try:
        data = text.encode()
    except UnicodeEncodeError:  # lone surrogates have no bytes
        return
    frame, rejected = parse_csv(data, make_dataset(), name="x.csv")
    expected = [line for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")[1:] if line.strip()]
    assert len(frame) + len(rejected) == len(expected)
    assert frame["ts"].is_monotonic_increasing
    assert frame["ts"].is_unique
    assert np.isfinite(frame[["open", "high", "low", "close"]].to_numpy()).all()


@settings(max_examples=150, deadline=None)
@given(data=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode(errors="replace"))))
def test_arbitrary_bytes_raise_nothing_but_a_source_error(make_dataset: MakeDataset, data: bytes) -> None:
    dataset = make_dataset(columns=[{"name": "a"}], value="a", time_column="t")
    for whole in (data, b"t,a\n" + data):
        try:
            parse_csv(whole, dataset, name="x.csv")
        except SourceError as error:
            assert "x.csv" in str(error)  # noqa: PT017 - either outcome is right
