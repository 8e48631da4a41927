"""Tokens to syntax tree: TQL's grammar, by precedence climbing."""

from __future__ import annotations

import re

from gridwatch.containers.schema import ColumnType
from gridwatch.containers.tql.lexer import TOKEN, Kind, Token, refused, tokens
from gridwatch.containers.tql.tree import (
    Binary,
    Call,
    Is,
    Like,
    Literal,
    Logic,
    Name,
    Node,
    Order,
    Star,
    TqlQuery,
    Unary,
)

__all__ = ["parse"]

_KEYWORDS = frozenset(
    {"ANALYZE", "AND", "ASC", "BETWEEN", "BY", "DESC", "ESCAPE", "EXCLUSIVE", "EXPLAIN", "FROM", "IF", "IN", "INF"}
    | {"IS", "ISNULL", "LIKE", "LIMIT", "NAN", "NOT", "NOTNULL", "NULL", "OFFSET", "OR", "ORDER", "PRAGMA", "SELECT"}
    | {"WHERE", "XOR"}
)
# Keywords that are names where a name is due.
_NAMES_TOO = frozenset({"ASC", "DESC", "EXCLUSIVE", "EXPLAIN", "IF", "LIKE", "PRAGMA"})

_NOT = 4
_EQUAL = 5
_BITS = 7
_PRECEDENCE = {
    **{"OR": 1, "XOR": 1, "AND": 3},
    **dict.fromkeys(("IS", "LIKE", "NOT", "=", "<>"), _EQUAL),
    **dict.fromkeys(("<", "<=", ">", ">="), 6),
    **dict.fromkeys(("&", "|", "<<", ">>"), _BITS),
    **dict.fromkeys(("+", "-"), 8),
    **dict.fromkeys(("*", "/", "%"), 9),
}
_UNARY = 10

_DEPTH_MAX = 100

_LONG_MAX = 2**63 - 1


def parse(statement: str) -> TqlQuery:
    """Return the syntax tree of one TQL SELECT.

    Raises:
        SqlRefusedError: It does not parse (151001, 151002), or is an EXPLAIN or PRAGMA.
    """
    return _Parser(statement).query()


