"""CREATE TABLE, CREATE INDEX, DROP TABLE, ALTER TABLE ADD COLUMN, read word by word."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot.tokenizer_core import Token, TokenType

from gridwatch.containers.dialect.casts import kind_of
from gridwatch.containers.dialect.parse import refused, tokens_of
from gridwatch.containers.schema import Column, ContainerType

__all__ = ["Definition", "read_definition"]


@dataclass(frozen=True, slots=True)
class Definition:
    """What a statement defines.

    Args:
        action: "create", "drop", "alter" or "index".
        table: Name of the container.
        quoted: Whether the name was quoted, and so keeps its case.
        lenient: IF EXISTS or IF NOT EXISTS.
        columns: Of CREATE TABLE and ALTER TABLE.
        row_key: Names of the key columns of CREATE TABLE.
        type: Kind of container of CREATE TABLE.
        index: Column of CREATE INDEX.
    """

    action: str
    table: str
    quoted: bool
    lenient: bool = False
    columns: tuple[Column, ...] = ()
    row_key: tuple[str, ...] = ()
    type: ContainerType = ContainerType.COLLECTION
    index: str = ""


def read_definition(statement: str) -> Definition:
    """Return what a CREATE, DROP or ALTER defines.

    Raises:
        SqlRefusedError: It is another statement, or has a clause that this store has not.
    """
    words = _Words(tokens_of(statement))
    if words.take("CREATE", "TABLE"):
        return _create_table(words)
    if words.take("CREATE", "INDEX"):
        return _create_index(words)
    if words.take("DROP", "TABLE"):
        lenient = words.take("IF", "EXISTS")
        table, quoted = words.name()
        words.end()
        return Definition("drop", table, quoted, lenient)
    if words.take("ALTER", "TABLE"):
        return _alter(words)
    raise refused(words.shown(2), code=240000)


class _Words:
    """The words of a statement, taken one after the other."""

    def __init__(self, found: list[Token]) -> None:
        # sqlglot makes one token of PRIMARY KEY and the like.
        self._words: list[tuple[str, TokenType]] = []
        for token in found:
            whole = token.token_type in {TokenType.IDENTIFIER, TokenType.STRING}
            self._words += [(text, token.token_type) for text in ([token.text] if whole else token.text.split())]
        self._at = 0

    def _next(self, ahead: int = 0) -> tuple[str, TokenType] | tuple[str, None]:
        place = self._at + ahead
        return self._words[place] if place < len(self._words) else ("", None)

    def shown(self, count: int) -> str:
        """Return the next words for a message."""
        return " ".join(text for text, _ in self._words[self._at : self._at + count]) or "the end of the statement"

    def take(self, *words: str) -> bool:
        """Take these words if they come next."""
        for ahead, word in enumerate(words):
            text, kind = self._next(ahead)
            if kind in {TokenType.IDENTIFIER, TokenType.STRING} or text.upper() != word:
                return False
        self._at += len(words)
        return True

    def need(self, *words: str) -> None:
        """Take these words, which must come next."""
        if not self.take(*words):
            raise refused(f"{self.shown(2)!r} where {' '.join(words)} is expected")

    def name(self) -> tuple[str, bool]:
        """Take a name; return it and whether it was quoted."""
        text, kind = self._next()
        quoted = kind is TokenType.IDENTIFIER
        if kind is TokenType.STRING or not (quoted or text[:1].isalpha() or text[:1] == "_"):
            raise refused(f"{self.shown(1)!r} where a name is expected")
        if not quoted and text.lower() in _RESERVED:
            raise refused(f"{text!r} as a name", hint="quote it")
        self._at += 1
        return text, quoted

    def number(self) -> None:
        """Take a number."""
        if self._next()[1] is not TokenType.NUMBER:
            raise refused(f"{self.shown(1)!r} where a number is expected")
        self._at += 1

    def end(self) -> None:
        """Be at the end."""
        if self._next()[1] is not None:
            raise refused(
                f"{self.shown(3)!r} at the end of the statement", code=None, hint="the store has no such clause"
            )


_RESERVED = frozenset(
    {
        *("values", "order", "group", "select", "table", "index", "user", "limit", "over", "from", "set", "exists"),
        *("primary", "grant", "password", "rename", "left", "is", "in", "on", "where", "and", "or", "not", "null"),
        *("like", "between", "case", "join", "create", "drop", "alter", "insert", "update", "delete", "into", "as"),
        *("by", "having", "union"),
    }
)


def _create_table(words: _Words) -> Definition:
    lenient = words.take("IF", "NOT", "EXISTS")
    table, quoted = words.name()
    words.need("(")
    columns: list[Column] = []
    keys: list[str] = []
    while True:
        if words.take("PRIMARY", "KEY", "("):
            if keys:
                raise refused("PRIMARY KEY twice")
            keys = [words.name()[0]]
            while words.take(","):
                keys.append(words.name()[0])
            words.need(")")
        else:
            column, is_key = _column(words)
            columns.append(column)
            keys += [column.name] if is_key else []
        if not words.take(","):
            break
    words.need(")")
    kind = ContainerType.TIME_SERIES if words.take("USING", "TIMESERIES") else ContainerType.COLLECTION
    words.end()
    wanted = {key.lower() for key in keys}
    # A key column is never null, whether it says so or not.
    fixed = tuple(
        Column(column.name, column.type, column.nullable and column.name.lower() not in wanted) for column in columns
    )
    return Definition("create", table, quoted, lenient, fixed, tuple(keys), kind)


def _column(words: _Words) -> tuple[Column, bool]:
    name, _ = words.name()
    kind, _ = words.name()
    if kind.upper() in {"VARCHAR", "CHAR"} and words.take("("):
        words.number()
        words.need(")")
    if kind.upper() == "DOUBLE":
        words.take("PRECISION")
    nullable, is_key = True, False
    while True:
        if words.take("PRIMARY", "KEY"):
            is_key = True
        elif words.take("NOT", "NULL"):
            nullable = False
        elif not words.take("NULL"):
            return Column(name, kind_of(kind), nullable and not is_key), is_key


def _create_index(words: _Words) -> Definition:
    lenient = words.take("IF", "NOT", "EXISTS")
    words.name()
    words.need("ON")
    table, quoted = words.name()
    words.need("(")
    column, _ = words.name()
    words.need(")")
    words.end()
    return Definition("index", table, quoted, lenient, index=column)


def _alter(words: _Words) -> Definition:
    table, quoted = words.name()
    columns = []
    while True:
        words.need("ADD")
        words.take("COLUMN")
        column, is_key = _column(words)
        if is_key:
            raise refused("a row key in ALTER TABLE")
        columns.append(column)
        if not words.take(","):
            break
    words.end()
    return Definition("alter", table, quoted, columns=tuple(columns))
