"""What a request asks: parameters of its address and of its body, by their kind."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import current_app, request

from gridwatch.errors import JobsBodyError, JobsError
from gridwatch.jobs import units
from gridwatch.jobs.date_math import instant_ms
from gridwatch.server.ml_api.errors import MlApiError, unfit
from gridwatch.server.state import state

__all__ = ["COMMON", "Asked"]

COMMON = frozenset({"pretty", "human", "error_trace", "filter_path", "format"})
"""Parameters that each address takes."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_TIME_MAX_MS = 253_402_300_799_999
"""The last millisecond of the year 9999, where the store's time ends."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Parameters, those of the body before those of the address.

    Attributes:
        given: By name.
        body: The JSON of the body, None where there is none.
        content: The body as it came, where it is read by whoever is asked.
    """

    given: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    content: bytes = b""

    @classmethod
    def of(cls, names: Collection[str], body: Any, *, body_names: Collection[str] = ()) -> Asked:
        """Return what the request asks.

        Args:
            names: Parameters that it may have.
            body: The JSON of its body.
            body_names: Keys of the body that are parameters; empty where the body is something else.

        Raises:
            MlApiError: A parameter is unknown.
            JobsBodyError: A key of the body is.
        """
        unknown = [name for name in request.args if name not in names and name not in COMMON]
        if unknown:
            some = "parameter" if len(unknown) == 1 else "parameters"
            listed = ", ".join(f"[{name}]" for name in unknown)
            known = ", ".join(sorted(names)) or "none"
            raise unfit(f"request [{request.path}] contains unrecognized {some}: {listed}; allowed: {known}.")
        if request.args.get("format", "json") != "json":
            raise unfit("[format] has to be json; answers have no other form here.")
        given: dict[str, Any] = dict(request.args.items())
        if body_names and body is not None:
            given |= _of_body(body, body_names)
        return cls(given, body)

    def text(self, name: str) -> str | None:
        """Return a text, None where there is none."""
        value = self.given.get(name)
        if value is not None and not isinstance(value, str):
            raise _no(name, value, "a text")
        return value

    def needed(self, name: str) -> dict[str, Any]:
        """Return a JSON object that has to be there.

        Raises:
            JobsBodyError: It is missing, or another value.
        """
        found = self.object(name)
        if found is None:
            raise JobsBodyError("is required and is missing.", path=name)
        return found

    def object(self, name: str) -> dict[str, Any] | None:
        """Return a JSON object, None where there is none.

        Raises:
            JobsBodyError: It is another value.
        """
        value = self.given.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise JobsBodyError(f"expected an object, got {_short(value)!r}.", path=name)
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """Return true or false."""
        value = self.given.get(name)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        if value in ("", "true"):
            return True
        if value == "false":
            return False
        raise unfit(f"Failed to parse value [{_short(value)}] of [{name}] as only [true] or [false] are allowed.")

    def whole(self, name: str, default: int, *, least: int = 0) -> int:
        """Return a whole number from `least`."""
        value = self.given.get(name)
        if value is None:
            return default
        if isinstance(value, str) and _WHOLE.fullmatch(value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise _no(name, value, "a whole number")
        if value < least:
            raise unfit(f"Parameter [{name}] cannot be < {least}, got {value}.")
        return value

    def number(self, name: str, default: float) -> float:
        """Return a number."""
        value = self.given.get(name)
        if value is None:
            return default
        try:
            found = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
        except (ValueError, OverflowError):
            found = None
        if found is None or not abs(found) < 1e300:
            raise _no(name, value, "a number")
        return found

    def instant(self, name: str) -> int | None:
        """Return an instant, UTC epoch ms, of a date, epoch ms, or date maths such as `now-1d`; None without one.

        An empty one is none, as to Elasticsearch.
        """
        value = self.given.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, str) and not _WHOLE.fullmatch(value):
            now_ms = state(current_app).clock()
            try:
                found = instant_ms(value, now_ms=now_ms)
            except JobsError as error:
                raise MlApiError(400, "parse_exception", f"failed to parse [{name}]: {error}") from error
        elif isinstance(value, bool) or not isinstance(value, str | int):
            raise _no(name, value, "a date, epoch ms, or date maths such as now-1d")
        else:
            found = int(value)
        if not 0 <= found <= _TIME_MAX_MS:
            raise unfit(f"[{name}] is {_short(value)}, outside the years 1970 to 9999.")
        return found

    def duration(self, name: str) -> int | None:
        """Return a time value such as `30s` in ms; None where there is none."""
        value = self.given.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise _no(name, value, "a time value such as 30s")
        return 0 if value in {"0", "-1"} else units.ms_of(value, name)


def _of_body(body: Any, names: Collection[str]) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise JobsBodyError(f"expected an object, got {_short(body)!r}.")
    for name in body:
        if name not in names:
            raise JobsBodyError(f"unknown field [{_short(name)}].", path=_short(name), allowed=sorted(names))
    return {name: value for name, value in body.items() if value is not None}


def _no(name: str, value: object, what: str) -> MlApiError:
    return unfit(f"Failed to parse parameter [{name}] with value [{_short(value)}]: it has to be {what}.")


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
