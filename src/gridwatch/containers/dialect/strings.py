"""Functions of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridwatch.containers.dialect.casts import text_of
from gridwatch.containers.dialect.kinds import Expr, T, as_long, common, make, needed
from gridwatch.containers.dialect.parse import refused
from gridwatch.containers.schema import ColumnType

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridwatch.containers.dialect.expressions import Expressions

__all__ = ["SCALARS"]

_FAR_LEFT = -2_000_000_000
_TEXT = frozenset({T.STRING})
_BYTES = frozenset({T.STRING, T.BLOB})


def _text(kind: ColumnType) -> Callable[[Expressions, str, list[Expr]], Expr]:
    """A function that SQLite has under the same name."""

    def build(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
        for arg in args:
            needed(name, arg, _TEXT)
        bounds = {"low": 0, "high": 2**31} if kind is T.LONG else {}
        return make(f"{name.lower()}({', '.join(arg.sql for arg in args)})", kind, args, **bounds)

    return build


def _length(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    needed(name, args[0], _BYTES)
    return make(f"length({args[0].sql})", T.LONG, args, low=0, high=2**31)


def _substr(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    needed(name, args[0], _BYTES)
    places = [as_long(name, arg) for arg in args[1:]]
    kind = args[0].kind
    if len(places) == 1 and places[0].bounds[0] < _FAR_LEFT and not places[0].constant:
        # SQLite counts on 32 bits here; so far left it is the whole text anyway.
        return make(f"substr({args[0].sql}, max({places[0].sql}, {_FAR_LEFT}))", kind, args)
    return make(f"substr({', '.join(arg.sql for arg in [args[0], *places])})", kind, args)


def _hex(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    needed(name, args[0], _BYTES)
    # Of null it is '' for both.
    return make(f"hex({args[0].sql})", T.STRING, args, nullable=False)


def _quote(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    arg = args[0]
    if arg.kind in _BYTES:
        return make(f"quote({arg.sql})", T.STRING, args, nullable=False)
    return make(f"coalesce({text_of(arg).sql}, 'NULL')", T.STRING, args, nullable=False)


def _find(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    common(name, [arg.kind for arg in args[:2]])
    for arg in args[:2]:
        needed(name, arg, _BYTES)
    text, key = args[0].sql, args[1].sql
    found = f"instr({text}, {key})"
    if len(args) == 2:
        return make(found, T.LONG, args, low=0, high=2**31)
    places = [as_long(name, arg) for arg in args[2:]]
    if any(place.kind is None for place in places) or None in {args[0].kind, args[1].kind}:
        return make("NULL", T.LONG, args)
    if any(not isinstance(place.value, int) for place in places) or any(arg.aggregate for arg in args[:2]):
        raise refused("INSTR with an offset or a count that is no constant, or of an aggregate", code=None)
    offset, count = int(places[0].value), int(places[1].value) if len(places) > 1 else 1
    null = f"{text} IS NULL OR {key} IS NULL"
    if offset == 0 or count <= 0:
        return make(f"(CASE WHEN {null} THEN NULL ELSE 0 END)", T.LONG, args, low=0, high=0)
    # Each step finds the next place after the last one; places do not overlap.
    source = f"(SELECT {text} AS t, {key} AS k) AS q"
    if offset > 0:
        first = f"CASE WHEN {offset} > length(t) + 1 THEN 0 ELSE instr(substr(t, {offset}), k) END"
        following = "CASE WHEN length(k) = 0 THEN 0 ELSE instr(substr(t, p + length(k)), k) END"
        steps = (
            f"SELECT t, k, 1 AS n, CASE WHEN {first} = 0 THEN 0 ELSE {first} + {offset - 1} END AS p FROM {source} "
            f"UNION ALL SELECT t, k, n + 1, CASE WHEN length(k) = 0 THEN p WHEN {following} = 0 THEN 0 "
            f"ELSE {following} + p + length(k) - 1 END FROM r WHERE p > 0 AND n < {count}"
        )
        answer = f"SELECT CASE WHEN n < {count} THEN 0 ELSE p END FROM r ORDER BY n DESC LIMIT 1"
    else:
        # p is the place looked at, from the last one on.
        start = f"length(t) - length(k) + {offset + 2}"
        steps = (
            f"SELECT t, k, {start} AS p, 0 AS n FROM {source} UNION ALL SELECT t, k, "
            "CASE WHEN substr(t, p, length(k)) = k THEN p - max(length(k), 1) ELSE p - 1 END, "
            f"n + (substr(t, p, length(k)) = k) FROM r WHERE p > 0 AND n < {count}"
        )
        answer = f"SELECT CASE WHEN n < {count} THEN 0 ELSE p + max(length(k), 1) END FROM r ORDER BY p LIMIT 1"
    sql = f"(WITH RECURSIVE r AS ({steps}) {answer})"
    return make(f"(CASE WHEN {null} THEN NULL ELSE {sql} END)", T.LONG, args, low=0, high=2**31)


def _match(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    """LIKE(pattern, text) and GLOB(pattern, text)."""
    for arg in args:
        needed(name, arg, _TEXT)
    return make(f"{name.lower()}({args[0].sql}, {args[1].sql})", T.BOOL, args)


def _characters(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    codes = [as_long(name, arg) for arg in args]
    if any(not isinstance(code.value, int) for code in codes):
        raise refused("CHAR of anything but constant whole numbers", code=None)
    text = ""
    for code in codes:
        if code.value == 0:
            break
        illegal = not 0 < code.value <= 0x10FFFF or 0xD800 <= code.value <= 0xDFFF
        text += "\ufffd" if illegal else chr(code.value)
    return compiler.context.text(text)


def _replaced(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    found = _text(T.STRING)(compiler, name, args)
    if not args[2].nullable:
        return found
    # Where there is nothing to replace, SQLite does not look at the third.
    return make(f"(CASE WHEN {args[2].sql} IS NOT NULL THEN {found.sql} END)", T.STRING, args)


def _translate(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    for arg in args:
        needed(name, arg, _TEXT)
    subject, search, target = args
    if any(arg.kind is None for arg in args):
        return make("NULL", T.STRING, args)
    if not isinstance(search.value, str) or not isinstance(target.value, str):
        raise refused("TRANSLATE by anything but constant texts", code=None)
    changes: dict[str, str] = {}
    for place, character in enumerate(search.value):
        changes.setdefault(character, target.value[place : place + 1])
    # A character that has been put in must not be changed again: first each becomes one that no text holds.
    sql = subject.sql
    spare = [chr(0xF0000 + number) for number in range(len(changes))]
    if len(spare) > 200:
        raise refused("TRANSLATE of more than 200 characters", code=None)
    for character, mark in zip(changes, spare, strict=True):
        sql = f"replace({sql}, {compiler.context.text(character).sql}, {compiler.context.text(mark).sql})"
    for new, mark in zip(changes.values(), spare, strict=True):
        sql = f"replace({sql}, {compiler.context.text(mark).sql}, {compiler.context.text(new).sql})"
    return make(sql, T.STRING, args)


SCALARS: dict[str, tuple[int, int, Callable[[Expressions, str, list[Expr]], Expr]]] = {
    "CHAR": (0, 100, _characters),
    "GLOB": (2, 2, _match),
    "HEX": (1, 1, _hex),
    "INSTR": (2, 4, _find),
    "LENGTH": (1, 1, _length),
    "LIKE": (2, 2, _match),
    "LOWER": (1, 1, _text(T.STRING)),
    "LTRIM": (1, 2, _text(T.STRING)),
    "QUOTE": (1, 1, _quote),
    "REPLACE": (3, 3, _replaced),
    "RTRIM": (1, 2, _text(T.STRING)),
    "SUBSTR": (2, 3, _substr),
    "TRANSLATE": (3, 3, _translate),
    "TRIM": (1, 2, _text(T.STRING)),
    "UNICODE": (1, 1, _text(T.LONG)),
    "UPPER": (1, 1, _text(T.STRING)),
}
