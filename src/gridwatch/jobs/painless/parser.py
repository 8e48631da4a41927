"""Script to syntax tree, by a grammar of the part of Painless that is taken."""

from __future__ import annotations

import functools
import math
import re
import struct
from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from gridwatch.errors import JobsScriptError
from gridwatch.jobs.painless import tree

__all__ = ["CHARACTERS_MAX", "parse"]

CHARACTERS_MAX = 16_384

_GRAMMAR = r"""
start: statement*
_last: _simple

?statement: _simple ";"
    | block
    | "if" "(" expression ")" statement ["else" statement] -> if_
    | ";" -> nothing
block: "{" statement* [_last] "}"
_simple: declaration | assignment | step | return_ | evaluate
declaration: (TYPE | NAME) variable ("," variable)*
variable: NAME ["=" expression]
assignment: NAME ASSIGN expression
    | NAME "=" expression -> plain_assignment
step: NAME STEP
return_: "return" [expression]
evaluate: expression

?expression: or_ | or_ "?" expression ":" expression -> ternary
?or_: and_ | or_ OR and_ -> binary
?and_: bits | and_ AND bits -> binary
?bits: equality | bits BITS equality -> binary
?equality: relation | equality EQUALITY relation -> binary
?relation: shifted | relation RELATION shifted -> binary
?shifted: sum | shifted SHIFT sum -> binary
?sum: product | sum SIGN product -> binary
?product: unary | product TIMES unary -> binary
?unary: postfix
    | (NOT | SIGN) unary -> unary
    | "(" TYPE ")" unary -> cast
?postfix: atom
    | postfix "." NAME -> member
    | postfix "." NAME "(" [_arguments] ")" -> call
    | postfix "[" expression "]" -> index
?atom: NUMBER -> number
    | TEXT -> text
    | TRUTH -> truth
    | NULL -> null
    | NAME -> name
    | TYPE "." NAME "(" [_arguments] ")" -> static
    | NAME "(" [_arguments] ")" -> function
    | "(" expression ")"
_arguments: expression ("," expression)*

OR: "||"
AND: "&&"
BITS: /[&|^](?![&|=])/
EQUALITY: /===?|!==?/
RELATION: /<=|>=|<(?!<)|>(?!>)/
SHIFT: /<<|>>>?/
SIGN: /[+-](?![+\-=])/
TIMES: /[*\/%](?!=)/
NOT: /!(?!=)|~/
ASSIGN: /[+\-*\/%]=/
STEP: "++" | "--"
TYPE.3: /(def|boolean|byte|short|char|int|long|float|double|String|Boolean|Integer|Long|Double)(?![A-Za-z0-9_])/
TRUTH.3: /(true|false)(?![A-Za-z0-9_])/
NULL.3: /null(?![A-Za-z0-9_])/
NAME: /[$A-Za-z_][A-Za-z0-9_]*/
NUMBER: /(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?[lLfFdD]?(?![A-Za-z0-9_.])/
TEXT: /'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/
COMMENT: /\/\/[^\n]*|\/\*(?:[^*]|\*(?!\/))*\*\//
%ignore /[ \t\r\n]+/
%ignore COMMENT
"""

