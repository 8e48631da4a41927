"""Syntax tree to typed values: names to columns, operators and functions to what they compute."""

from __future__ import annotations

from gridwatch.containers import _sqlite_format as layout
from gridwatch.containers.dialect.kinds import INTEGRAL, LIMITS, T
from gridwatch.containers.schema import Column, ContainerInfo
from gridwatch.containers.tql import functions, times
from gridwatch.containers.tql.lexer import refused
from gridwatch.containers.tql.operators import LOGIC, UNDEFINED, arithmetic, compare, negated
from gridwatch.containers.tql.tree import Binary, Call, Is, Like, Literal, Logic, Name, Node, Star, Unary
from gridwatch.containers.tql.values import Context, Value, constant, failed, null, raising, sized

__all__ = ["COMPARISONS", "NOT_BOOLEAN", "NO_COLUMN", "NO_FUNCTION", "Expressions", "known_function"]

NO_COLUMN = 150012
COLUMN_ABUSE = 150013
NO_FUNCTION = 150014
NOT_BOOLEAN = 150019
CANNOT_CAST = 152001

COMPARISONS = frozenset({"=", "<>", "<", "<=", ">", ">="})

_UNITED = {"TIMESTAMPADD", "TIMESTAMP_ADD", "TIMESTAMPDIFF", "TIMESTAMP_DIFF"}
_STAMPS = {
    "TIMESTAMP": T.TIMESTAMP,
    "TIMESTAMP_MS": T.TIMESTAMP,
    "TIMESTAMP_US": T.TIMESTAMP_6,
    "TIMESTAMP_NS": T.TIMESTAMP_9,
}
_ELSEWHERE = frozenset(
    {"ARRAY_LENGTH", "ELEMENT", "LIKE"}
    | {f"ST_{name}" for name in ("GEOMFROMTEXT", "MAKERECT", "MAKEBOX", "MAKEPLANE", "MAKESPHERE", "MAKECYLINDER")}
    | {f"ST_{name}" for name in ("MAKECONE", "MAKEQSF", "GETSRID", "MBRINTERSECTS", "QSFMBRINTERSECTS")}
)


def known_function(name: str) -> bool:
    """Tell whether there is a function of a row of this name."""
    known = name in _UNITED or name in _STAMPS or name in _ELSEWHERE or name in functions.SCALARS
    return known or name in {"STRING", "FROM_TIMESTAMP"}


