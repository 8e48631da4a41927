"""What the readers of all kinds of query share: checked access to the JSON, with its path."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gridwatch.errors import JobsQueryError, JobsValueError
from gridwatch.jobs.fields import Field, Fields, FieldType
from gridwatch.jobs.sql import Sql, all_of, compose

__all__ = ["Part", "Reading", "shown"]

DEPTH_MAX = 30
CLAUSES_MAX = 1024
TERMS_MAX = 10_000
_SHOWN = 60
_T = TypeVar("_T")
_REPR = reprlib.Repr()
_REPR.maxlevel = 3


def shown(content: object) -> str:
    """Return a value for a message, cut where it is long."""
    # A list nested a thousand deep is cut as well, where repr() would recurse.
    text = content if isinstance(content, str) else _REPR.repr(content)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


@dataclass(slots=True)
class Reading:
    """What the compiling of one query shares.

    Args:
        fields: Of the container.
        now_ms: What `now` is in date maths.
    """

    fields: Fields
    now_ms: int
    clauses: int = 0
    used: dict[str, None] = field(default_factory=dict)
    unmapped: dict[str, None] = field(default_factory=dict)

    def count(self, part: Part, how_many: int = 1) -> None:
        """Count a query.

        Raises:
            JobsQueryError: There are too many.
        """
        self.clauses += how_many
        if self.clauses > CLAUSES_MAX:
            raise part.wrong(f"more than {CLAUSES_MAX} clauses in one query")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the query: its JSON and where it stands.

    Args:
        content: The JSON.
        path: Such as `query.bool.must[1]`.
        strict: Whether it is below a negation, where null has to be told from false.
        depth: How many queries it is in.
        reading: Of the whole query.
    """

    content: Any
    path: str
    reading: Reading
    strict: bool = False
    depth: int = 0

    def wrong(self, message: str, allowed: Collection[object] = ()) -> JobsQueryError:
        """Return the error that this part is wrong."""
        return JobsQueryError(message, path=self.path, allowed=allowed, value=self.content)

    def at(self, key: str | int, content: Any) -> Part:
        """Return a part of this part."""
        step = f"[{key}]" if isinstance(key, int) else f".{key[:_SHOWN]}"
        return Part(content, self.path + step, self.reading, self.strict, self.depth)

    def inner(self, *, strict: bool = False) -> Part:
        """Return this part as a query inside another one.

        Raises:
            JobsQueryError: It is nested too deep.
        """
        if self.depth >= DEPTH_MAX:
            raise self.wrong(f"a query nested deeper than {DEPTH_MAX} levels")
        return Part(self.content, self.path, self.reading, self.strict or strict, self.depth + 1)

    def object(self) -> Mapping[str, Any]:
        """Return the content as an object.

        Raises:
            JobsQueryError: It is none, or has a key that is no text.
        """
        if not isinstance(self.content, Mapping):
            raise self.wrong(f"expected an object but found [{shown(self.content)}]")
        if not all(isinstance(key, str) for key in self.content):
            raise self.wrong("an object with a key that is no text")
        return self.content

    def options(self, *known: str) -> dict[str, Part]:
        """Return the parts of an object by key, `boost` and `_name` checked and left out.

        Raises:
            JobsQueryError: There is an unknown key, or a boost that is no number.
        """
        found = {}
        for key, content in self.object().items():
            part = self.at(key, content)
            if key == "boost":
                part.number()
            elif key == "_name":
                part.text()
            elif key in known:
                found[key] = part
            else:
                raise part.wrong(f"unknown key [{shown(key)}]", allowed=(*known, "boost", "_name"))
        return found

    def single(self) -> tuple[str, Part]:
        """Return the one key of an object and its part, `boost` and `_name` left out.

        Raises:
            JobsQueryError: There is none, or more than one.
        """
        kept = {key: content for key, content in self.object().items() if key not in {"boost", "_name"}}
        if len(kept) != 1:
            raise self.wrong(f"expected one field but found {len(kept)} ({', '.join(map(shown, kept)) or 'none'})")
        self.options(*kept)
        ((key, content),) = kept.items()
        return key, self.at(key, content)

    def text(self) -> str:
        """Return the content as text that a STRING may hold.

        Raises:
            JobsQueryError: It is none.
        """
        if not isinstance(self.content, str):
            raise self.wrong(f"expected a text but found [{shown(self.content)}]")
        try:
            self.content.encode()
        except UnicodeEncodeError as error:
            raise self.wrong("a text that is not Unicode") from error
        if "\0" in self.content:
            raise self.wrong("a text with a NUL character, which no row has")
        return self.content

    def truth(self) -> bool:
        """Return the content as a boolean, also as text.

        Raises:
            JobsQueryError: It is none.
        """
        if isinstance(self.content, bool):
            return self.content
        if isinstance(self.content, str) and self.content in {"true", "false"}:
            return self.content == "true"
        raise self.wrong(f"expected a boolean but found [{shown(self.content)}]", allowed=("true", "false"))

    def number(self) -> float:
        """Return the content as a number that is finite.

        Raises:
            JobsQueryError: It is none.
        """
        content = self.content
        if isinstance(content, bool) or not isinstance(content, int | float):
            raise self.wrong(f"expected a number but found [{shown(content)}]")
        if isinstance(content, float) and not math.isfinite(content):
            raise self.wrong(f"expected a finite number but found [{content}]")
        return content

    def field(self, name: str) -> Field | None:
        """Return the field of this name, None where the container has none: then nothing matches.

        Raises:
            JobsQueryError: Its column cannot be read over SQL.
        """
        found = self.reading.fields.get(name)
        if found is None:
            self.reading.unmapped[name] = None
            return None
        if found.type is FieldType.UNREADABLE:
            kind = found.column.type if found.column else found.type
            raise self.wrong(f"the field [{shown(name)}] is a {kind}, which GridDB's SQL does not read")
        self.reading.used[name] = None
        return found

    def guarded(self, found: Field, condition: Sql) -> Sql:
        """Return the condition on a field, made false where the field is null and null would count."""
        if self.strict and found.nullable:
            return all_of([compose("({} IS NOT NULL)", found.sql), condition])
        return condition

    def read(self, call: Callable[[], _T]) -> _T:
        """Return what a call returns, the path added to what it refuses."""
        try:
            return call()
        except JobsValueError as error:
            raise JobsQueryError(error.reason, path=self.path, allowed=error.allowed, **error.values) from error
