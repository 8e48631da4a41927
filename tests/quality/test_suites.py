"""Suite files: what ships, and what is told about one that is missing or wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gridwatch.errors import QualityError
from gridwatch.quality.suites import load_suite, read_suite

ROOT = Path(__file__).parents[2]
PARAMETERS = {
    "interval_ms": 60_000,
    "calendar": "XNYS",
    "timezone": "America/New_York",
    "value": "close",
    "rows_min": 60,
}


@pytest.mark.parametrize("path", sorted((ROOT / "expectations").glob("*.json")), ids=lambda path: path.stem)
def test_every_suite_that_ships_can_be_loaded(path: Path) -> None:
    suite = load_suite(path.parent, path.stem, PARAMETERS)
    assert suite.name == path.stem
    assert len(suite.expectations) == len(json.loads(path.read_text())["expectations"])


def _write(folder: Path, *expectations: Any, name: str = "mine") -> None:
    (folder / "mine.json").write_text(json.dumps({"name": name, "expectations": list(expectations)}))


def test_a_missing_suite_is_told_with_the_nearest(tmp_path: Path) -> None:
    _write(tmp_path)
    with pytest.raises(QualityError, match=r"No suite 'mini' in .*; did you mean 'mine'\?"):
        read_suite(tmp_path, "mini")
    with pytest.raises(QualityError, match=r"No suite 'zzz' in .*; there are \['mine'\]"):
        read_suite(tmp_path, "zzz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"Cannot read suite .*mine\.json': Expecting"),
        ("[]", r"mine\.json' has no list 'expectations'"),
        ('{"name": "mine", "expectations": {}}', r"has no list 'expectations'"),
        ('{"name": "mine", "expectations": [{"kwargs": {}}]}', r"expectation 1 has no 'type'"),
        ('{"name": "yours", "expectations": []}', r"has the name 'yours'; it must be 'mine'"),
    ],
)
def test_a_broken_suite_is_told(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.json").write_text(text)
    with pytest.raises(QualityError, match=message):
        read_suite(tmp_path, "mine")


@pytest.mark.parametrize(
    ("expectation", "message"),
    [
        ({"type": "expect_ohlc_to_be_consistant"}, r"unknown type .*did you mean 'expect_ohlc_to_be_consistent'\?"),
        ({"type": "zzz"}, r"expectation 1 is of the unknown type 'zzz'\."),
        (
            {"type": "expect_column_values_to_not_be_null", "kwargs": {"colum": "x"}},
            r"expectation 1, expect_column_values_to_not_be_null, has wrong arguments: .*column field required",
        ),
        ({"type": "expect_rows_without_gaps"}, r"wrong arguments: .*interval_ms field required"),
        (
            {"type": "expect_rows_without_gaps", "kwargs": {"interval_ms": {"$PARAMETER": "intervall_ms"}}},
            r"expectation 1 asks for the unknown parameter 'intervall_ms'; did you mean 'interval_ms'\?",
        ),
        (
            {"type": "expect_rows_without_gaps", "kwargs": {"interval_ms": {"$PARAMETER": "zzz"}}},
            r"the unknown parameter 'zzz'; there are \['calendar', 'interval_ms'",
        ),
        ({"type": "expect_ohlc_to_be_consistent", "kwargs": []}, r"'kwargs' must be an object, got \[\]"),
    ],
)
def test_a_wrong_expectation_is_named_with_a_hint(tmp_path: Path, expectation: dict[str, Any], message: str) -> None:
    _write(tmp_path, expectation)
    with pytest.raises(QualityError, match=message):
        load_suite(tmp_path, "mine", PARAMETERS)