class Expressions:
    """Compiles expressions over the rows of one container; without a container only constants are left."""

    def __init__(self, context: Context, info: ContainerInfo | None) -> None:
        self.context = context
        self._info = info

    def column(self, name: Name) -> Column | None:
        """Return the column of this name, compared without case unless it is quoted."""
        for column in self._info.columns if self._info is not None else ():
            same = column.name == name.text if name.quoted else column.name.lower() == name.text.lower()
            if same:
                return column
        return None

    def compile(self, node: Node) -> Value:
        """Return the value of an expression.

        Raises:
            SqlRefusedError: GridDB would refuse it, or this store cannot answer alike.
        """
        match node:
            case Literal(value, kind):
                return constant(self.context, value, kind) if kind is not None else null()
            case Name():
                return self._column(node)
            case Unary(operand):
                return negated(self.context, self.compile(operand))
            case Binary(operator, left, right):
                return self._binary(operator, self.compile(left), self.compile(right))
            case Is(operand, right, negated_):
                return self.is_null(self.compile(operand), self.compile(right), negated=negated_)
            case Like(operand, pattern, escape, negated_):
                return functions.like(
                    self.context,
                    self.compile(operand),
                    self.compile(pattern),
                    self.compile(escape) if escape is not None else None,
                    negated=negated_,
                )
            case Logic(operator, operands):
                return self._logic(operator, [self.truth(self.compile(operand)) for operand in operands])
            case Call(name, arguments):
                return self._call(name, arguments)
            case Star():
                raise refused("'*' as a condition", code=COLUMN_ABUSE)

    def _column(self, name: Name) -> Value:
        column = self.column(name)
        if column is None:
            raise refused(f"column {name.text!r}, which does not exist", code=NO_COLUMN)
        sql = f"c.{layout.quoted(column.name)}"
        if column.type in LIMITS:
            low, high = LIMITS[column.type]
            return Value(sql, column.type, column=column.name, nullable=column.nullable, low=low, high=high)
        return Value(sql, column.type, column=column.name, nullable=column.nullable)

    def _binary(self, operator: str, left: Value, right: Value) -> Value:
        if operator in {"&", "|", "<<", ">>"}:
            raise refused(f"the operator {operator}", code=LOGIC)
        if operator in COMPARISONS:
            return compare(self.context, operator, left, right)
        return arithmetic(self.context, operator, left, right)

    def is_null(self, operand: Value, right: Value, *, negated: bool) -> Value:
        """Return `operand IS [NOT] NULL`.

        Raises:
            SqlRefusedError: The right side is not NULL (150018).
        """
        if right.kind is not None:
            raise refused("IS with anything but NULL", code=UNDEFINED)
        if operand.constant or operand.kind is None or not (operand.nullable or operand.fallible):
            return constant(self.context, (operand.kind is None) is not negated, T.BOOL)
        sql = f"({operand.sql} IS {'NOT ' if negated else ''}NULL)"
        return Value(sql, T.BOOL, nullable=False, fallible=operand.fallible)

    def truth(self, value: Value) -> Value:
        """Return a value as a condition: a BOOL, or an error on the rows on which it is something else."""
        if value.kind in {T.BOOL, None}:
            return value
        return raising(self.context, T.BOOL, CANNOT_CAST, "Cannot cast value to boolean", value)

    def _logic(self, operator: str, operands: list[Value]) -> Value:
        if failed(*operands):
            # Inside an expression it is not said which side GridDB looks at first.
            raise refused(f"{operator} inside an expression, of parts that can fail", code=None)
        if operator == "NOT":
            sql = f"(NOT {operands[0].sql})"
        else:
            sql = f"({f' {operator} '.join(operand.sql for operand in operands)})"
        return sized(Value(sql, T.BOOL))

    def _call(self, name: str, arguments: tuple[Node, ...]) -> Value:
        if any(isinstance(argument, Star) for argument in arguments):
            raise refused("'*' as a condition", code=COLUMN_ABUSE)
        if name == "STRING":
            return self._string(arguments)
        if name in _UNITED:
            return self._with_unit(name, arguments)
        if name in _STAMPS:
            return times.timestamp(self.context, [self.compile(part) for part in arguments], _STAMPS[name])
        if name == "FROM_TIMESTAMP":
            return times.text_of_time(self.context, [self.compile(part) for part in arguments])
        if name in _ELSEWHERE:
            raise refused(f"the function {name}", code=None)
        if name not in functions.SCALARS:
            raise refused(f"the function {name}, which does not exist", code=NO_FUNCTION)
        return functions.call(self.context, name, [self.compile(argument) for argument in arguments])

    def _string(self, arguments: tuple[Node, ...]) -> Value:
        """STRING works on constants only: of anything else GridDB makes the text of how it is written."""
        if len(arguments) != 1:
            return raising(self.context, T.STRING, functions.COUNT, "Invalid argument count")
        node, value = arguments[0], self.compile(arguments[0])
        if value.kind is None:
            return null()
        if not value.constant:
            written = node.text if isinstance(node, Name) else node.name if isinstance(node, Call) else "NULL"
            return constant(self.context, written, T.STRING)
        if value.kind is T.STRING:
            return value
        if value.kind is T.BOOL:
            return constant(self.context, "TRUE" if value.value else "FALSE", T.STRING)
        if value.kind in INTEGRAL:
            return constant(self.context, str(value.value), T.STRING)
        if value.kind in {T.TIMESTAMP_6, T.TIMESTAMP_9}:
            raise refused("STRING of a time finer than a millisecond", code=None)
        if value.kind is T.TIMESTAMP:
            return times.text_of_time(self.context, [value])
        return constant(self.context, f"{value.value:g}", T.STRING)

    def _with_unit(self, name: str, arguments: tuple[Node, ...]) -> Value:
        kind = T.TIMESTAMP if name.endswith("ADD") else T.LONG
        if not arguments:
            raise refused(f"{name} without arguments", code=functions.COUNT)
        first = arguments[0]
        if isinstance(first, Name):
            unit = first.text.upper()
            if unit not in times.UNITS and self.column(first) is None:
                raise refused(f"the unit {first.text!r} of {name}", code=NO_COLUMN)
        else:
            given = self.compile(first)
            if given.kind is not T.STRING or not given.constant:
                rest = [self.compile(argument) for argument in arguments[1:]]
                code = functions.COUNT if len(rest) != 2 else functions.TYPE
                return raising(self.context, kind, code, "Argument 1 is not DURATION")
            unit = given.value.upper()
        rest = [self.compile(argument) for argument in arguments[1:]]
        if len(rest) != 2:
            return raising(self.context, kind, functions.COUNT, "Invalid argument count")
        function = times.shifted if name.endswith("ADD") else times.difference
        return function(self.context, unit, rest[0], rest[1])
