"""Wildcards and regular expressions as patterns of GLOB and LIKE."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from gridwatch.errors import JobsQueryError

__all__ = ["globs_of_regexp", "globs_of_wildcard", "like_of", "literal_glob", "literal_like"]

PATTERN_MAX = 1000
GLOBS_MAX = 256
_REPEATS_MAX = 100
_CLASSES = {"d": "0-9", "w": "0-9A-Z_a-z", "s": " \t\n\r"}
_GROUPS_MAX = 30

Refusal = Callable[[str], JobsQueryError]


def literal_glob(text: str) -> str:
    """Return the GLOB pattern that a text alone fits.

    >>> literal_glob("a*[b]")
    'a[*][[]b]'
    """
    return re.sub(r"[*?\[]", lambda one: f"[{one.group()}]", text)


def literal_like(text: str) -> str:
    r"""Return the LIKE pattern, with `\` as ESCAPE, that a text alone fits, whatever the case of A to Z.

    >>> literal_like("50%_")
    '50\\%\\_'
    """
    return re.sub(r"[%_\\]", lambda one: f"\\{one.group()}", text)


def globs_of_wildcard(pattern: str) -> str:
    r"""Return the GLOB pattern of a wildcard: `*` any text, `?` one character, `\` before a character itself.

    >>> globs_of_wildcard(r"a*b\*?")
    'a*b[*]?'
    """
    return _wildcard(pattern, {"*": "*", "?": "?"}, literal_glob)


def like_of(pattern: str) -> str:
    r"""Return the LIKE pattern of a wildcard, with `\` as ESCAPE.

    >>> like_of("a*_?")
    'a%\\__'
    """
    return _wildcard(pattern, {"*": "%", "?": "_"}, literal_like)


def _wildcard(pattern: str, signs: dict[str, str], literal: Callable[[str], str]) -> str:
    out = []
    for found in re.finditer(r"\\(.)|(\*+)|(\?)|([^\\*?]+|\\$)", pattern, re.DOTALL):
        escaped, many, one, plain = found.groups()
        if many or one:
            out.append(signs["*" if many else "?"])
        else:
            out.append(literal(escaped or plain))
    return "".join(out)


def globs_of_regexp(pattern: str, wrong: Refusal, *, flags: bool = True, case_insensitive: bool = False) -> list[str]:
    """Return the GLOB patterns that together fit what a regular expression in Lucene's syntax fits.

    Args:
        pattern: Fits whole values, as Lucene's do.
        wrong: Makes the error.
        flags: Whether the operators `~ < > & @ # "` are on; they are refused then, else they are plain characters.
        case_insensitive: Whether the case of A to Z does not count.

    Raises:
        JobsQueryError: It is no regular expression, or GLOB cannot say it.

    >>> globs_of_regexp("(GB|FR)-.*", ValueError)
    ['GB-*', 'FR-*']
    """
    if len(pattern) > PATTERN_MAX:
        raise wrong(f"a regular expression of {len(pattern)} characters; at most {PATTERN_MAX}")
    reader = _Regexp(pattern, wrong, flags, case_insensitive)
    found = reader.union(0)
    if reader.place < len(pattern):
        raise wrong(f"the regular expression has [{pattern[reader.place]}] without its pair at {reader.place + 1}")
    return [re.sub(r"\*{2,}", "*", one) for one in found]


class _Regexp:
    """Reads one regular expression; each of its parts is the list of the patterns that it stands for."""

    def __init__(self, pattern: str, wrong: Refusal, flags: bool, case_insensitive: bool) -> None:
        self._pattern = pattern
        self._wrong = wrong
        self._special = frozenset('~<>&@#"') if flags else frozenset()
        self._any_case = case_insensitive
        self.place = 0

    def union(self, depth: int) -> list[str]:
        """Return the patterns of alternatives."""
        if depth > _GROUPS_MAX:
            raise self._wrong(f"a regular expression with groups nested deeper than {_GROUPS_MAX}")
        found = self._sequence(depth)
        while self._peek() == "|":
            self.place += 1
            found += self._sequence(depth)
        return self._few(found)

    def _peek(self) -> str:
        return self._pattern[self.place : self.place + 1]

    def _few(self, found: Iterable[str]) -> list[str]:
        kept = list(dict.fromkeys(found))
        if len(kept) > GLOBS_MAX or sum(map(len, kept)) > GLOBS_MAX * 100:
            raise self._wrong(f"a regular expression that stands for more than {GLOBS_MAX} patterns of SQL's GLOB")
        return kept

    def _product(self, left: list[str], right: list[str]) -> list[str]:
        if len(left) * len(right) > 4 * GLOBS_MAX:
            raise self._wrong(f"a regular expression that stands for more than {GLOBS_MAX} patterns of SQL's GLOB")
        return self._few(a + b for a in left for b in right)

    def _sequence(self, depth: int) -> list[str]:
        found = [""]
        while self._peek() not in {"", "|", ")"}:
            found = self._product(found, self._repeated(self._atom(depth)))
        return found

    def _repeated(self, atom: list[str]) -> list[str]:
        while (sign := self._peek()) in {"?", "*", "+", "{"} and sign:
            if sign == "?":
                self.place += 1
                atom = self._few(["", *atom])
            elif sign == "{":
                atom = self._counted(atom)
            else:
                self.place += 1
                if atom == ["?"]:
                    atom = ["*" if sign == "*" else "?*"]
                elif atom not in (["*"], [""]):
                    raise self._wrong(
                        f"[{sign}] at {self.place} of the regular expression, after anything but [.]: SQL's GLOB "
                        "cannot repeat it"
                    )
        return atom

    def _counted(self, atom: list[str]) -> list[str]:
        found = re.compile(r"\{(\d{1,3})(,(\d{1,3})?)?\}", re.ASCII).match(self._pattern, self.place)
        if found is None:
            raise self._wrong(f"[{{] at {self.place + 1} of the regular expression is no count such as {{2,4}}")
        self.place = found.end()
        least = int(found[1])
        most = int(found[3]) if found[3] else None if found[2] else least
        if most is None:
            if atom != ["?"]:
                raise self._wrong("{n,} after anything but [.] in the regular expression: SQL's GLOB cannot repeat it")
            return ["?" * least + "*"]
        if least > most or most > _REPEATS_MAX:
            raise self._wrong(f"[{found[0]}] in the regular expression; at most {_REPEATS_MAX}, the lesser one first")
        power, out = [""], []
        for number in range(most + 1):
            if number >= least:
                out += power
            power = self._product(power, atom) if number < most else power
        return self._few(out)

    def _atom(self, depth: int) -> list[str]:
        sign = self._peek()
        self.place += 1
        if sign == "(":
            found = self.union(depth + 1) if self._peek() != ")" else [""]
            if self._peek() != ")":
                raise self._wrong("a group of the regular expression has no [)]")
            self.place += 1
            return found
        if sign == ".":
            return ["?"]
        if sign == "[":
            return [self._class()]
        if sign == "\\":
            escaped = self._peek()
            self.place += 1
            if not escaped:
                raise self._wrong("the regular expression ends with [\\]")
            if escaped in _CLASSES:
                return [f"[{_CLASSES[escaped]}]"]
            if escaped in {"D", "W", "S"}:
                return [f"[^{_CLASSES[escaped.lower()]}]"]
            return [self._letter(escaped)]
        if sign in self._special or sign in "?*+{":
            raise self._wrong(f"[{sign}] at {self.place} of the regular expression, which SQL's GLOB has not")
        return [self._letter(sign)]

    def _letter(self, letter: str) -> str:
        if self._any_case and letter.isascii() and letter.isalpha():
            return f"[{letter.upper()}{letter.lower()}]"
        return literal_glob(letter)

    def _class(self) -> str:
        if self._any_case:
            raise self._wrong("a class of characters in a regular expression with case_insensitive")
        start, negated = self.place, self._peek() == "^"
        self.place += negated
        singles: list[str] = []
        ranges: list[str] = []
        # Right after the bracket `]` is a member, as in Lucene.
        while self._peek() and (self._peek() != "]" or not (singles or ranges)):
            first = self._member()
            if self._peek() == "-" and self._pattern[self.place + 1 : self.place + 2] not in {"", "]"}:
                self.place += 1
                last = self._member()
                if first > last:
                    raise self._wrong(f"the range [{first}-{last}] in the regular expression runs backwards")
                ranges.append(f"{first}-{last}")
            else:
                singles.append(first)
        if not self._peek() or not (singles or ranges):
            raise self._wrong(f"[[] at {start} of the regular expression has no end, or nothing in it")
        self.place += 1
        return self._glob_class(singles, ranges, negated)

    def _member(self) -> str:
        sign = self._peek()
        self.place += 1
        if sign == "\\":
            sign = self._peek()
            self.place += 1
            if not sign or sign in "dDwWsS":
                raise self._wrong(f"[\\{sign}] inside a class of the regular expression")
        return sign

    def _glob_class(self, singles: list[str], ranges: list[str], negated: bool) -> str:
        """Return a class in GLOB's way, which has no escapes: `]` stands first, `-` last, `^` not first."""
        if any(end in one[::2] for one in ranges for end in "]-"):
            raise self._wrong("a range to or from []] or [-] in a class of the regular expression")
        if not negated and not ranges and len(set(singles)) == 1:
            return literal_glob(singles[0])
        plain = [one for one in dict.fromkeys(singles) if one not in "]-^"]
        edges = ["]" if "]" in singles else "", "^" if "^" in singles else "", "-" if "-" in singles else ""]
        middle = ranges + plain
        if not negated and not edges[0] and edges[1] and not middle:
            # Only `^` and `-` are left: no order of them is a class of GLOB.
            raise self._wrong("the class [^-] of the regular expression")
        if middle and middle[0][0] == "^":
            raise self._wrong("a range from [^] in a class of the regular expression")
        return f"[{'^' if negated else ''}{edges[0]}{''.join(middle)}{edges[1]}{edges[2]}]"
