"""Statements of a script, followed along all their ways to what each of them emits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gridwatch.containers import TIMESTAMP_MS_MAX
from gridwatch.errors import JobsScriptError
from gridwatch.jobs import sql
from gridwatch.jobs.fields import Fields, FieldType
from gridwatch.jobs.painless import tree
from gridwatch.jobs.painless.arithmetic import arithmetic
from gridwatch.jobs.painless.expressions import Expressions, Variables
from gridwatch.jobs.painless.methods import as_text
from gridwatch.jobs.painless.parser import parse
from gridwatch.jobs.painless.values import Kind, Value, converted, either, made, refused
from gridwatch.jobs.sql import Sql, all_of, compose

__all__ = ["TYPES", "compile_script"]

STEPS_MAX = 500
DEPTH_MAX = 100
TYPES = {
    FieldType.KEYWORD: Kind.STRING,
    FieldType.LONG: Kind.LONG,
    FieldType.DOUBLE: Kind.DOUBLE,
    FieldType.BOOLEAN: Kind.BOOLEAN,
    FieldType.DATE: Kind.LONG,
}
"""The types that a runtime field can have, and what its script emits; a date is emitted as epoch ms."""

_DECLARED = {
    "def": None,
    "String": Kind.STRING,
    "int": Kind.INT,
    "Integer": Kind.INT,
    "long": Kind.LONG,
    "Long": Kind.LONG,
    "double": Kind.DOUBLE,
    "Double": Kind.DOUBLE,
    "boolean": Kind.BOOLEAN,
    "Boolean": Kind.BOOLEAN,
    "ZonedDateTime": Kind.DATE,
    "Instant": Kind.INSTANT,
}


def compile_script(
    source: str,
    kind: FieldType,
    fields: Fields,
    params: Mapping[str, Any] | None = None,
    *,
    path: str = "script.source",
) -> Sql:
    """Return the SQL of what a runtime field's script emits: null for a row where it emits nothing, or fails.

    Args:
        source: The script.
        kind: The runtime field's type, one of `TYPES`.
        fields: What `doc` has.
        params: What `params` has.
        path: Where the script stands in the JSON, for messages.

    Raises:
        JobsScriptError: It cannot be read, its types do not fit, or SQL cannot answer it as Painless would; has line,
            column and name.

    >>> from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType
    >>> info = ContainerInfo("t", ContainerType.COLLECTION, (Column("a", ColumnType.STRING),))
    >>> compile_script("emit(doc['a'].value + '!')", FieldType.KEYWORD, Fields.of(info))
    Sql(text='("a" || ?)', parameters=('!',))
    """
    try:
        return _Script(kind, Expressions(fields, params or {})).compile(parse(source))
    except JobsScriptError as error:
        if error.path:
            raise
        raise JobsScriptError(
            error.reason.split(": ", 1)[1] if error.line else error.reason,
            line=error.line,
            column=error.column,
            path=path,
            allowed=error.allowed,
            **error.values,
        ) from error


@dataclass(frozen=True, slots=True)
class _Leave(tree.Statement):
    """The end of a block: only the variables from before it are left."""

    names: frozenset[str]


class _Script:
    def __init__(self, kind: FieldType, expressions: Expressions) -> None:
        self._kind = kind
        self._expressions = expressions
        self._steps = self._depth = 0
        self._emits = False

    def compile(self, statements: Sequence[tree.Statement]) -> Sql:
        found = self._follow(tuple(statements), {}, None)
        if not self._emits:
            raise JobsScriptError("a script that emits nothing; it needs emit(...)")
        assert found is not None  # noqa: S101  what emits has a value
        if self._kind is not FieldType.DATE:
            return found.sql
        # Outside GridDB's time there is no instant. The function is never given such a number, not even where CASE
        # would leave its answer alone: GridDB works out what is constant beforehand.
        return compose(
            "TO_TIMESTAMP_MS(CASE WHEN {} BETWEEN 0 AND {} THEN {} END)",
            found.sql,
            sql.value(TIMESTAMP_MS_MAX),
            found.sql,
        )

    def _follow(self, todo: tuple[tree.Statement, ...], variables: Variables, emitted: Value | None) -> Value | None:
        """Return what is emitted by the end, None for nothing, when these statements are still to be done."""
        self._steps += 1
        self._depth += 1
        try:
            if not todo:
                return emitted
            first, rest = todo[0], todo[1:]
            if self._steps > STEPS_MAX or self._depth > DEPTH_MAX:
                raise refused(first, "a script with too many statements, one after or inside another")
            return self._step(first, rest, variables, emitted)
        finally:
            self._depth -= 1

    def _step(
        self, first: tree.Statement, rest: tuple[tree.Statement, ...], variables: Variables, emitted: Value | None
    ) -> Value | None:
        # Each way through the script sees the variables as they are on it.
        self._expressions.variables = variables
        if isinstance(first, tree.Block):
            leave = _Leave(first.line, first.column, frozenset(variables))
            return self._follow((*first.statements, leave, *rest), variables, emitted)
        if isinstance(first, _Leave):
            return self._follow(rest, {name: variables[name] for name in first.names}, emitted)
        if isinstance(first, tree.Return):
            if first.value is not None:
                raise refused(first, "return with a value; a runtime field's script emits it", name="return")
            return emitted
        if isinstance(first, tree.If):
            return self._if(first, rest, variables, emitted)
        if isinstance(first, tree.Declare):
            return self._declare(first, rest, variables, emitted)
        if isinstance(first, tree.Assign):
            name, value = first.name, self._assigned(first, variables)
            changed = {**variables, name: (variables[name][0], value)}
            return self._unless(first, value, self._follow(rest, changed, emitted))
        assert isinstance(first, tree.Evaluate)  # noqa: S101  the only one left
        call = first.value
        if not (isinstance(call, tree.Call) and call.target is None and call.name == "emit"):
            raise refused(first, "an expression alone does nothing", allowed=("emit(...)", "a declaration"))
        return self._follow(rest, variables, self._emitted(call, emitted))

    def _emitted(self, call: tree.Call, before: Value | None) -> Value:
        if before is not None:
            raise refused(call, "a second emit(...) on the same way: a field has one value here", name="emit")
        if len(call.arguments) != 1:
            raise refused(call, f"emit of {len(call.arguments)} values; it takes one", name="emit")
        self._emits = True
        return converted(call, self._expressions.compile(call.arguments[0]), TYPES[self._kind])

    def _if(
        self, node: tree.If, rest: tuple[tree.Statement, ...], variables: Variables, emitted: Value | None
    ) -> Value | None:
        condition = self._expressions.condition(node.condition)
        then = self._follow((node.then, *rest), variables, emitted)
        after = (node.otherwise, *rest) if node.otherwise is not None else rest
        otherwise = self._follow(after, variables, emitted)
        if then is None and otherwise is None:
            return None
        return either(node, condition, then, otherwise, TYPES[self._kind])

    def _declare(
        self, node: tree.Declare, rest: tuple[tree.Statement, ...], variables: Variables, emitted: Value | None
    ) -> Value | None:
        if node.type not in _DECLARED:
            raise refused(node, f"the type [{node.type}]", allowed=tuple(_DECLARED), name=node.type)
        found, values = dict(variables), []
        for name, start in node.variables:
            if name in found or name in {"doc", "params"}:
                raise refused(node, f"the variable [{name}] is declared already", name=name)
            self._expressions.variables = found
            value = None
            if start is not None:
                value = self._declared(start, node.type)
                values.append(value)
            found[name] = (node.type, value)
        after = self._follow(rest, found, emitted)
        for value in values:
            after = self._unless(node, value, after)
        return after

    def _declared(self, node: tree.Expression, kind: str) -> Value:
        value = self._expressions.compile(node)
        wanted = _DECLARED[kind]
        return value if wanted is None else converted(node, value, wanted)

    def _assigned(self, node: tree.Assign, variables: Variables) -> Value:
        if node.name not in variables:
            raise refused(node, f"[{node.name}] is no variable", allowed=tuple(variables), name=node.name)
        kind, old = variables[node.name]
        if not node.sign:
            return self._declared(node.value, kind)
        if old is None:
            raise refused(node, f"the variable [{node.name}] has no value here", name=node.name)
        new = self._expressions.compile(node.value)
        if node.sign == "+" and old.kind is Kind.STRING:
            value = made(node, Kind.STRING, compose("({} || {})", old.sql, as_text(node, new).sql), old, new)
        else:
            value = arithmetic(node, node.sign, old, new)
        wanted = _DECLARED[kind]
        return value if wanted is None else converted(node, value, wanted)

    def _unless(self, node: tree.Node, needed: Value, result: Value | None) -> Value | None:
        """Return what comes after a value was worked out: nothing, where that has failed."""
        missing = needed.needs - result.needs if result is not None else frozenset()
        # What is null without that value anyway needs no question.
        if result is None or not missing:
            return result
        asked = [needed.sql] if needed.sql in missing else sorted(missing, key=lambda one: one.text)
        there = all_of(compose("({} IS NOT NULL)", one) for one in asked)
        text = compose("(CASE WHEN {} THEN {} END)", there, result.sql)
        return replace(made(node, result.kind, text, result, needed, most=result.most), known=None)
