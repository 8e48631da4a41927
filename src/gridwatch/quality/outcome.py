"""What came out of a validation: plain values that fit in a row, a report and JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["ROWS_SHOWN", "Check", "Outcome"]

ROWS_SHOWN = 10
"""Most failing rows that are named per expectation; their count is always exact."""


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation and how it went.

    Args:
        expectation: Its type, such as `expect_ohlc_to_be_consistent`.
        column: The column it is about, if one.
        success: Whether the rows meet it.
        reason: Why not, in a sentence; empty on success.
        failing: How many rows (or missing rows) fail.
        rows: The first of them, each a dict of JSON values with `ts` as ISO 8601 text.
        notes: What the suite says about it.
    """

    expectation: str
    column: str | None
    success: bool
    reason: str = ""
    failing: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a frame met its suite; `report` is the path of the Data Docs page, if they were built."""

    suite: str
    success: bool
    rows: int
    checks: list[Check]
    report: str | None = None

    @property
    def failures(self) -> list[Check]:
        """The expectations that were not met."""
        return [check for check in self.checks if not check.success]

    def failures_json(self, *, length_max: int = 30_000) -> str:
        """Return the failures as JSON; rows are left out from the end until it is no longer than `length_max`."""
        failures = [asdict(check) for check in self.failures]
        text = json.dumps(failures)
        while len(text.encode()) > length_max and any(item["rows"] for item in failures):
            longest = max(failures, key=lambda item: len(item["rows"]))
            longest["rows"].pop()
            text = json.dumps(failures)
        return text
