"""Validation: `validate_frame` holds a frame to its suite; `markdown` tells the outcome. Great Expectations inside."""

from __future__ import annotations

from gridwatch.quality.outcome import Check, Outcome
from gridwatch.quality.report import markdown
from gridwatch.quality.validation import validate_frame

__all__ = ["Check", "Outcome", "markdown", "validate_frame"]