class _Parser:
    def __init__(self, statement: str) -> None:
        self._tokens = tokens(statement)
        self._token = next(self._tokens)
        self._depth = 0

    def query(self) -> TqlQuery:
        word = self._token.word
        if word in {"EXPLAIN", "PRAGMA"}:
            raise refused(f"{word}, which this store does not have", code=None)
        self._expect("SELECT")
        selection = Star() if self._accept("*") else self._function()
        container, database = self._source() if self._accept("FROM") else (None, None)
        where = self._expression(0) if self._accept("WHERE") else None
        order = self._order() if self._accept("ORDER") else ()
        limit, offset = self._limit() if self._accept("LIMIT") else (None, 0)
        self._accept(";")
        if self._token.kind is not Kind.END:
            raise self._error()
        return TqlQuery(selection, container, database, where, order, limit, offset)

    def _next(self) -> Token:
        token = self._token
        self._token = next(self._tokens)
        return token

    def _accept(self, word: str) -> bool:
        if self._token.word != word:
            return False
        self._next()
        return True

    def _expect(self, word: str) -> None:
        if not self._accept(word):
            raise self._error(f"{word} is due")

    def _error(self, hint: str = "") -> Exception:
        token = self._token
        if token.kind is Kind.END:
            return refused("the statement ends too early", code=TOKEN, hint=hint)
        return refused(f"{token.text!r} at character {token.start + 1}", hint=hint)

    def _named(self) -> bool:
        """Whether the token is a name, or a keyword that can be one."""
        token = self._token
        return token.kind is Kind.QUOTED or (
            token.kind is Kind.NAME and (token.word not in _KEYWORDS or token.word in _NAMES_TOO)
        )

    def _source(self) -> tuple[Name, Name | None]:
        if self._accept("("):
            found = self._source()
            self._expect(")")
            return found
        first = self._source_name()
        return (self._source_name(), first) if self._accept(".") else (first, None)

    def _source_name(self) -> Name:
        token = self._token
        if not self._named() and token.kind not in {Kind.CONTAINER, Kind.STRING}:
            raise self._error("the name of the container is due")
        self._next()
        # Text in single quotes is read with its quotes, so that it names nothing.
        text = f"'{token.text}'" if token.kind is Kind.STRING else token.text
        return Name(text, token.kind is Kind.QUOTED)

    def _function(self) -> Call:
        if not self._named():
            raise self._error("'*' or an aggregation or selection function is due")
        name = self._next()
        if self._token.word != "(":
            raise self._error(f"columns cannot be chosen; '(' is due after {name.text!r}")
        return self._call(name)

    def _call(self, name: Token) -> Call:
        self._expect("(")
        arguments: list[Node] = []
        if self._token.word != ")":
            arguments.append(Star() if self._accept("*") else self._expression(0))
            while self._accept(","):
                arguments.append(self._expression(0))
        self._expect(")")
        written = f'"{name.text}"' if name.kind is Kind.QUOTED else name.text.upper()
        return Call(written, tuple(arguments))

    def _order(self) -> tuple[Order, ...]:
        self._expect("BY")
        keys = [self._order_key()]
        while self._accept(","):
            keys.append(self._order_key())
        return tuple(keys)

    def _order_key(self) -> Order:
        key = self._expression(0)
        if self._accept("DESC"):
            return Order(key, descending=True)
        self._accept("ASC")
        return Order(key, descending=False)

    def _limit(self) -> tuple[int, int]:
        limit = self._count("a number of rows is due after LIMIT")
        return limit, self._count("a number of rows is due after OFFSET") if self._accept("OFFSET") else 0

    def _count(self, hint: str) -> int:
        if self._token.kind is not Kind.INTEGER:
            raise self._error(hint)
        return min(_whole(self._next().text), _LONG_MAX)

    def _expression(self, least: int) -> Node:
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise refused(f"an expression nested deeper than {_DEPTH_MAX}", code=None)
        left = self._prefix()
        while True:
            word = self._token.word
            precedence = _PRECEDENCE.get(word, 0)
            if precedence <= least:
                break
            left = self._infix(left, word, precedence)
        self._depth -= 1
        return left

    def _infix(self, left: Node, word: str, precedence: int) -> Node:
        self._next()
        if word in {"AND", "OR"}:
            return Logic(word, (left, self._expression(precedence)))
        if word == "XOR":
            right = self._expression(precedence)
            only_left = Logic("AND", (left, Logic("NOT", (right,))))
            return Logic("OR", (only_left, Logic("AND", (Logic("NOT", (left,)), right))))
        if word == "IS":
            negated = self._accept("NOT")
            return Is(left, self._expression(precedence), negated)
        if word in {"NOT", "LIKE"}:
            if word == "NOT":
                self._expect("LIKE")
            pattern = self._expression(precedence)
            escape = self._expression(_BITS - 1) if self._accept("ESCAPE") else None
            return Like(left, pattern, escape, word == "NOT")
        return Binary(word, left, self._expression(precedence))

    def _prefix(self) -> Node:
        if self._accept("NOT"):
            return Logic("NOT", (self._expression(_NOT),))
        if self._accept("-"):
            return Unary(self._expression(_UNARY))
        if self._accept("+"):
            return self._expression(_UNARY)
        if self._accept("("):
            inside = self._expression(0)
            self._expect(")")
            return inside
        return self._term()

    def _term(self) -> Node:
        token = self._token
        if self._named():
            self._next()
            if self._token.word == "(":
                return self._call(token)
            return Name(token.text, token.kind is Kind.QUOTED)
        if token.kind is Kind.STRING:
            value: Node = Literal(token.text, ColumnType.STRING)
        elif token.kind is Kind.INTEGER:
            value = Literal(_whole(token.text), ColumnType.LONG)
        elif token.kind is Kind.FLOAT:
            value = Literal(float(token.text), ColumnType.DOUBLE)
        elif token.word == "NULL":
            value = Literal(None, None)
        elif token.word in {"NAN", "INF"}:
            value = Literal(float(token.text), ColumnType.DOUBLE)
        elif token.kind is Kind.BLOB:
            raise refused(f"bytes such as {token.text}", code=None)
        else:
            raise self._error()
        self._next()
        return value


def _whole(text: str) -> int:
    """Read digits as C does: octal after a leading zero; too large a number ends at the limits of LONG."""
    if text.startswith("0"):
        octal = re.match("[0-7]*", text)
        value = int(octal[0], 8) if octal is not None else 0
    else:
        value = int(text)
    if value <= _LONG_MAX:
        return value
    # GridDB means the least LONG, whose digits alone are one too large, and takes it by its last digit.
    return _LONG_MAX if text.endswith("7") else -_LONG_MAX - 1
