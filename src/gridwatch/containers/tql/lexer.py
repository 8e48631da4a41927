"""Text to tokens, by TQL's own lexical rules; they are not those of GridDB's SQL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from gridwatch.errors import SqlRefusedError

__all__ = ["CHARACTERS_MAX", "SYNTAX", "TOKEN", "Kind", "Token", "refused", "tokens"]

SYNTAX = 151001
"""The statement does not parse."""
TOKEN = 151002
"""A character that begins no token, or the end where more has to come."""

CHARACTERS_MAX = 200_000


class Kind(Enum):
    """What a token is; keywords are names that the parser looks at by their text."""

    NAME = auto()
    QUOTED = auto()
    CONTAINER = auto()
    INTEGER = auto()
    FLOAT = auto()
    STRING = auto()
    BLOB = auto()
    SIGN = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `text` is as written, without quotes (doubled single quotes are one)."""

    kind: Kind
    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        """The text in capitals if it is a bare name or a sign, else the empty string."""
        return self.text.upper() if self.kind in {Kind.NAME, Kind.SIGN} else ""


# Alternatives in the order in which they have to be tried. Names hold ASCII only; `#` and `@` inside one make it the
# name of a container, never of a column.
_TOKEN = re.compile(
    r"""
      (?P<space>[\t-\r ]+|--[^\n]*|/\*(?=.)(?:.*?\*/|.*\Z))
    | (?P<blob>[xX]'[^']*')
    | (?P<name>[A-Za-z_][A-Za-z0-9_@\#]*)
    | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[A-Za-z0-9_]*)
    | '(?P<string>(?:[^']|'')*)'
    | "(?P<quoted>(?:[^"]|"")*)"
    | (?P<sign><=|<>|<<|>=|>>|!=|==|\|\||[-*()+%,&~;/=<>|.])
    """,
    re.VERBOSE | re.DOTALL,
)
_NUMBER = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_SAME = {"==": "=", "!=": "<>"}


def refused(what: str, *, code: int | None = SYNTAX, hint: str = "") -> SqlRefusedError:
    """Return the error for TQL that GridDB refuses, or that has no equal on this store."""
    return SqlRefusedError(f"TQL refused: {what}{'; ' + hint if hint else ''}.", code=code)


def tokens(statement: str) -> Iterator[Token]:
    """Yield the tokens of a statement, a last one of kind END after them.

    They come one by one, so that the parser says first what is wrong first.

    Raises:
        SqlRefusedError: The statement is too long, or a character begins no token (151002).
    """
    if len(statement) > CHARACTERS_MAX:
        raise refused(f"a statement of {len(statement)} characters", code=None, hint=f"at most {CHARACTERS_MAX}")
    if "\0" in statement:
        raise refused("the character NUL", code=None)
    at = 0
    while at < len(statement):
        found = _TOKEN.match(statement, at)
        if found is None:
            raise refused(f"{statement[at : at + 20]!r} at character {at + 1}", code=TOKEN)
        if found.lastgroup != "space":
            yield _token(found)
        at = found.end()
    yield Token(Kind.END, "", at, at)


def _token(found: re.Match[str]) -> Token:
    group, start, end = found.lastgroup, found.start(), found.end()
    text = found[str(group)]
    if group == "name":
        inside = "@" in text or "#" in text
        return Token(Kind.CONTAINER if inside else Kind.NAME, text, start, end)
    if group == "number":
        number = _NUMBER.match(text)
        if number is None or number.end() != len(text):
            raise refused(f"the number {text!r}", code=TOKEN)
        return Token(Kind.INTEGER if text.isdigit() else Kind.FLOAT, text, start, end)
    if group == "string":
        return Token(Kind.STRING, text.replace("''", "'"), start, end)
    if group == "blob":
        if len(text) % 2 == 0 or re.fullmatch("[0-9A-Fa-f]*", text[2:-1]) is None:
            raise refused(f"the bytes {text!r}", code=TOKEN)
        return Token(Kind.BLOB, text, start, end)
    return Token(Kind.QUOTED if group == "quoted" else Kind.SIGN, _SAME.get(text, text), start, end)
