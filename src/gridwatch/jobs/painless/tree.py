"""The syntax tree of a script; every node has its line and column, from 1."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "Assign",
    "Binary",
    "Block",
    "Call",
    "Cast",
    "Constant",
    "Declare",
    "Evaluate",
    "Expression",
    "If",
    "Index",
    "Member",
    "Name",
    "Node",
    "Return",
    "Statement",
    "Ternary",
    "Unary",
]


@dataclass(frozen=True, slots=True)
class Node:
    """Where a node begins in the script."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Expression(Node):
    """What has a value."""


@dataclass(frozen=True, slots=True)
class Statement(Node):
    """What is done."""


@dataclass(frozen=True, slots=True)
class Constant(Expression):
    """A number, text, truth or null; `kind` is int, long, double, String, boolean or null."""

    kind: str
    value: bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Name(Expression):
    """A variable, or `doc`, `params`, `Math` and their like."""

    name: str


@dataclass(frozen=True, slots=True)
class Unary(Expression):
    """`!x`, `-x`, `+x`, `~x`."""

    sign: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary(Expression):
    """Two operands and the sign between them."""

    sign: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Ternary(Expression):
    """`condition ? then : otherwise`."""

    condition: Expression
    then: Expression
    otherwise: Expression


@dataclass(frozen=True, slots=True)
class Cast(Expression):
    """`(type) operand`."""

    type: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Member(Expression):
    """`target.name`."""

    target: Expression
    name: str


@dataclass(frozen=True, slots=True)
class Index(Expression):
    """`target[key]`."""

    target: Expression
    key: Expression


@dataclass(frozen=True, slots=True)
class Call(Expression):
    """`target.name(arguments)`, or `name(arguments)` without a target."""

    target: Expression | None
    name: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Declare(Statement):
    """`type name = value, name, ...`; a value of None is none."""

    type: str
    variables: tuple[tuple[str, Expression | None], ...]


@dataclass(frozen=True, slots=True)
class Assign(Statement):
    """`name = value`; `sign` is what stands before the `=`, or empty."""

    name: str
    sign: str
    value: Expression


@dataclass(frozen=True, slots=True)
class Evaluate(Statement):
    """An expression alone."""

    value: Expression


@dataclass(frozen=True, slots=True)
class Return(Statement):
    """`return` or `return value`."""

    value: Expression | None


@dataclass(frozen=True, slots=True)
class Block(Statement):
    """Statements in braces."""

    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class If(Statement):
    """`if (condition) then else otherwise`."""

    condition: Expression
    then: Statement
    otherwise: Statement | None
