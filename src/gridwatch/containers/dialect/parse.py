"""Text to syntax tree: sqlglot with a dialect that knows no function and no extension by itself."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from sqlglot import Dialect, exp, parser, tokens
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from gridwatch.containers._keys import ms_of
from gridwatch.containers.schema import TIMESTAMP_MS_MAX
from gridwatch.errors import SqlRefusedError

__all__ = [
    "RANGE_MARK",
    "TYPE_NAMES",
    "check_text",
    "only",
    "parse_statement",
    "refused",
    "time_parameter",
    "tokens_of",
    "verb_of",
]

SYNTAX = 240001

RANGE_MARK = "\x01"
"""Before the word of FILL in what is made of RANGE ... EVERY, so that nobody can write it so."""

TYPE_NAMES = frozenset(
    {
        *("BOOL", "STRING", "TEXT", "VARCHAR", "CHAR", "BYTE", "TINYINT", "SHORT", "SMALLINT", "INTEGER", "INT"),
        *("LONG", "BIGINT", "FLOAT", "REAL", "DOUBLE", "NUMERIC", "TIMESTAMP", "BLOB"),
    }
)

_CHARACTERS_MAX = 200_000
_KEPT, _KEPT_CHARACTERS = 128, 4_000
"""Statements whose trees are kept, and how long they may be: the same few come again and again, with other parameters.
A tree takes some 2 ms to make and a hundred times its text of memory."""
_OPERATORS = frozenset([*"(),.;+-*/%=<>&|~?", "==", "!=", "<>", "<=", ">=", "||", "<<", ">>"])


class GridDB(Dialect):
    """GridDB's lexical rules; every call stays a plain name with arguments, checked in `functions`."""

    class Tokenizer(tokens.Tokenizer):
        """Double quotes or brackets around names, single quotes around text."""

        IDENTIFIERS = ['"', ("[", "]")]  # noqa: RUF012  sqlglot's own way
        QUOTES = ["'"]  # noqa: RUF012
        STRING_ESCAPES = ["'"]  # noqa: RUF012
        HEX_STRINGS = [("x'", "'"), ("X'", "'")]  # noqa: RUF012
        COMMENTS = ["--", ("/*", "*/")]  # noqa: RUF012
        # Other databases' names of types are plain names here, and so no types. REAL is DOUBLE for GridDB.
        KEYWORDS: ClassVar[dict[str, TokenType]] = {
            word: kind
            for word, kind in tokens.Tokenizer.KEYWORDS.items()
            if kind not in parser.Parser.TYPE_TOKENS
            or word in TYPE_NAMES
            or word in {"NULL", "UNION", "DOUBLE PRECISION"}
        } | {"REAL": TokenType.DOUBLE}

    class Parser(parser.Parser):
        """Only CAST and CASE have a syntax of their own."""

        FUNCTIONS: ClassVar[dict[str, Any]] = {}
        FUNCTION_PARSERS = {"CAST": lambda self: self._parse_cast(True)}  # noqa: RUF012
        NO_PAREN_FUNCTIONS: ClassVar[dict[TokenType, Any]] = {}
        NO_PAREN_FUNCTION_PARSERS = {  # noqa: RUF012
            name: parse for name, parse in parser.Parser.NO_PAREN_FUNCTION_PARSERS.items() if name == "CASE"
        }


_DIALECT = GridDB()


def refused(what: str, *, code: int | None = SYNTAX, hint: str = "") -> SqlRefusedError:
    """Return the error for a construct that GridDB refuses, or that has no equal on this store."""
    return SqlRefusedError(f"SQL refused: {what}{'; ' + hint if hint else ''}.", code=code)


def check_text(value: str) -> None:
    """Refuse text that no STRING holds.

    Raises:
        SqlRefusedError: It holds a NUL, or is not Unicode.
    """
    if "\0" in value:
        raise refused("text with a NUL character", code=145006)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise refused("text that is not Unicode", code=None) from error


def time_parameter(number: int, value: datetime) -> int:
    """Return the UTC epoch ms of a parameter; a naive time means UTC.

    Args:
        number: Of the parameter, from 1, for messages.
        value: Its value.

    Raises:
        SqlRefusedError: It is finer than a millisecond, or outside GridDB's range (60079).
    """
    try:
        ms = ms_of(value)
    except ValueError as error:
        raise refused(f"parameter {number}: {error}", code=None) from error
    if not 0 <= ms <= TIMESTAMP_MS_MAX:
        raise refused(f"parameter {number}, {value.isoformat()}, which is outside 1970 to 9999", code=60079)
    return ms


