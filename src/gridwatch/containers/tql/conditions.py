"""WHERE as GridDB works through it: alternatives of terms, each tested in an order that decides which errors show.

GridDB writes a condition as alternatives (OR) of lists of terms (AND). For each alternative it first scans by the
simple terms, a column beside a constant, along an index if there is one, and then tests the others from left to
right. So a term that fails, such as a division by zero, fails the statement only where a row reaches it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from gridwatch.containers.dialect.kinds import INTEGRAL, LIMITS, NUMERIC, T
from gridwatch.containers.tql.expressions import COMPARISONS, NOT_BOOLEAN, Expressions
from gridwatch.containers.tql.lexer import refused
from gridwatch.containers.tql.operators import FLOAT_MAX, TIMES, compare
from gridwatch.containers.tql.tree import Binary, Is, Logic, Name, Node
from gridwatch.containers.tql.values import Value

__all__ = ["Condition", "Term", "compile_condition"]

_ALTERNATIVES_MAX = 1000
_TERMS_MAX = 5000
# SQLite takes no expression that is nested deeper than this many times ten.
_GROUP = 100

_OPPOSITE = {"=": "<>", "<>": "=", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}


@dataclass(frozen=True, slots=True)
class Term:
    """One term of a condition.

    Args:
        sql: A condition that is null or 0 on rows it leaves out.
        fallible: Whether it can fail on a row.
        simple: Whether it is a column beside a constant, which GridDB tests while it scans.
        column: That column's name.
        operator: = <> < <= > >= of a simple comparison, `IS` and `IS NOT` of one with NULL, empty for a BOOL column.
        misfit: Whether the constant is a number that the column's type cannot hold.
        scanned: Columns of another comparison in the order in which GridDB looks for one with an index to scan along.
    """

    sql: str
    fallible: bool = False
    simple: bool = False
    column: str = ""
    operator: str = ""
    misfit: bool = False
    scanned: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition: alternatives, each of terms that all have to hold."""

    alternatives: tuple[tuple[Term, ...], ...]

    @property
    def fallible(self) -> bool:
        """Whether it can fail on a row."""
        return any(term.fallible for terms in self.alternatives for term in terms)

    @property
    def sql(self) -> str:
        """The whole condition."""
        parts = [alternative_sql(terms) for terms in self.alternatives]
        if self.fallible and len(parts) > 1:
            # Every alternative is tested on every row; OR would skip those after the first that holds.
            parts = [f"coalesce({part}, 0)" for part in parts]
        joined = " | " if self.fallible else " OR "
        while len(parts) > 1:
            # In groups, since SQLite counts each OR as one more level.
            groups = [parts[at : at + _GROUP] for at in range(0, len(parts), _GROUP)]
            parts = [f"({joined.join(group)})" for group in groups]
        return parts[0]


def alternative_sql(terms: tuple[Term, ...]) -> str:
    """Return the SQL of one alternative: simple terms first, then one after the other."""
    simple = [term.sql for term in terms if not term.fallible]
    ordered = [term for term in terms if term.simple] + [term for term in terms if not term.simple]
    if len(simple) == len(terms):
        return f"({' AND '.join(term.sql for term in ordered)})"
    # CASE keeps the order, which AND does not promise; the simple terms beside it let SQLite use an index.
    sql = ordered[-1].sql
    for term in reversed(ordered[:-1]):
        sql = f"CASE WHEN {term.sql} THEN {sql} END"
    scanned = [term.sql for term in terms if term.simple]
    return f"({' AND '.join([*scanned, f'({sql})'])})"


def compile_condition(expressions: Expressions, node: Node) -> Condition:
    """Return the compiled condition after WHERE.

    Raises:
        SqlRefusedError: GridDB would refuse it, this store cannot answer alike, or it has too many alternatives.
    """
    # One leaf can stand in many alternatives; it is compiled once.
    terms: dict[tuple[Node, bool], Term] = {}
    found = _alternatives(node, holds=True)
    for leaf in (leaf for each in found for leaf in each):
        if leaf not in terms:
            terms[leaf] = _term(expressions, leaf[0], holds=leaf[1])
    return Condition(tuple(tuple(terms[leaf] for leaf in each) for each in found))


_Leaves = tuple[tuple[Node, bool], ...]


