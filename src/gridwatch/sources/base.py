"""What every source gives: batches of rows, and the lines that are no rows, each with a reason."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import pandas as pd

__all__ = ["RejectedRow", "Source", "SourceBatch"]


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A line of a source that is no row: its number (the header is line 1), its text cut to 1,000, and why."""

    line: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class SourceBatch:
    """Rows that come together, such as a month or a file.

    Args:
        key: Names the batch within its dataset; the same rows have the same key.
        frame: `ts` (datetime64[ms, UTC], strictly increasing) and the dataset's value columns; may be empty.
        rejected: Lines that are not in `frame`.
        complete: Nothing can be added to this batch any more. A load never records one that is not, such as the
            current month, and so reads it again next time.
    """

    key: str
    frame: pd.DataFrame
    rejected: list[RejectedRow] = field(default_factory=list)
    complete: bool = True


class Source(Protocol):
    """Where the rows of one dataset come from."""

    def history(self, *, now_ms: int, months: int, done: Collection[str] = ()) -> Iterator[SourceBatch]:
        """Yield the history, oldest batch first, without those whose keys are in `done`.

        Args:
            now_ms: The present, UTC epoch ms.
            months: How far back to go, where the source can be asked for a range.
            done: Keys of batches that are there already.

        Raises:
            SourceError: The source answered an error or something that is no data.
        """

    def daily(self, *, now_ms: int) -> Iterator[SourceBatch]:
        """Yield the newest rows.

        Raises:
            SourceError: The source answered an error or something that is no data.
        """
