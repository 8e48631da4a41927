"""Expressions: every node of the syntax tree that is taken, with GridDB's type rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from gridwatch.containers.dialect.aggregates import percentile
from gridwatch.containers.dialect.arithmetic import arithmetic, divided
from gridwatch.containers.dialect.casts import cast, text_of
from gridwatch.containers.dialect.functions import call
from gridwatch.containers.dialect.kinds import (
    FLOATING,
    INTEGRAL,
    NUMERIC,
    Expr,
    T,
    as_kind,
    as_long,
    common,
    compared,
    failing,
    make,
    mismatch,
    name_of,
    number_literal,
    overflow_checked,
)
from gridwatch.containers.dialect.parse import only, refused
from gridwatch.containers.dialect.scope import Context, Scope
from gridwatch.containers.dialect.windows import windowed

if TYPE_CHECKING:
    from gridwatch.containers.dialect.queries import Query

__all__ = ["Expressions"]

_Signs = dict[type[exp.Expression], str]

_COMPARISONS: _Signs = {exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="}
_ARITHMETIC: _Signs = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*"}
_BITWISE: _Signs = {
    exp.BitwiseAnd: "&",
    exp.BitwiseOr: "|",
    exp.BitwiseLeftShift: "<<",
    exp.BitwiseRightShift: ">>",
}


class Expressions:
    """Compiles the expressions of one SELECT, UPDATE or DELETE.

    Args:
        context: Of the statement.
        scope: The names it sees.
        subquery: Compiles a SELECT inside an expression; None where none is allowed.
    """

    def __init__(
        self, context: Context, scope: Scope, subquery: Callable[[exp.Expression, Scope], Query] | None
    ) -> None:
        self.context = context
        self.scope = scope
        self._subquery = subquery
        self.windows_max = 0
        self.grouped = False
        """Whether the SELECT has keys of GROUP BY (RANGE aside), beside which the order of rows is lost."""
        self.sorts = self.reads_order = self.distinct = False
        """Whether a MEDIAN or percentile, an aggregate that depends on the order of rows, a DISTINCT one was met."""
        self._compilers: dict[type[exp.Expression], Callable[..., Expr]] = {
            exp.Column: self._column,
            exp.Literal: self._literal,
            exp.HexString: self._hex,
            exp.Null: lambda node: Expr("NULL", None, value=None),
            exp.Boolean: lambda node: Expr("(1)" if node.this else "(0)", T.BOOL, value=node.this, nullable=False),
            exp.Placeholder: self._placeholder,
            exp.Paren: lambda node: self.compile(node.this),
            exp.Neg: self._negative,
            exp.Not: self._not,
            exp.And: self._logical,
            exp.Or: self._logical,
            exp.Is: self._is,
            exp.In: self._in,
            exp.Between: self._between,
            exp.Like: self._like,
            exp.Escape: self._escape,
            exp.Glob: self._like,
            exp.DPipe: self._concatenation,
            exp.Div: self._division,
            exp.Mod: self._division,
            exp.BitwiseNot: self._bitwise_not,
            exp.Case: self._case,
            exp.Cast: self._cast,
            exp.Anonymous: self._call,
            exp.Subquery: self._scalar,
            exp.Exists: self._exists,
            exp.Window: self._window,
            exp.WithinGroup: lambda node: percentile(self, node),
            **dict.fromkeys(_COMPARISONS, self._comparison),
            **dict.fromkeys(_ARITHMETIC, self._arithmetic),
            **dict.fromkeys(_BITWISE, self._bitwise),
        }

    def compile(self, node: exp.Expression) -> Expr:
        """Return the compiled expression.

        Raises:
            SqlRefusedError: GridDB refuses it, or this store cannot answer alike.
        """
        compiler = self._compilers.get(type(node))
        if compiler is None:
            raise refused(f"{node.key.upper()} ({node.sql()[:60]!r})")
        return compiler(node)

    def condition(self, node: exp.Expression, where: str) -> Expr:
        """Return a compiled condition.

        Raises:
            SqlRefusedError: It is not a BOOL.
        """
        found = self.compile(node)
        if where == "WHERE" and found.kind in NUMERIC and isinstance(found.value, int | float):
            return Expr("(1)" if found.value else "(0)", T.BOOL, value=bool(found.value))
        if found.kind not in {T.BOOL, None}:
            raise refused(f"a {name_of(found.kind)} as condition of {where}", code=305010, hint="compare it")
        return found

    def take_window(self, what: str) -> None:
        """Count one of the functions of which GridDB takes one in the list of a SELECT.

        Raises:
            SqlRefusedError: There is one already, or this is another place.
        """
        if self.windows_max < 1:
            raise refused(
                f"{what} at this place", hint="GridDB takes one window function, MEDIAN or PERCENTILE_CONT in a list"
            )
        self.windows_max -= 1

    def _column(self, node: exp.Column) -> Expr:
        only(node, "this", "table")
        if isinstance(node.this, exp.Star):
            raise refused("* inside an expression")
        return self.scope.column(node)

    def _literal(self, node: exp.Literal) -> Expr:
        text = str(node.this)
        if node.is_string:
            return self.context.text(text)
        try:
            return number_literal(int(text) if text.isdigit() else float(text))
        except ValueError as error:
            raise refused(f"the number {text}") from error

    def _hex(self, node: exp.HexString) -> Expr:
        try:
            data = bytes.fromhex(str(node.this))
        except ValueError as error:
            raise refused(f"X'{node.this}'") from error
        return Expr(self.context.bind(data), T.BLOB, value=data, nullable=False)

    def _placeholder(self, node: exp.Placeholder) -> Expr:
        name = str(node.this or "")
        if not (name.startswith("p") and name[1:].isdigit()):
            raise refused(f"the named parameter :{name}", hint="use ?")
        return self.context.parameter(int(name[1:]))

    def _negative(self, node: exp.Neg) -> Expr:
        only(node, "this")
        if isinstance(node.this, exp.Literal) and not node.this.is_string:
            text = str(node.this.this)
            # -9223372036854775808 is a LONG, though without its sign it is not.
            if text.isdigit():
                return number_literal(-int(text))
            number = self._literal(node.this)
            # As GridDB's: the literal -0.0 is 0.0.
            return number_literal(-number.value or 0.0)
        inner = self.compile(node.this)
        if inner.kind is None:
            return Expr("NULL", T.LONG, value=None)
        if inner.kind in FLOATING:
            return make(f"(-{inner.sql})", T.DOUBLE, [inner])
        if inner.kind in INTEGRAL:
            low, high = inner.bounds
            return overflow_checked(f"(-{inner.sql})", [inner], -high, -low)
        raise mismatch(f"- of {name_of(inner.kind)}")

    def _not(self, node: exp.Not) -> Expr:
        only(node, "this")
        inner = self.condition(node.this, "NOT")
        return make(f"(NOT {inner.sql})", T.BOOL, [inner])

    def _logical(self, node: exp.And | exp.Or) -> Expr:
        only(node, "this", "expression")
        word = node.key.upper()
        # A chain of a thousand conditions is a tree a thousand deep on its left side.
        chain: list[exp.Expression] = []
        left: exp.Expression = node
        while type(left) is type(node):
            chain.append(left.expression)
            left = left.this
        parts = [self.condition(part, word) for part in [left, *reversed(chain)]]
        return make(_balanced([part.sql for part in parts], word), T.BOOL, parts)

    def _pair(self, node: exp.Expression) -> tuple[Expr, Expr]:
        return self.compile(node.this), self.compile(node.args["expression"])

    def _comparison(self, node: exp.Expression) -> Expr:
        only(node, "this", "expression")
        sign = _COMPARISONS[type(node)]
        left, right = compared(sign, *self._pair(node))
        return make(f"({left.sql} {sign} {right.sql})", T.BOOL, [left, right])

    def _is(self, node: exp.Is) -> Expr:
        only(node, "this", "expression")
        left, right = compared("IS", *self._pair(node))
        return make(f"({left.sql} IS {right.sql})", T.BOOL, [left, right])

    def _in(self, node: exp.In) -> Expr:
        only(node, "this", "expressions", "query")
        left = self.compile(node.this)
        if node.args.get("query"):
            query = self._query(node.args["query"].this, 1)
            column = Expr("c0", query.columns[0][1])
            this, that = compared("IN", left, column)
            rows = query.sql if that is column else f"SELECT {that.sql} FROM ({query.sql})"
            outer = Expr(rows, None, free=query.captured)
            return make(f"({this.sql} IN ({rows}))", T.BOOL, [left, outer])
        items = [self.compile(item) for item in node.expressions]
        pairs = [compared("IN", left, item) for item in items]
        values = [item.value for item in items]
        unknown = (left.value is None and items) or (None in values and left.value not in values)
        if unknown and left.constant and all(item.constant for item in items):
            # GridDB folds it to a NULL without a type.
            return Expr("NULL", None, value=None)
        if any(this is not left for this, _ in pairs):
            same = " OR ".join(f"{this.sql} = {that.sql}" for this, that in pairs)
            return make(f"({same})", T.BOOL, [left, *items])
        return make(f"({left.sql} IN ({', '.join(item.sql for _, item in pairs)}))", T.BOOL, [left, *items])

    def _between(self, node: exp.Between) -> Expr:
        only(node, "this", "low", "high")
        parts = [self.compile(node.args[name]) for name in ("this", "low", "high")]
        (above, low), (below, high) = (compared("BETWEEN", parts[0], bound) for bound in parts[1:])
        if above is parts[0] and below is parts[0]:
            return make(f"({above.sql} BETWEEN {low.sql} AND {high.sql})", T.BOOL, parts)
        return make(f"({above.sql} >= {low.sql} AND {below.sql} <= {high.sql})", T.BOOL, parts)

    def _like(self, node: exp.Expression, escape: Expr | None = None) -> Expr:
        only(node, "this", "expression", "negate")
        left, right = self._pair(node)
        word = "GLOB" if isinstance(node, exp.Glob) else "LIKE"
        for part in (left, right):
            if part.kind not in {T.STRING, None}:
                raise mismatch(f"{word} of {name_of(part.kind)}")
        negation = "NOT " if node.args.get("negate") else ""
        parts = [left, right, *([escape] if escape else [])]
        ending = f" ESCAPE {escape.sql}" if escape else ""
        return make(f"({left.sql} {negation}{word} {right.sql}{ending})", T.BOOL, parts)

    def _escape(self, node: exp.Escape) -> Expr:
        only(node, "this", "expression")
        escape = self.compile(node.args["expression"])
        if not isinstance(escape.value, str) or len(escape.value) != 1:
            raise refused("ESCAPE with anything but one character", code=305008)
        if not isinstance(node.this, exp.Like):
            raise refused("ESCAPE without LIKE")
        return self._like(node.this, escape)

    def _concatenation(self, node: exp.DPipe) -> Expr:
        only(node, "this", "expression", "safe")
        parts = [text_of(part) for part in self._pair(node)]
        return make(f"({parts[0].sql} || {parts[1].sql})", T.STRING, parts)

    def _arithmetic(self, node: exp.Expression) -> Expr:
        only(node, "this", "expression")
        return arithmetic(_ARITHMETIC[type(node)], *self._pair(node))

    def _division(self, node: exp.Div | exp.Mod) -> Expr:
        only(node, "this", "expression", "typed", "safe")
        return divided("/" if isinstance(node, exp.Div) else "%", *self._pair(node))

    def _bitwise(self, node: exp.Expression) -> Expr:
        only(node, "this", "expression")
        sign = _BITWISE[type(node)]
        left, right = (as_long(sign, part) for part in self._pair(node))
        return make(f"({left.sql} {sign} {right.sql})", T.LONG, [left, right])

    def _bitwise_not(self, node: exp.BitwiseNot) -> Expr:
        only(node, "this")
        inner = as_long("~", self.compile(node.this))
        return make(f"(~{inner.sql})", T.LONG, [inner])

    def _case(self, node: exp.Case) -> Expr:
        only(node, "this", "ifs", "default")
        subject = self.compile(node.this) if node.this else None
        branches: list[tuple[Expr, Expr]] = []
        for branch in node.args["ifs"]:
            only(branch, "this", "true")
            if subject is None:
                when = self.condition(branch.this, "CASE")
            else:
                when = self.compile(branch.this)
                if compared("CASE", subject, when) != (subject, when):
                    raise refused("CASE of a LONG with WHEN of a DOUBLE", code=None, hint="use CASE WHEN ... = ...")
            branches.append((when, self.compile(branch.args["true"])))
        default = self.compile(node.args["default"]) if node.args.get("default") else Expr("NULL", None)
        kind = common("CASE", [*(result.kind for _, result in branches), default.kind])
        words = [f"CASE {subject.sql}" if subject else "CASE"]
        words += [f"WHEN {when.sql} THEN {as_kind(result, kind).sql}" for when, result in branches]
        sql = f"({' '.join(words)} ELSE {as_kind(default, kind).sql} END)"
        results = [result for _, result in branches] + [default]
        parts = [*([subject] if subject else []), *(when for when, _ in branches), *results]
        return make(sql, kind, parts, **_hull(results))

    def _cast(self, node: exp.Cast) -> Expr:
        only(node, "this", "to")
        return cast(self.compile(node.this), node.args["to"], self.context)

    def _call(self, node: exp.Anonymous) -> Expr:
        only(node, "this", "expressions")
        return call(self, str(node.this).upper(), node.expressions)

    def _window(self, node: exp.Window) -> Expr:
        only(node, "this", "partition_by", "order", "over")
        # Also keeps one out of the arguments of another.
        self.take_window("a window function")
        partition = [self.compile(part) for part in node.args.get("partition_by") or []]
        keys = []
        for one in node.args["order"].expressions if node.args.get("order") else []:
            only(one, "this", "desc", "nulls_first")
            keys.append((self.compile(one.this), bool(one.args.get("desc"))))
        return windowed(self, node.this, partition, keys)

    def _query(self, node: exp.Expression, width: int) -> Query:
        if self._subquery is None:
            raise refused("a subquery at this place")
        query = self._subquery(node, self.scope)
        if len(query.columns) != width:
            raise refused(f"a subquery of {len(query.columns)} columns where one is needed")
        return query

    def _scalar(self, node: exp.Subquery) -> Expr:
        only(node, "this")
        query = self._query(node.this, 1)
        kind = query.columns[0][1]
        sql = f"({query.sql})"
        if not query.single:
            # SQLite would take the first of several rows.
            fail = failing(305009, "More than one tuples selected in a subquery", "count(*)")
            two = f"(SELECT * FROM ({query.sql}) LIMIT 2)"
            sql = f"(SELECT CASE WHEN count(*) > 1 THEN {fail} ELSE max(c0) END FROM {two})"
        return Expr(sql, kind, free=query.captured)

    def _exists(self, node: exp.Exists) -> Expr:
        only(node, "this")
        if self._subquery is None:
            raise refused("a subquery at this place")
        query = self._subquery(node.this, self.scope)
        return Expr(f"EXISTS ({query.sql})", T.BOOL, free=query.captured)


def _balanced(parts: Sequence[str], word: str) -> str:
    """Return conditions joined in pairs of pairs: SQLite takes no expression that is a thousand deep."""
    if len(parts) <= 8:
        return f"({f' {word} '.join(parts)})"
    middle = len(parts) // 2
    return f"({_balanced(parts[:middle], word)} {word} {_balanced(parts[middle:], word)})"


def _hull(parts: Sequence[Expr]) -> dict[str, int]:
    """Return bounds that hold each of several integers."""
    known = [part for part in parts if part.kind is not None]
    if not known or any(part.kind not in INTEGRAL for part in known):
        return {}
    return {"low": min(part.bounds[0] for part in known), "high": max(part.bounds[1] for part in known)}
