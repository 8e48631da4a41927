"""An anomaly's columns, computed again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["NUMBERS", "WORDS", "Again"]

NUMBERS = (
    *("actual", "expected", "lower", "upper", "loss", "score", "p_value"),
    *("anomaly_score", "segment_score", "surprise"),
)
"""Columns that are compared bit by bit."""

WORDS = ("driver", "severity", "explanation")
"""Columns of text that are compared."""


@dataclass(frozen=True, slots=True)
class Again:
    """What came of computing an anomaly again.

    Attributes:
        columns: By name.
        compared: Those that the row is held to.
        text: What they were computed from, a sentence.
        rows: How many rows were gone through.
        flagged: Whether it is an anomaly again.
        hints: What has changed since and may be the cause of a difference.
    """

    columns: dict[str, Any]
    compared: tuple[str, ...]
    text: str
    rows: int
    flagged: bool
    hints: tuple[str, ...] = field(default=())