# What runs a statement asks for its verb first, and then has it compiled.
@functools.lru_cache(maxsize=4)
def tokens_of(statement: str) -> tuple[Token, ...]:
    """Return the tokens of one statement, without a final semicolon.

    Raises:
        SqlRefusedError: It is empty, too long, more than one, or holds a character outside GridDB's SQL.
    """
    if len(statement) > _CHARACTERS_MAX:
        raise refused(f"a statement of {len(statement)} characters", hint=f"at most {_CHARACTERS_MAX}")
    try:
        found = _DIALECT.tokenize(statement)
    except SqlglotError as error:
        raise refused(f"it cannot be read ({_first_line(error)})") from error
    while found and found[-1].token_type is TokenType.SEMICOLON:
        found.pop()
    if not found:
        raise refused("an empty statement")
    for before, token in zip([None, *found[:-1]], found, strict=True):
        if token.token_type is TokenType.SEMICOLON:
            raise refused("more than one statement", hint="run them one by one")
        quoted = token.token_type in {TokenType.STRING, TokenType.IDENTIFIER, TokenType.HEX_STRING, TokenType.NUMBER}
        if not quoted and not (token.text[:1].isalpha() or token.text[:1] == "_") and token.text not in _OPERATORS:
            raise refused(f"{token.text!r} (line {token.line}, column {token.col})")
        # sqlglot would take text after text as one, and text after AS as a name.
        after = before.token_type if before is not None else None
        if token.token_type is TokenType.STRING and after in {TokenType.STRING, TokenType.ALIAS}:
            raise refused(f"text {token.text!r} at this place (line {token.line}, column {token.col})")
        # The tree does not tell an order of nulls that is written from one that is not.
        if before is not None and before.text.upper() == "NULLS" and token.text.upper() in {"FIRST", "LAST"}:
            raise refused(f"NULLS {token.text.upper()}", hint="GridDB sorts null as the greatest value")
    # Several threads may have the same ones.
    return tuple(found)


def verb_of(statement: str) -> str:
    """Return the first word of a statement in capitals."""
    return tokens_of(statement)[0].text.upper()


def parse_statement(statement: str, parameters: Sequence[Any]) -> exp.Expression:
    """Return the syntax tree of one statement; its `?` become placeholders named 0, 1, ... in the order of the text.

    The tree may be that of an earlier call, in other threads too: nobody changes it.

    Raises:
        SqlRefusedError: It cannot be read, or has another number of `?` than there are parameters.
    """
    known = len(statement) <= _KEPT_CHARACTERS
    marks, tree = _kept_tree(statement) if known else _tree_of(statement)
    if marks != len(parameters):
        raise refused(f"{marks} '?' with {len(parameters)} parameters", code=None)
    return tree


def _tree_of(statement: str) -> tuple[int, exp.Expression]:
    """Return how many `?` a statement has, and its tree."""
    found = tokens_of(statement)
    marks = [token for token in found if token.token_type is TokenType.PLACEHOLDER]
    whole = statement[: found[-1].end + 1]
    edits = [(mark.start, mark.end, f":p{number}") for number, mark in enumerate(marks)]
    edits += _range_edits(found)
    text = whole
    for start, end, new in sorted(edits, reverse=True):
        text = f"{text[:start]}{new}{text[end + 1 :]}"
    if found[0].text.upper() == "REPLACE":
        text = f"INSERT OR {text[found[0].start :]}"
    try:
        trees = _DIALECT.parser().parse(list(found) if text == whole else _DIALECT.tokenize(text), text)
    except SqlglotError as error:
        raise refused(f"it cannot be read ({_first_line(error)})") from error
    except RecursionError as error:
        raise refused("an expression that is nested too deep") from error
    tree = trees[0] if len(trees) == 1 else None
    if not isinstance(tree, exp.Expression):
        raise refused("more than one statement", hint="run them one by one")
    return len(marks), tree


_kept_tree = functools.lru_cache(maxsize=_KEPT)(_tree_of)


def _range_edits(found: Sequence[Token]) -> list[tuple[int, int, str]]:
    """Return the edits that make RANGE (ts) EVERY (1, HOUR) FILL (LINEAR), which sqlglot does not know, a plain call.

    It becomes RANGE(LINEAR, ts, 1, HOUR), without FILL of NULL.
    """
    edits = []
    for place, (before, token, after) in enumerate(zip(found, found[1:], found[2:], strict=False)):
        if (before.text, token.text.upper(), after.text) != (")", "EVERY", "("):
            continue
        opening = next((i for i in range(place, 0, -1) if found[i].text == "("), 0)
        closing = next((i for i in range(place + 2, len(found)) if found[i].text == ")"), len(found))
        fill, words = "NULL", [token.text.upper() for token in found[closing + 1 : closing + 5]]
        if words[:2] == ["FILL", "("] and words[3:] == [")"]:
            fill = words[2]
            edits.append((found[closing + 1].start, found[closing + 4].end, ""))
        edits.append((found[opening].start, found[opening].end, f'("{RANGE_MARK}{fill}", '))
        edits.append((before.start, after.end, ", "))
    return edits


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0].rstrip(".")


def only(node: exp.Expression, *allowed: str) -> None:
    """Refuse a node that carries anything beside the allowed parts, so that no clause is dropped unseen.

    Raises:
        SqlRefusedError: It carries more; names the clause.
    """
    for name, value in node.args.items():
        if name not in allowed and value not in (None, False, [], ""):
            raise refused(f"{name.strip('_').upper().replace('_', ' ')} in {node.key.upper()}")