def _alternatives(node: Node, *, holds: bool) -> list[_Leaves]:
    """Return the alternatives of a condition, or of its opposite: lists of leaves and whether each has to hold."""
    if not isinstance(node, Logic):
        return [((node, holds),)]
    if node.operator == "NOT":
        return _alternatives(node.operands[0], holds=not holds)
    parts = [_alternatives(operand, holds=holds) for operand in _chain(node)]
    if (node.operator == "OR") is holds:
        found = [each for part in parts for each in part]
    else:
        found = parts[0]
        for part in parts[1:]:
            if len(found) * len(part) > _ALTERNATIVES_MAX:
                raise refused(f"a condition of more than {_ALTERNATIVES_MAX} alternatives", code=None)
            found = [(*left, *right) for left in found for right in part]
    # Looking for the same twice finds nothing new.
    found = list(dict.fromkeys(found))
    if len(found) > _ALTERNATIVES_MAX or sum(len(each) for each in found) > _TERMS_MAX:
        raise refused(f"a condition of more than {_ALTERNATIVES_MAX} alternatives", code=None)
    return found


def _chain(node: Logic) -> list[Node]:
    """Return the operands of a AND b AND c ..., which is nested to the left, without recursion."""
    operands: list[Node] = []
    left: Node = node
    while isinstance(left, Logic) and left.operator == node.operator:
        left, right = left.operands
        operands.append(right)
    return [left, *reversed(operands)]


def _term(expressions: Expressions, leaf: Node, *, holds: bool) -> Term:
    if isinstance(leaf, Name):
        value = expressions.compile(leaf)
        if value.kind is not T.BOOL:
            raise refused(f"column {leaf.text!r} as a condition, which is not BOOL", code=NOT_BOOLEAN)
        return Term(value.sql if holds else f"(NOT {value.sql})", simple=True, column=str(value.column), operator="")
    if isinstance(leaf, Binary) and leaf.operator in COMPARISONS:
        left, right = expressions.compile(leaf.left), expressions.compile(leaf.right)
        simple = _simple(left, right)
        if simple:
            operator = leaf.operator if holds else _OPPOSITE[leaf.operator]
            value = compare(expressions.context, operator, left, right, simple=True)
            column, other = (left, right) if left.column is not None else (right, left)
            # On which side the column stands does not matter: both ways are ranges.
            return Term(
                value.sql, simple=True, column=str(column.column), operator=operator, misfit=_misfit(column, other)
            )
        general = _general(compare(expressions.context, leaf.operator, left, right), holds=holds)
        return replace(general, scanned=_scanned(expressions, leaf, holds=holds))
    if isinstance(leaf, Is):
        operand = expressions.compile(leaf.operand)
        value = expressions.is_null(operand, expressions.compile(leaf.right), negated=leaf.negated)
        if operand.column is not None:
            negated = leaf.negated is holds
            sql = f"({operand.sql} IS {'NOT ' if negated else ''}NULL)"
            return Term(sql, simple=True, column=operand.column, operator="IS NOT" if negated else "IS")
        return _general(value, holds=holds)
    return _general(expressions.truth(expressions.compile(leaf)), holds=holds)


def _scanned(expressions: Expressions, node: Node, *, holds: bool) -> tuple[str, ...]:
    if not isinstance(node, Binary) or node.operator not in COMPARISONS:
        return ()
    if (node.operator if holds else _OPPOSITE[node.operator]) == "<>":
        return ()
    sides = [expressions.column(side) if isinstance(side, Name) else None for side in (node.left, node.right)]
    if None not in sides:
        return ()
    found: list[str] = []
    for side, column in zip((node.left, node.right), sides, strict=True):
        found += [column.name] if column is not None else _scanned(expressions, side, holds=holds)
    return tuple(found)


def _general(value: Value, *, holds: bool) -> Term:
    return Term(value.sql if holds else f"(NOT {value.sql})", value.fallible)


def _simple(left: Value, right: Value) -> bool:
    if (left.column is None) == (right.column is None):
        return False
    other = right if left.column is not None else left
    column = left if left.column is not None else right
    return other.constant and (column.kind in NUMERIC or column.kind in TIMES or column.kind is other.kind)


def _misfit(column: Value, other: Value) -> bool:
    if column.kind in INTEGRAL:
        low, high = LIMITS[column.kind]
        return other.kind not in INTEGRAL or not low <= other.value <= high
    return column.kind is T.FLOAT and math.isfinite(other.value) and abs(other.value) >= FLOAT_MAX
