"""Names: which container or subquery a name means, under GridDB's rules of case and quotes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlglot import exp
from typing_extensions import override

from gridwatch.containers.dialect.kinds import INTEGRAL, LIMITS, Expr, T, number_literal
from gridwatch.containers.dialect.parse import check_text, refused, time_parameter
from gridwatch.containers.schema import ColumnType, ContainerInfo, View
from gridwatch.errors import ContainerNotFoundError

__all__ = ["SHORT_MAX", "Context", "Lookup", "Scope", "Source", "bindable", "same_name"]

Lookup = Callable[[str], ContainerInfo | View | None]

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

    lookup: Lookup
    parameters: Sequence[Any]
    watched: bool = False
    """Whether parameters say when their values are asked for."""
    asked: bool = False
    """Whether one was."""
    bound: list[Any] = field(default_factory=list)
    places: dict[int, int] = field(default_factory=dict)
    """Which of the bound values, from 1, are parameters, and their numbers."""
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
        bound = bindable(number, value)
        sql = self.bind(bound)
        self.places[len(self.bound)] = number
        found = Expr(sql, _kind_of(value), value=bound, nullable=False)
        if isinstance(value, bool):
            found = replace(found, value=value)
        elif isinstance(bound, int):
            found = replace(found, low=bound, high=bound)
        if not self.watched:
            return found
        return Given(**{name: getattr(found, name) for name in Expr.__dataclass_fields__}, context=self)

    def text(self, value: str) -> Expr:
        """Return constant text; it is bound, so nothing in it can be taken for SQL.

        Raises:
            SqlRefusedError: It holds a NUL or is not Unicode.
        """
        check_text(value)
        return Expr(self.bind(value), T.STRING, value=value, nullable=False)


@dataclass(frozen=True, slots=True)
class Given(Expr):
    """A parameter of a statement that may be kept: tells its context when its value is asked for.

    What all values of its shape answer alike is none of that: `kept` says which shapes there are.
    """

    context: Context | None = field(default=None, compare=False, repr=False)

    def __getattribute__(self, name: str) -> Any:
        if name in _ASKING:
            object.__getattribute__(self, "context").asked = True
        return object.__getattribute__(self, name)

    @override
    def fits(self, limits: tuple[int, int]) -> bool:
        if limits not in _TYPES:
            return Expr.fits(self, limits)
        value: int = object.__getattribute__(self, "value")
        return limits[0] <= value <= limits[1]

    @override
    def is_text_of(self, bytes_max: int) -> bool:
        return self.kind is T.STRING and bytes_max >= 4 * SHORT_MAX


_ASKING = frozenset({"value", "low", "high", "most", "magnitude", "constant", "bounds"})
_TYPES = frozenset(LIMITS[kind] for kind in INTEGRAL)
SHORT_MAX = 1_000
"""Longest text, in characters, of a parameter of a statement that may be kept."""


def _kind_of(value: Any) -> ColumnType:
    kinds = ((bool, T.BOOL), (datetime, T.TIMESTAMP), (int, T.LONG), (float, T.DOUBLE), (str, T.STRING))
    return next((kind for kind_of, kind in kinds if isinstance(value, kind_of)), T.BLOB)


def bindable(number: int, value: Any) -> Any:
    """Return a parameter as SQLite takes it.

    Args:
        number: Of the parameter, from 0, for messages.
        value: Its value; not None.

    Raises:
        SqlRefusedError: A value of a type that GridDB has not, or out of range.
    """
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, datetime):
        return time_parameter(number + 1, value)
    if isinstance(value, int | float):
        literal = number_literal(value)
        if isinstance(value, int) and literal.kind is not T.LONG:
            raise refused(f"parameter {number + 1}, {value}, which is outside the range of LONG", code=305004)
        return literal.value
    if isinstance(value, str):
        check_text(value)
        return value
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    raise refused(f"parameter {number + 1} of type {type(value).__name__}", code=None)


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
