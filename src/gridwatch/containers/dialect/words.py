"""The words of a statement taken one after the other, for what sqlglot does not read: definitions."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot.tokenizer_core import Token, TokenType

from gridwatch.containers.dialect.parse import refused

__all__ = ["RESERVED", "Name", "Words"]

RESERVED = frozenset(
    [
        "add",
        "alter",
        "and",
        "as",
        "between",
        "case",
        "collate",
        "commit",
        "create",
        "cross",
        "current",
        "delete",
        "distinct",
        "drop",
        "else",
        "escape",
        "except",
        "exists",
        "following",
        "from",
        "full",
        "grant",
        "group",
        "having",
        "identified",
        "if",
        "in",
        "index",
        "inner",
        "insert",
        "intersect",
        "into",
        "is",
        "isnull",
        "join",
        "left",
        "limit",
        "natural",
        "not",
        "notnull",
        "null",
        "on",
        "or",
        "order",
        "outer",
        "over",
        "password",
        "preceding",
        "primary",
        "rename",
        "revoke",
        "right",
        "role",
        "select",
        "set",
        "table",
        "then",
        "transaction",
        "union",
        "update",
        "user",
        "using",
        "values",
        "when",
        "where",
        "xor",
    ]
)
"""Words that GridDB takes for a name only in quotes; its other keywords are names where nothing else fits."""

Name = tuple[str, bool]
"""A name and whether it was quoted, and so keeps its case."""


class Words:
    """The words of one statement.

    Args:
        found: Its tokens.
        statement: Its text, for the parts that are kept as they are.
    """

    def __init__(self, found: Sequence[Token], statement: str) -> None:
        self._statement = statement
        # sqlglot makes one token of PRIMARY KEY and the like.
        self._words: list[tuple[str, TokenType, int]] = []
        for token in found:
            whole = token.token_type in {TokenType.IDENTIFIER, TokenType.STRING}
            parts = [token.text] if whole else token.text.split()
            self._words += [(text, token.token_type, token.start) for text in parts]
        self._at = 0

    def _next(self, ahead: int = 0) -> tuple[str, TokenType | None]:
        place = self._at + ahead
        if place >= len(self._words):
            return "", None
        text, kind, _ = self._words[place]
        return text, kind

    def shown(self, count: int) -> str:
        """Return the next words for a message."""
        return " ".join(text for text, _, _ in self._words[self._at : self._at + count]) or "the end of the statement"

    def take(self, *words: str) -> bool:
        """Take these words if they come next."""
        for ahead, word in enumerate(words):
            text, kind = self._next(ahead)
            if kind in {TokenType.IDENTIFIER, TokenType.STRING} or text.upper() != word:
                return False
        self._at += len(words)
        return True

    def need(self, *words: str) -> None:
        """Take these words, which must come next.

        Raises:
            SqlRefusedError: Something else does.
        """
        if not self.take(*words):
            raise refused(f"{self.shown(2)!r} where {' '.join(words)} is expected")

    def name_follows(self) -> bool:
        """Tell whether a name comes next."""
        text, kind = self._next()
        if kind is TokenType.IDENTIFIER:
            return True
        plain = kind is not TokenType.STRING and (text[:1].isalpha() or text[:1] == "_") and text.isascii()
        return plain and text.lower() not in RESERVED

    def name(self) -> Name:
        """Take a name.

        Raises:
            SqlRefusedError: Something else comes next, or a reserved word without quotes.
        """
        text, kind = self._next()
        if not self.name_follows():
            if kind is not TokenType.STRING and text.lower() in RESERVED:
                raise refused(f"{text!r} as a name", hint="quote it")
            raise refused(f"{self.shown(1)!r} where a name is expected")
        if not text:
            raise refused("an empty name")
        self._at += 1
        return text, kind is TokenType.IDENTIFIER

    def table(self) -> Name:
        """Take the name of a table; its database may stand before it."""
        found = self.name()
        if not self.take("."):
            return found
        database, quoted = found
        if (database if quoted else database.lower()) != "public":
            raise refused(f"a table of database {database!r}", code=280011, hint="this store has the database public")
        return self.name()

    def raw(self) -> str:
        """Take a name that stands for a type, with its quotes if it has some."""
        text, quoted = self.name()
        return f'"{text}"' if quoted else text

    def integer(self) -> int:
        """Take a whole number.

        Raises:
            SqlRefusedError: Something else comes next.
        """
        sign = -1 if self.take("-") else 1
        text, kind = self._next()
        if kind is not TokenType.NUMBER or not text.isdigit():
            raise refused(f"{self.shown(1)!r} where a whole number is expected")
        self._at += 1
        return sign * int(text)

    def constant(self) -> int | str:
        """Take a whole number or text.

        Raises:
            SqlRefusedError: Something else comes next.
        """
        text, kind = self._next()
        if kind is TokenType.STRING:
            self._at += 1
            return text
        return self.integer()

    def rest(self) -> str:
        """Take all that is left, as it was written."""
        if self._at >= len(self._words):
            raise refused("the end of the statement", hint="a SELECT is expected")
        start = self._words[self._at][2]
        self._at = len(self._words)
        return self._statement[start:].rstrip().rstrip(";")

    def end(self) -> None:
        """Check that nothing is left.

        Raises:
            SqlRefusedError: Something is.
        """
        if self._at < len(self._words):
            raise refused(f"{self.shown(3)!r} at this place")
