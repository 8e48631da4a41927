"""docs/sql.md names every function that the embedded store takes."""

from __future__ import annotations

import re
from pathlib import Path

from gridwatch.containers.dialect import functions, times
from gridwatch.containers.dialect.aggregates import AGGREGATES

DOCS = Path(__file__).parents[2] / "docs" / "sql.md"


def test_every_function_is_documented() -> None:
    answered = DOCS.read_text(encoding="utf-8").split("## Where GridDB differs")[0]
    known = {*AGGREGATES, *functions.SCALARS, *times.UNIT_FUNCTIONS, "PERCENTILE_CONT", "ROW_NUMBER", "LAG", "LEAD"}
    assert known - set(re.findall(r"\b[A-Z][A-Z0-9_]+\b", answered)) == set()
