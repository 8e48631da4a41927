"""Fields and parameters as a script reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gridwatch.jobs.fields import Field, Fields, FieldType
from gridwatch.jobs.painless import tree
from gridwatch.jobs.painless.values import Kind, Value, constant, converted, made, refused
from gridwatch.jobs.sql import TRUE, Sql, compose, opposite

__all__ = ["OF_FIELD", "Doc", "doc_of", "field_value", "param_of", "plain_text"]

OF_FIELD = (".value", ".size()", ".empty", "field('f').get(default)")
"""What can be asked of a field."""

_MOSTS = {
    FieldType.BYTE: 2.0**7,
    FieldType.SHORT: 2.0**15,
    FieldType.INTEGER: 2.0**31,
    FieldType.FLOAT: 3.5e38,
}
_KINDS = {
    FieldType.KEYWORD: Kind.STRING,
    FieldType.FLOAT: Kind.DOUBLE,
    FieldType.DOUBLE: Kind.DOUBLE,
    FieldType.DATE: Kind.DATE,
    FieldType.BOOLEAN: Kind.BOOLEAN,
}


@dataclass(frozen=True, slots=True)
class Doc:
    """`doc['f']` or `field('f')`: a field, before its value is asked for."""

    field: Field
    present: Sql


def plain_text(node: tree.Expression, what: str) -> str:
    """Return a text that is written out.

    Raises:
        JobsScriptError: It is anything else.
    """
    if isinstance(node, tree.Constant) and isinstance(node.value, str):
        return node.value
    raise refused(node, f"{what} has to be a text that is written out")


def doc_of(node: tree.Node, name: str, fields: Fields) -> Doc:
    """Return `doc[name]`.

    Raises:
        JobsScriptError: There is no such field.
    """
    found = fields.get(name)
    if found is None:
        near = fields.near(name)
        raise refused(node, f"No field found for [{name}] in mapping", allowed=tuple(near), name=name)
    return Doc(found, compose("({} IS NOT NULL)", found.sql) if found.nullable else TRUE)


def field_value(node: tree.Node, doc: Doc, method: str, args: tuple[Value, ...] = ()) -> Value:
    """Return what a method of a field gives: getValue, get(default), size or isEmpty.

    Raises:
        JobsScriptError: There is no such method, or the field's type has no value here.
    """
    if method == "size" and not args:
        count = compose("(CASE WHEN {} THEN 1 ELSE 0 END)", doc.present)
        return made(node, Kind.INT, count, most=1) if doc.present != TRUE else constant(node, 1)
    if method == "isEmpty" and not args:
        return Value(Kind.BOOLEAN, opposite(doc.present))
    if method not in {"getValue", "get"} or len(args) > 1:
        raise refused(node, f"the method [{method}] of a field", allowed=OF_FIELD, name=method)
    found = doc.field
    kind = Kind.LONG if found.type.whole else _KINDS.get(found.type)
    if kind is None:
        raise refused(node, f"the value of [{found.name}], which is of type {found.type}", name=found.name)
    value = made(node, kind, found.sql, most=_MOSTS.get(found.type))
    if found.nullable:
        value = replace(value, fails=True, needs=frozenset({found.sql}))
    if method == "getValue":
        return value
    if not args:
        raise refused(node, "get() without a default", allowed=OF_FIELD, name="get")
    default = converted(node, args[0], value.kind)
    if default.fails:
        raise refused(node, "a default that may itself be missing", name="get")
    text = compose("COALESCE({}, {})", value.sql, default.sql)
    return made(node, kind, text, most=max(value.most, default.most))


def param_of(node: tree.Node, name: str, params: Mapping[str, Any]) -> Value:
    """Return `params[name]`.

    Raises:
        JobsScriptError: There is none, or it is an object or a list.
    """
    if name not in params:
        hint = "; doc['...'].value reads a field" if name == "_source" else ""
        raise refused(node, f"no parameter [{name}]{hint}", allowed=tuple(params), name=name)
    content = params[name]
    if not isinstance(content, bool | int | float | str):
        raise refused(node, f"the parameter [{name}] is no text, number or boolean", name=name)
    return constant(node, content)
