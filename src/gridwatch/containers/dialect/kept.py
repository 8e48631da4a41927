"""Compiled statements that are kept: the same few come again and again, with other values in their parameters.

To compile one takes more than a millisecond, ten times what SQLite needs for it. What a statement is compiled to
depends on its text, on the containers that it names, on the types of its parameters and, here and there, on their
values: a constant is checked and folded, and some are written into the SQL. So a parameter says when its value, or a
bound made from it, is asked for, and a statement that asked is compiled anew each time. What every value of a kind
answers alike is no question: that a text is short, and which integer types hold a number; those are part of the key.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from gridwatch.containers.dialect.kinds import INTEGRAL, LIMITS
from gridwatch.containers.dialect.scope import SHORT_MAX, Context, Lookup, bindable
from gridwatch.containers.schema import ContainerInfo, View

__all__ = ["Kept"]

_STATEMENTS_MAX, _CHARACTERS_MAX = 256, 4_000
_INTEGERS = sorted((LIMITS[kind] for kind in INTEGRAL), key=lambda limits: limits[1])

Compiled = TypeVar("Compiled")


@dataclass(frozen=True, slots=True)
class _Entry(Generic[Compiled]):
    """A compiled statement, what its `?N` stand for, and the containers that it was compiled for."""

    compiled: Compiled
    bound: tuple[tuple[int | None, Any], ...]
    """For each, the number of a parameter, or None and a value of the statement's own."""
    tables: tuple[tuple[str, ContainerInfo], ...]


class Kept(Generic[Compiled]):
    """Compiled statements of one kind, the last that were asked for, for all threads and stores."""

    def __init__(self) -> None:
        self._entries: OrderedDict[Hashable, _Entry[Compiled]] = OrderedDict()
        self._lock = threading.Lock()

    def get(
        self,
        statement: str,
        parameters: Sequence[Any],
        lookup: Lookup,
        make: Callable[[Context], tuple[Compiled, Sequence[int]]],
    ) -> tuple[Compiled, tuple[Any, ...]]:
        """Return a compiled statement and the values of its `?N`.

        Args:
            statement: Its text.
            parameters: Values of its `?`.
            lookup: Finds a container or view by its name.
            make: Compiles it; returns with it which of the bound values, from 1, it kept as `?1`, `?2`, ...

        Raises:
            SqlRefusedError: What `make` raises, and for values that no parameter may have.
        """
        shape = _shape(parameters) if len(statement) <= _CHARACTERS_MAX else None
        key = (statement, shape)
        if shape is not None:
            with self._lock:
                entry = self._entries.get(key)
                if entry is not None:
                    self._entries.move_to_end(key)
            if entry is not None and all(lookup(name) is info for name, info in entry.tables):
                return entry.compiled, tuple(
                    value if number is None else bindable(number, parameters[number]) for number, value in entry.bound
                )
        named: dict[str, ContainerInfo | View | None] = {}

        def noted(name: str) -> ContainerInfo | View | None:
            named[name] = lookup(name)
            return named[name]

        context = Context(noted, parameters, watched=shape is not None)
        compiled, used = make(context)
        values = tuple(context.bound[place - 1] for place in used)
        # A view reads others, and is a new object each time.
        tables = tuple((name, info) for name, info in named.items() if isinstance(info, ContainerInfo))
        if shape is not None and not context.asked and len(tables) == len(named):
            bound = tuple((context.places.get(place), context.bound[place - 1]) for place in used)
            own = tuple((number, None if number is not None else value) for number, value in bound)
            with self._lock:
                self._entries[key] = _Entry(compiled, own, tables)
                self._entries.move_to_end(key)
                while len(self._entries) > _STATEMENTS_MAX:
                    self._entries.popitem(last=False)
        return compiled, values


def _shape(parameters: Sequence[Any]) -> tuple[Hashable, ...] | None:
    """Return what a statement may depend on in its parameters without asking; None where one has no such shape."""
    found: list[Any] = []
    for value in parameters:
        kind = type(value)
        if kind is int:
            limits = next((limits for limits in _INTEGERS if limits[0] <= value <= limits[1]), None)
            if limits is None:
                return None
            found.append(limits)
        elif kind is str:
            if len(value) > SHORT_MAX:
                return None
            found.append(kind)
        elif value is None or kind is bool or isinstance(value, datetime):
            found.append(datetime if isinstance(value, datetime) else kind)
        else:
            return None
    return tuple(found)
