"""A chain of links: each names one thing that led to an anomaly, and says whether it is still what it was."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["Chain", "Link", "Status"]


class Status(StrEnum):
    """What the check of a link found."""

    OK = "ok"
    CHANGED = "changed"
    MISSING = "missing"
    UNREACHABLE = "unreachable"
    NOT_CONFIGURED = "not configured"
    NOT_RECORDED = "not recorded"


@dataclass(frozen=True, slots=True)
class Link:
    """One thing that led to an anomaly.

    Attributes:
        name: What it is, such as `input rows`.
        status: What its check found.
        text: What it is and what was found, in a sentence.
        facts: Names, digests, ranges: plain values.
        url: Where to look at it in another program, where one is configured.
    """

    name: str
    status: Status
    text: str
    facts: dict[str, Any] = field(default_factory=dict)
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Chain:
    """All that led to an anomaly, and what came of it.

    Attributes:
        id: Of the anomaly.
        container: Where it is.
        series: The `<S>` of container names.
        ts_ms: Time of the row, UTC epoch ms.
        detector: What found it.
        severity: How bad it is.
        explanation: Why it was found, in a sentence.
        links: In the order of the way of the data.
    """

    id: str
    container: str
    series: str
    ts_ms: int
    detector: str
    severity: str | None
    explanation: str | None
    links: list[Link]

    @property
    def sound(self) -> bool:
        """Whether nothing has changed or is missing.

        What cannot be asked at the moment is no fault, nor are libraries that are newer now.
        """
        return not any(
            link.status in {Status.CHANGED, Status.MISSING} and link.name != "libraries" for link in self.links
        )
