"""Expressions of a script: types checked, and each compiled to SQL that is null exactly where the script would fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from gridwatch.jobs.fields import Fields
from gridwatch.jobs.painless import tree
from gridwatch.jobs.painless.arithmetic import arithmetic, negative
from gridwatch.jobs.painless.maths import MATH, E, narrowed
from gridwatch.jobs.painless.methods import STATIC, as_text, call_method
from gridwatch.jobs.painless.reads import OF_FIELD, Doc, doc_of, field_value, param_of, plain_text
from gridwatch.jobs.painless.times import day_name
from gridwatch.jobs.painless.values import Kind, Value, as_double, chosen, constant, either, made, refused, whole_of
from gridwatch.jobs.sql import FALSE, TRUE, Sql, compose, opposite

__all__ = ["Expressions", "Variables"]

DEPTH_MAX = 80
_ROOTS = ("doc", "params", "field", "$", "emit", "Math", "String", "Integer", "Long")

Variables = Mapping[str, tuple[str, Value | None]]
"""Name to the type it is declared with, and its value if it has one."""


class Expressions:
    """Compiles the expressions of one script.

    Args:
        fields: What `doc` has.
        params: What `params` has.
    """

    def __init__(self, fields: Fields, params: Mapping[str, Any]) -> None:
        self._fields = fields
        self._params = params
        self.variables: Variables = {}
        self._depth = 0
        self._compilers: dict[type[tree.Expression], Callable[[Any], Value]] = {
            tree.Constant: self._constant,
            tree.Name: self._name,
            tree.Unary: self._unary,
            tree.Binary: self._binary,
            tree.Ternary: self._ternary,
            tree.Cast: self._cast,
            tree.Member: self._member,
            tree.Index: self._index,
            tree.Call: self._call,
        }

    def compile(self, node: tree.Expression) -> Value:
        """Return a compiled expression.

        Raises:
            JobsScriptError: Its types do not fit, it is nested too deep, or SQL cannot answer it as Painless would.
        """
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise refused(node, f"an expression nested deeper than {DEPTH_MAX} levels")
        try:
            return self._compilers[type(node)](node)
        finally:
            self._depth -= 1

    def condition(self, node: tree.Expression) -> Value:
        """Return a compiled condition.

        Raises:
            JobsScriptError: It is no boolean.
        """
        found = self.compile(node)
        if found.kind is not Kind.BOOLEAN:
            raise refused(node, f"[{found.kind}] as condition", allowed=("boolean",))
        return found

    def _constant(self, node: tree.Constant) -> Value:
        if node.value is None:
            raise refused(
                node, "null at this place; a field that a row may lack is asked with .size() == 0", name="null"
            )
        return constant(node, node.value, Kind(node.kind))

    def _name(self, node: tree.Name) -> Value:
        if node.name not in self.variables:
            hint = "; it gives a value as part of an expression only" if node.name in _ROOTS else ""
            known = (*self.variables, *_ROOTS)
            raise refused(node, f"[{node.name}] is no variable{hint}", allowed=known, name=node.name)
        found = self.variables[node.name][1]
        if found is None:
            raise refused(node, f"the variable [{node.name}] has no value here", name=node.name)
        return found

    def _unary(self, node: tree.Unary) -> Value:
        if node.sign == "!":
            found = self.condition(node.operand)
            known = None if found.known is None else not found.known
            return replace(found, sql=opposite(found.sql), known=known)
        if node.sign == "~":
            raise refused(node, "the operator [~] is not supported", name="~")
        found = self.compile(node.operand)
        if node.sign == "+":
            return arithmetic(node, "+", constant(node, 0, Kind.INT), found) if not found.kind.numeric else found
        return negative(node, found)

    def _binary(self, node: tree.Binary) -> Value:
        sign = node.sign
        if sign in {"&&", "||"}:
            return self._logical(node)
        if sign in {"==", "!=", "===", "!=="}:
            return self._equality(node)
        left, right = self.compile(node.left), self.compile(node.right)
        if sign in {"<", "<=", ">", ">="}:
            if not (left.kind.numeric and right.kind.numeric):
                raise refused(node, f"[{sign}] of {left.kind} and {right.kind}", allowed=("numbers",), name=sign)
            return made(node, Kind.BOOLEAN, _compared(sign, left, right), left, right)
        if sign == "+" and Kind.STRING in {left.kind, right.kind}:
            parts = as_text(node.left, left), as_text(node.right, right)
            return made(node, Kind.STRING, compose("({} || {})", parts[0].sql, parts[1].sql), *parts)
        if sign in {"+", "-", "*", "/", "%"}:
            return arithmetic(node, sign, left, right)
        raise refused(node, f"the operator [{sign}] is not supported", name=sign)

    def _logical(self, node: tree.Binary) -> Value:
        """Return `&&` or `||`: the right side is not even looked at where the left one decides, or fails."""
        left, right = self.condition(node.left), self.condition(node.right)
        both = node.sign == "&&"
        if not left.fails:
            text = compose("({} AND {})", left.sql, right.sql) if both else compose("({} OR {})", left.sql, right.sql)
        elif both:
            text = compose("(CASE WHEN {} THEN {} WHEN {} THEN {} END)", left.sql, right.sql, opposite(left.sql), FALSE)
        else:
            text = compose("(CASE WHEN {} THEN {} WHEN {} THEN {} END)", left.sql, TRUE, opposite(left.sql), right.sql)
        if left.fails or right.fails:
            return chosen(node, Kind.BOOLEAN, text, left.needs)
        return made(node, Kind.BOOLEAN, text)

    def _equality(self, node: tree.Binary) -> Value:
        equal = node.sign.startswith("=")
        sides = [node.left, node.right]
        nulls = [isinstance(side, tree.Constant) and side.value is None for side in sides]
        if any(nulls):
            # No value is null here: a field that a row lacks makes the script fail when it is read.
            if all(nulls):
                return constant(node, equal)
            value = self.compile(sides[nulls.index(False)])
            answer = constant(node, not equal)
            if not value.fails:
                return answer
            text = compose("(CASE WHEN {} IS NOT NULL THEN {} END)", value.sql, answer.sql)
            return made(node, Kind.BOOLEAN, text, value)
        left, right = (self.compile(side) for side in sides)
        if left.kind is not right.kind and not (left.kind.numeric and right.kind.numeric):
            raise refused(node, f"[{node.sign}] of {left.kind} and {right.kind}, which are never equal", name=node.sign)
        if left.kind in {Kind.DAY_OF_WEEK, Kind.INSTANT}:
            raise refused(
                node, f"[{node.sign}] of two {left.kind}; compare .getValue() or .toEpochMilli()", name=node.sign
            )
        return made(node, Kind.BOOLEAN, _compared("=" if equal else "<>", left, right), left, right)

    def _ternary(self, node: tree.Ternary) -> Value:
        condition = self.condition(node.condition)
        then, otherwise = self.compile(node.then), self.compile(node.otherwise)
        if then.kind is not otherwise.kind:
            if not (then.kind.numeric and otherwise.kind.numeric):
                raise refused(node, f"a choice between {then.kind} and {otherwise.kind}", name="?")
            if Kind.DOUBLE in {then.kind, otherwise.kind}:
                then, otherwise = as_double(then), as_double(otherwise)
        kind = then.kind if then.kind is otherwise.kind else Kind.LONG
        if isinstance(condition.known, bool):
            return replace(then if condition.known else otherwise, kind=kind)
        return either(node, condition, then, otherwise, kind)

    def _cast(self, node: tree.Cast) -> Value:
        value = self.compile(node.operand)
        if node.type == "def":
            return value
        if value.kind.numeric and node.type in {"int", "long", "double", "Integer", "Long", "Double"}:
            kind = {"Integer": Kind.INT}.get(node.type) or Kind(node.type.lower())
            if kind is Kind.INT:
                return narrowed(node, value)
            if kind is Kind.DOUBLE:
                return as_double(value)
            if value.kind is Kind.DOUBLE:
                return whole_of(node, value)
            return replace(value, kind=Kind.LONG)
        if node.type.lower() == value.kind.lower():
            return value
        raise refused(node, f"a cast of {value.kind} to {node.type}", allowed=("int", "long", "double"), name=node.type)

    def _member(self, node: tree.Member) -> Value:
        """Return `target.name`: a getter without its `get`, a constant of Math, a parameter, a field's value."""
        root = node.target.name if isinstance(node.target, tree.Name) else ""
        if root in self.variables:
            root = ""
        if root == "Math" and node.name in {"PI", "E"}:
            return constant(node, 3.141592653589793 if node.name == "PI" else E)
        if root == "params":
            return param_of(node, node.name, self._params)
        doc = self._doc(node.target)
        if doc is not None:
            if node.name in {"value", "empty", "length"}:
                method = {"value": "getValue", "empty": "isEmpty", "length": "size"}[node.name]
                return field_value(node, doc, method, ())
            raise refused(node, f"[{node.name}] of a field", allowed=OF_FIELD, name=node.name)
        if root == "doc":
            raise refused(node, f"[doc.{node.name}]; write doc['{node.name}']", name=node.name)
        target = self.compile(node.target)
        getter = f"get{node.name[:1].upper()}{node.name[1:]}"
        return call_method(node, target, "toInstant" if node.name == "instant" else getter, ())

    def _index(self, node: tree.Index) -> Value:
        if isinstance(node.target, tree.Name) and node.target.name == "params" and "params" not in self.variables:
            return param_of(node, plain_text(node.key, "the name of a parameter"), self._params)
        doc = self._doc(node.target)
        if doc is not None and isinstance(node.key, tree.Constant) and node.key.value == 0:
            return field_value(node, doc, "getValue", ())
        if self._doc(node) is not None:
            raise refused(node, "a field without .value or .size()", allowed=OF_FIELD)
        raise refused(node, "[...] of anything but doc and params")

    def _doc(self, node: tree.Expression) -> Doc | None:
        """Return the field of `doc['f']`, `doc.get('f')` or `field('f')`; None where the node is none of these."""
        if isinstance(node, tree.Index) and self._is(node.target, "doc"):
            return doc_of(node.key, plain_text(node.key, "the name of a field"), self._fields)
        if isinstance(node, tree.Call) and len(node.arguments) == 1:
            of_doc = node.target is not None and node.name == "get" and self._is(node.target, "doc")
            if of_doc or (node.target is None and node.name == "field"):
                return doc_of(node.arguments[0], plain_text(node.arguments[0], "the name of a field"), self._fields)
        return None

    def _is(self, node: tree.Expression, name: str) -> bool:
        return isinstance(node, tree.Name) and node.name == name and name not in self.variables

    def _call(self, node: tree.Call) -> Value:
        if node.target is None:
            return self._function(node)
        if isinstance(node.target, tree.Name) and node.target.name not in self.variables:
            found = self._static(node, node.target.name)
            if found is not None:
                return found
        doc = self._doc(node.target)
        if doc is not None:
            # doc['f'].get(0) is the first value; field('f').get(default) what to take where there is none.
            of_doc = not (isinstance(node.target, tree.Call) and node.target.name == "field")
            if node.name == "get" and of_doc:
                if [one.value for one in node.arguments if isinstance(one, tree.Constant)] != [0]:
                    raise refused(node, "another value of a field than the first, .get(0)", name="get")
                return field_value(node, doc, "getValue", ())
            return field_value(node, doc, node.name, tuple(self.compile(one) for one in node.arguments))
        target = self.compile(node.target)
        if node.name == "getDisplayName" and target.kind is Kind.DAY_OF_WEEK:
            return day_name(node, target)
        return call_method(node, target, node.name, [self.compile(one) for one in node.arguments])

    def _function(self, node: tree.Call) -> Value:
        if node.name == "$" and len(node.arguments) == 2:
            doc = doc_of(node.arguments[0], plain_text(node.arguments[0], "the name of a field"), self._fields)
            return field_value(node, doc, "get", (self.compile(node.arguments[1]),))
        if node.name == "emit":
            raise refused(node, "emit(...) inside an expression; it is a statement of its own", name="emit")
        if node.name == "field":
            raise refused(node, "field(...) without .get(default)", allowed=("field('f').get(default)",), name="field")
        raise refused(node, f"the function [{node.name}]", allowed=("emit", "field", "$"), name=node.name)

    def _static(self, node: tree.Call, root: str) -> Value | None:
        """Return a call of a class, or of `doc` itself; None where the target is neither."""
        if root == "doc" and node.name == "containsKey" and len(node.arguments) == 1:
            return constant(node, plain_text(node.arguments[0], "the name of a field") in self._fields)
        if root == "params" and node.name in {"get", "containsKey"} and len(node.arguments) == 1:
            name = plain_text(node.arguments[0], "the name of a parameter")
            return param_of(node, name, self._params) if node.name == "get" else constant(node, name in self._params)
        if root == "Math":
            return self._math(node)
        if root not in STATIC:
            return None
        table = STATIC[root]
        if node.name not in table or len(node.arguments) != 1:
            allowed = tuple(f"{root}.{name}" for name in table)
            raise refused(
                node, f"[{root}.{node.name}] of {len(node.arguments)} arguments", allowed=allowed, name=node.name
            )
        return table[node.name](node, [self.compile(node.arguments[0])])

    def _math(self, node: tree.Call) -> Value:
        if node.name not in MATH:
            raise refused(node, f"the method [{node.name}] of Math", allowed=tuple(MATH), name=node.name)
        count, build = MATH[node.name]
        args = [self.compile(one) for one in node.arguments]
        if len(args) != count or not all(one.kind.numeric for one in args):
            given = ", ".join(one.kind for one in args)
            raise refused(node, f"Math.{node.name} of ({given}); it takes {count} numbers", name=node.name)
        return build(node, args)


def _compared(sign: str, left: Value, right: Value) -> Sql:
    signs = {"<": "({} < {})", "<=": "({} <= {})", ">": "({} > {})", ">=": "({} >= {})", "=": "({} = {})"}
    return compose(signs.get(sign, "({} <> {})"), left.sql, right.sql)
