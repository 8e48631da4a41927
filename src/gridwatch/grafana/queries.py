"""What panels ask for, in words that both data sources can put into their own language."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Buckets", "Count", "Field", "Kind", "Newest", "Query", "Rows", "where_of"]


class Kind(StrEnum):
    """How a column's values are to be read."""

    NUMBER = "number"
    TEXT = "text"
    BOOL = "bool"
    TIME = "time"
    """A TIMESTAMP."""
    TIME_MS = "time_ms"
    """A LONG with UTC epoch ms."""


@dataclass(frozen=True, slots=True)
class Field:
    """One column of an answer.

    Args:
        column: Its name in the container.
        kind: How its values are to be read.
        title: What people see; the name when empty.
        unit: Grafana's unit; none when empty.
    """

    column: str
    kind: Kind = Kind.NUMBER
    title: str = ""
    unit: str = ""

    @property
    def shown(self) -> str:
        """What people see."""
        return self.title or self.column


@dataclass(frozen=True, slots=True)
class Buckets:
    """A time series in as many points as the panel is wide, whatever the range: no limit of rows applies.

    Args:
        container: A TIME_SERIES with the key `ts`.
        columns: Aggregate and column of each line, such as `("AVG", "close")`.
        by_row: Whether a point has the time of its first row, and there is none where no row is; else it has the
            time at which its part of the range begins, and no value where no row is.
    """

    container: str
    columns: tuple[tuple[str, str], ...]
    by_row: bool = False


@dataclass(frozen=True, slots=True)
class Rows:
    """The newest rows of a container in the range of the dashboard.

    Args:
        container: Any container.
        fields: What is shown, in order; the times are among them.
        time: The column that says when: `ts` or one of UTC epoch ms.
        where: A condition that SQL and TQL read alike, or nothing.
        rows_max: Most rows, newest first.
        ranged: Whether only rows in the range of the dashboard count.
    """

    container: str
    fields: tuple[Field, ...]
    time: str
    where: str = ""
    rows_max: int = 1000
    ranged: bool = True

    @property
    def time_field(self) -> Field:
        """The column that says when."""
        return next(field for field in self.fields if field.column == self.time)


@dataclass(frozen=True, slots=True)
class Count:
    """How many rows lie in the range of the dashboard; one value, called `count`."""

    container: str
    time: str
    kind: Kind
    where: str = ""


@dataclass(frozen=True, slots=True)
class Newest:
    """Time of the newest row of a TIME_SERIES, whatever the range; one value, called `newest`."""

    container: str


Query = Buckets | Rows | Count | Newest


def where_of(*conditions: str) -> str:
    """Return the WHERE of a statement, for SQL and TQL alike; empty conditions are left out.

    >>> where_of("a > 1", "", "b < 2"), where_of("")
    (' WHERE a > 1 AND b < 2', '')
    """
    given = [condition for condition in conditions if condition]
    return f" WHERE {' AND '.join(given)}" if given else ""