_UNTAKEN = {
    "for": "a for loop",
    "while": "a while loop",
    "do": "a do loop",
    "break": "break",
    "continue": "continue",
    "new": "new",
    "instanceof": "instanceof",
    "try": "try",
    "catch": "catch",
    "throw": "throw",
    "this": "this",
    "->": "a lambda",
    "::": "a reference to a method",
    "?.": "the operator ?.",
    "?:": "the operator ?:",
    "=~": "a regular expression",
    "==~": "a regular expression",
}
# Texts and comments are passed over.
_WORDS = re.compile(
    r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?\*/|[A-Za-z_$][A-Za-z0-9_]*|->|::|\?\.|\?:|==?~""",
    re.DOTALL,
)
_INT_MAX, _LONG_MAX = 2**31 - 1, 2**63 - 1


def parse(source: str) -> tuple[tree.Statement, ...]:
    """Return the statements of a script.

    Raises:
        JobsScriptError: It is too long, or something in it is not of the part that is taken; has line and column.
    """
    if len(source) > CHARACTERS_MAX:
        raise JobsScriptError(f"a script of {len(source)} characters; at most {CHARACTERS_MAX} are taken")
    for word in _WORDS.finditer(source):
        if word.group() in _UNTAKEN:
            line, column = _line_column(source, word.start())
            what = f"{_UNTAKEN[word.group()]} is not supported"
            raise JobsScriptError(what, line=line, column=column, name=word.group())
    try:
        # The last statement needs no semicolon; a line of its own, since a comment may stand there.
        read = _parser().parse(f"{source}\n;")
    except UnexpectedInput as error:
        raise _unexpected(error, source) from error
    builder = _Builder()
    found: dict[int, Any] = {}
    # From the leaves up, in a loop: a script nested a thousand deep makes nothing recurse.
    for part in read.iter_subtrees():
        children = [found[id(child)] if isinstance(child, Tree) else child for child in part.children]
        found[id(part)] = getattr(builder, str(part.data))(part.meta, children)
    return tuple(found[id(read)])


@functools.lru_cache(maxsize=1)
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", lexer="contextual", propagate_positions=True, maybe_placeholders=True)


def _unexpected(error: UnexpectedInput, source: str) -> JobsScriptError:
    """Return the error for what cannot be read, by name where it is of Painless."""
    if isinstance(error, UnexpectedToken) and (error.pos_in_stream or 0) < len(source) and error.token.type != "$END":
        word = str(error.token)[:40]
        return JobsScriptError(f"unexpected [{word}]", line=error.line, column=error.column, name=word)
    if isinstance(error, UnexpectedCharacters):
        rest = source[error.pos_in_stream or 0 :][:20]
        return JobsScriptError(f"unexpected [{rest}]", line=error.line, column=error.column, name=rest)
    line, column = _line_column(source, len(source))
    return JobsScriptError("the script ends too early", line=line, column=column)


def _line_column(source: str, place: int) -> tuple[int, int]:
    return source.count("\n", 0, place) + 1, place - source.rfind("\n", 0, place)


def _number(token: Token) -> tuple[str, int | float]:
    text, line, column = str(token), token.line or 0, token.column or 0
    suffix = text[-1].lower() if text[-1].isalpha() else ""
    digits = text[:-1] if suffix else text
    if suffix in {"f", "d"} or set(digits) & set(".eE"):
        if suffix == "l":
            raise JobsScriptError(f"the number [{text[:40]}] is no long", line=line, column=column)
        found = float(digits)
        if not math.isfinite(found):
            raise JobsScriptError(f"the number [{text[:40]}] is beyond the range of double", line=line, column=column)
        return "double", float(struct.unpack("<f", struct.pack("<f", found))[0]) if suffix == "f" else found
    # More digits than a long has are not even read.
    whole = int(digits[:20])
    if whole > (_LONG_MAX if suffix else _INT_MAX):
        hint = "" if suffix else f"; write [{digits}L]" if whole <= _LONG_MAX else ""
        kind = "long" if suffix else "int"
        raise JobsScriptError(f"the number [{text[:40]}] is beyond the range of {kind}{hint}", line=line, column=column)
    return "long" if suffix else "int", whole


def _text(token: Token) -> str:
    inner = str(token)[1:-1]
    wrong = re.search(r"\\[^\\'\"]", inner)
    if wrong:
        raise JobsScriptError(
            f"the escape [{wrong.group()}] in a text",
            line=token.line or 0,
            column=token.column or 0,
            allowed=("\\\\", "\\'", '\\"'),
        )
    return re.sub(r"\\(.)", r"\1", inner)


class _Builder:
    """Makes the nodes; a method for each rule of the grammar."""

    def start(self, meta: Any, children: list[Any]) -> list[tree.Statement]:
        return children

    def nothing(self, meta: Any, children: list[Any]) -> tree.Statement:
        return tree.Block(*_place(meta), ())

    def block(self, meta: Any, children: list[Any]) -> tree.Statement:
        return tree.Block(*_place(meta), tuple(child for child in children if child is not None))

    def if_(self, meta: Any, children: list[Any]) -> tree.Statement:
        return tree.If(*_place(meta), *children)

    def variable(self, meta: Any, children: list[Any]) -> tuple[str, tree.Expression | None]:
        return str(children[0]), children[1]

    def declaration(self, meta: Any, children: list[Any]) -> tree.Statement:
        return tree.Declare(*_place(meta), str(children[0]), tuple(children[1:]))

    def assignment(self, meta: Any, children: list[Any]) -> tree.Statement:
        return tree.Assign(*_place(meta), str(children[0]), str(children[1])[0], children[2])

    def plain_assignment(self, meta: Any, children: list[Any]) -> tree.Statement:
        return tree.Assign(*_place(meta), str(children[0]), "", children[1])

    def step(self, meta: Any, children: list[Any]) -> tree.Statement:
        line, column = _place(meta)
        return tree.Assign(line, column, str(children[0]), str(children[1])[0], tree.Constant(line, column, "int", 1))

    def return_(self, meta: Any, children: list[Any]) -> tree.Statement:
        return tree.Return(*_place(meta), children[0])

    def evaluate(self, meta: Any, children: list[Any]) -> tree.Statement:
        return tree.Evaluate(*_place(meta), children[0])

    def ternary(self, meta: Any, children: list[Any]) -> tree.Expression:
        return tree.Ternary(*_place(meta), *children)

    def binary(self, meta: Any, children: list[Any]) -> tree.Expression:
        left, sign, right = children
        return tree.Binary(*_place(meta), str(sign), left, right)

    def unary(self, meta: Any, children: list[Any]) -> tree.Expression:
        return tree.Unary(*_place(meta), str(children[0]), children[1])

    def cast(self, meta: Any, children: list[Any]) -> tree.Expression:
        return tree.Cast(*_place(meta), str(children[0]), children[1])

    def member(self, meta: Any, children: list[Any]) -> tree.Expression:
        return tree.Member(children[1].line, children[1].column, children[0], str(children[1]))

    def call(self, meta: Any, children: list[Any]) -> tree.Expression:
        target, name, *arguments = children
        return tree.Call(name.line, name.column, target, str(name), _given(arguments))

    def static(self, meta: Any, children: list[Any]) -> tree.Expression:
        kind, name, *arguments = children
        target = tree.Name(kind.line, kind.column, str(kind))
        return tree.Call(name.line, name.column, target, str(name), _given(arguments))

    def function(self, meta: Any, children: list[Any]) -> tree.Expression:
        name, *arguments = children
        return tree.Call(name.line, name.column, None, str(name), _given(arguments))

    def index(self, meta: Any, children: list[Any]) -> tree.Expression:
        return tree.Index(*_place(meta), *children)

    def number(self, meta: Any, children: list[Any]) -> tree.Expression:
        return tree.Constant(*_place(meta), *_number(children[0]))

    def text(self, meta: Any, children: list[Any]) -> tree.Expression:
        return tree.Constant(*_place(meta), "String", _text(children[0]))

    def truth(self, meta: Any, children: list[Any]) -> tree.Expression:
        return tree.Constant(*_place(meta), "boolean", str(children[0]) == "true")

    def null(self, meta: Any, children: list[Any]) -> tree.Expression:
        return tree.Constant(*_place(meta), "null", None)

    def name(self, meta: Any, children: list[Any]) -> tree.Expression:
        return tree.Name(*_place(meta), str(children[0]))


def _place(meta: Any) -> tuple[int, int]:
    # A rule of nothing has no place.
    return getattr(meta, "line", 1), getattr(meta, "column", 1)


def _given(arguments: list[Any]) -> tuple[tree.Expression, ...]:
    return tuple(one for one in arguments if one is not None)
