"""The syntax tree of a TQL statement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from gridwatch.containers.schema import ColumnType

__all__ = ["Binary", "Call", "Is", "Like", "Literal", "Logic", "Name", "Node", "Order", "Star", "TqlQuery", "Unary"]


@dataclass(frozen=True, slots=True)
class Literal:
    """A number or text; `kind` None is NULL."""

    value: int | float | str | None
    kind: ColumnType | None


@dataclass(frozen=True, slots=True)
class Name:
    """A column, or a word such as HOUR where a function takes one."""

    text: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Star:
    """`*`."""


@dataclass(frozen=True, slots=True)
class Call:
    """A function of this name, in capitals, with its arguments."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Unary:
    """`-x`; a plus sign changes nothing and leaves no trace."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Binary:
    """Arithmetic or a comparison."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Logic:
    """AND, OR (two operands) or NOT (one); XOR is written with them."""

    operator: str
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Is:
    """`x IS y` or `x IS NOT y`; y has to be NULL."""

    operand: Node
    right: Node
    negated: bool


@dataclass(frozen=True, slots=True)
class Like:
    """`x [NOT] LIKE pattern [ESCAPE escape]`."""

    operand: Node
    pattern: Node
    escape: Node | None
    negated: bool


Node: TypeAlias = Literal | Name | Star | Call | Unary | Binary | Logic | Is | Like


@dataclass(frozen=True, slots=True)
class Order:
    """One key of ORDER BY."""

    key: Node
    descending: bool


@dataclass(frozen=True, slots=True)
class TqlQuery:
    """One parsed SELECT.

    Args:
        selection: `*`, or the call of an aggregation or selection function.
        container: The name after FROM, if there is one, `quoted` or not.
        database: The name before it, `database.container`.
        where: The condition.
        order: Keys of ORDER BY.
        limit: Most rows, or None.
        offset: Rows to leave out at the beginning.
    """

    selection: Star | Call
    container: Name | None = None
    database: Name | None = None
    where: Node | None = None
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0
