"""Checked access to the JSON of aggregations, each part with its path."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from gridwatch.errors import JobsBodyError, JobsValueError

__all__ = ["Part", "shown"]

_SHOWN = 60


def shown(content: object) -> str:
    """Return a value for a message, cut where it is long."""
    text = content if isinstance(content, str) else repr(content)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the JSON.

    Attributes:
        content: The JSON.
        path: Such as `aggregations.buckets.date_histogram`.
    """

    content: Any
    path: str

    def misshapen(self, message: str, allowed: Collection[object] = ()) -> JobsBodyError:
        """Return the error that this part has another shape."""
        return JobsBodyError(message, path=self.path, allowed=allowed, value=self.content)

    def refused(self, message: str, allowed: Collection[object] = ()) -> JobsValueError:
        """Return the error that this part is not allowed."""
        return JobsValueError(message, path=self.path, allowed=allowed, value=self.content)

    def at(self, key: str | int, content: Any) -> Part:
        """Return a part of this part."""
        return Part(content, self.path + (f"[{key}]" if isinstance(key, int) else f".{key[:_SHOWN]}"))

    def object(self) -> Mapping[str, Any]:
        """Return the content as an object.

        Raises:
            JobsBodyError: It is none, or a key is no text.
        """
        if not isinstance(self.content, Mapping) or not all(isinstance(key, str) for key in self.content):
            raise self.misshapen(f"expected an object, got [{shown(self.content)}]")
        return self.content

    def options(self, known: Collection[str], *, hints: Mapping[str, str] | None = None) -> dict[str, Part]:
        """Return the parts of an object by key.

        Args:
            known: Keys that there may be.
            hints: What to write instead of some others.

        Raises:
            JobsBodyError: It is no object, or has another key.
        """
        found = {key: self.at(key, content) for key, content in self.object().items()}
        for key, part in found.items():
            if key in known:
                continue
            if hints and key in hints:
                raise part.misshapen(f"[{key}] is not supported: {hints[key]}")
            raise part.misshapen(f"unknown key [{shown(key)}]", allowed=sorted(known))
        return found

    def text(self) -> str:
        """Return the content as text.

        Raises:
            JobsBodyError: It is none, or empty.
        """
        if not isinstance(self.content, str) or not self.content:
            raise self.misshapen(f"expected a text, got [{shown(self.content)}]")
        return self.content

    def whole(self, least: int, most: int) -> int:
        """Return the content as a whole number between two others.

        Raises:
            JobsBodyError: It is no whole number.
            JobsValueError: It is out of bounds.
        """
        if isinstance(self.content, bool) or not isinstance(self.content, int):
            raise self.misshapen(f"expected a whole number, got [{shown(self.content)}]")
        if not least <= self.content <= most:
            raise self.refused(f"{self.content} is out of bounds: {least} to {most}")
        return self.content

    def number(self) -> float:
        """Return the content as a number.

        Raises:
            JobsBodyError: It is no finite number.
        """
        content = self.content
        if isinstance(content, bool) or not isinstance(content, int | float):
            raise self.misshapen(f"expected a number, got [{shown(content)}]")
        try:
            found = float(content)
        except OverflowError:
            found = math.inf
        if not math.isfinite(found):
            raise self.misshapen(f"[{shown(content)}] is beyond a double")
        return found
