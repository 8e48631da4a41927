"""Names: which container or subquery a name means, under GridDB's rules of case and quotes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlglot import exp

from gridwatch.containers.dialect.kinds import Expr, T, number_literal
from gridwatch.containers.dialect.parse import check_text, refused, time_parameter
from gridwatch.containers.schema import ContainerInfo, View
from gridwatch.errors import ContainerNotFoundError

__all__ = ["Context", "Scope", "Source", "same_name"]

NO_TABLE = 280005
IS_VIEW = 280010
NO_COLUMN = 240008
AMBIGUOUS = 240009


def same_name(identifier: exp.Identifier, name: str) -> bool:
    """Compare as GridDB does: a quoted name keeps its case, a bare one does not."""
    text = str(identifier.this)
    return text == name if identifier.args.get("quoted") else text.lower() == name.lower()


@dataclass(frozen=True, slots=True)
class Source:
    """One entry of FROM: its name, its SQL, its columns; SQL of the order GridDB reads it in, and of its row key."""

    name: str
    sql: str
    columns: tuple[tuple[str, Expr], ...]
    order: str = ""
    key: str = ""


@dataclass(slots=True)
class Context:
    """What one statement shares: how to find containers, parameters, numbering."""

    lookup: Callable[[str], ContainerInfo | View | None]
    parameters: Sequence[Any]
    bound: list[Any] = field(default_factory=list)
    sources: int = 0
    views: int = 0
    """How many views, each read by the one before, are being read."""

    def source_name(self) -> str:
        """Return an alias that no name of the statement can clash with."""
        self.sources += 1
        return f"s{self.sources}"

    def bind(self, value: Any) -> str:
        """Return the SQL of a bound value."""
        self.bound.append(value)
        return f"?{len(self.bound)}"

    def container(self, identifier: exp.Identifier) -> ContainerInfo:
        """Return the container of this name.

        Raises:
            ContainerNotFoundError: There is none, or a quoted name differs in case (280005).
            SqlRefusedError: It is a view (280010).
        """
        found = self.table(identifier)
        if isinstance(found, View):
            raise refused(f"a change of {found.name!r}, which is a view", code=IS_VIEW)
        return found

    def table(self, identifier: exp.Identifier) -> ContainerInfo | View:
        """Return the container or view of this name.

        Raises:
            ContainerNotFoundError: There is none, or a quoted name differs in case (280005).
        """
        info = self.lookup(str(identifier.this))
        if info is None or not same_name(identifier, info.name):
            hint = f" There is {info.name!r}; a quoted name must keep its case." if info else ""
            raise ContainerNotFoundError(
                f"SQL names the table {identifier.this!r}, which does not exist.{hint}",
                code=NO_TABLE,
                container=identifier.this,
            )
        return info

    def parameter(self, number: int) -> Expr:
        """Return a parameter with the type of its value.

        Raises:
            SqlRefusedError: A value of a type that GridDB has not, or out of range.
        """
        value = self.parameters[number]
        if value is None:
            return Expr("NULL", None, value=None)
        if isinstance(value, bool):
            return Expr(self.bind(int(value)), T.BOOL, value=value, nullable=False)
        if isinstance(value, datetime):
            ms = time_parameter(number + 1, value)
            return Expr(self.bind(ms), T.TIMESTAMP, ms, ms, ms, nullable=False)
        if isinstance(value, int | float):
            literal = number_literal(value)
            if isinstance(value, int) and literal.kind is not T.LONG:
                raise refused(f"parameter {number + 1}, {value}, which is outside the range of LONG", code=305004)
            return Expr(
                self.bind(literal.value), literal.kind, literal.low, literal.high, literal.value, nullable=False
            )
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes | bytearray):
            return Expr(self.bind(bytes(value)), T.BLOB, value=bytes(value), nullable=False)
        raise refused(f"parameter {number + 1} of type {type(value).__name__}", code=None)

    def text(self, value: str) -> Expr:
        """Return constant text; it is bound, so nothing in it can be taken for SQL.

        Raises:
            SqlRefusedError: It holds a NUL or is not Unicode.
        """
        check_text(value)
        return Expr(self.bind(value), T.STRING, value=value, nullable=False)


class Scope:
    """The names that one SELECT sees; inner ones see those of the outer as well."""

    def __init__(self, outer: Scope | None = None) -> None:
        self.sources: list[Source] = []
        self.captured: set[str] = set()
        """Columns of outer SELECTs that this one uses."""
        self._outer = outer

    @property
    def row_order(self) -> str:
        """SQL of the order in which GridDB reads the rows; empty where nothing tells."""
        return self.sources[0].order if len(self.sources) == 1 else ""

    @property
    def row_key(self) -> str:
        """SQL of the column that no two rows have alike; empty where there is none."""
        return self.sources[0].key if len(self.sources) == 1 else ""

    def add(self, source: Source) -> None:
        """Add an entry of FROM.

        Raises:
            SqlRefusedError: The name is taken.
        """
        if any(other.name.lower() == source.name.lower() for other in self.sources):
            raise refused(f"the name {source.name!r} twice in FROM", hint="give one an alias")
        self.sources.append(source)

    def column(self, node: exp.Column) -> Expr:
        """Return the column that a node names.

        Raises:
            SqlRefusedError: There is none (240008) or more than one (240009).
        """
        if node.args.get("db") or node.args.get("catalog"):
            raise refused(f"the qualified name {node.sql()!r}", code=None)
        identifier, table = node.this, node.args.get("table")
        found = [
            expr
            for source in self.sources
            if table is None or same_name(table, source.name)
            for name, expr in source.columns
            if same_name(identifier, name)
        ]
        if len(found) > 1:
            raise refused(f"column {identifier.this!r}, which more than one table has", code=AMBIGUOUS)
        if found:
            return found[0]
        if self._outer is not None:
            column = self._outer.column(node)
            self.captured |= column.free
            return column
        known = ", ".join(name for source in self.sources for name, _ in source.columns[:30])
        raise refused(f"column {identifier.this!r}, which does not exist", code=NO_COLUMN, hint=f"there are {known}")
