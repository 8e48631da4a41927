"""What would be done about one resource, and why."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from gridwatch.jobs.files.reading import Kind

__all__ = ["Action", "Change", "Step", "changes", "top_of"]

Action: TypeAlias = Literal["create", "update", "recreate", "delete", "none", "refuse"]


@dataclass(frozen=True, slots=True)
class Change:
    """One value that differs; None where there is none.

    Attributes:
        path: Where, such as `analysis_config.detectors[0].function`.
        old: As it is stored.
        new: As the file says.
    """

    path: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class Step:
    """What is done about one resource.

    Attributes:
        kind: What it is.
        id: Which.
        action: What is done.
        file: Which file says so, None for what is deleted.
        changes: What differs, of an update, a recreation or a refusal.
        reason: Why it is refused, or recreated.
        warnings: What may be wrong with it all the same.
        body: What is put, or what the update says.
    """

    kind: Kind
    id: str
    action: Action
    file: Path | None = None
    changes: tuple[Change, ...] = ()
    reason: str = ""
    warnings: tuple[str, ...] = ()
    body: dict[str, Any] = field(default_factory=dict, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return it for scripts."""
        return {
            "kind": self.kind,
            "id": self.id,
            "action": self.action,
            "file": None if self.file is None else str(self.file),
            "changes": [{"path": one.path, "old": one.old, "new": one.new} for one in self.changes],
            "reason": self.reason,
            "warnings": list(self.warnings),
        }


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Change, ...]:
    """Return where two JSON objects differ, leaf by leaf, sorted by path.

    >>> [one.path for one in changes({"a": {"b": 1}, "c": [1, 2]}, {"a": {"b": 2}, "c": [1]})]
    ['a.b', 'c[1]']
    >>> [one.path for one in changes({"a": {}}, {"a": {"b": 2}})]
    ['a.b']
    """
    before, after = dict(_leaves(old, "")), dict(_leaves(new, ""))
    paths = [path for path in sorted({*before, *after}) if before.get(path) != after.get(path)]
    # An object that was empty is no value of its own once there is something in it.
    filled = {path for path in paths for other in paths if other.startswith((f"{path}.", f"{path}["))}
    return tuple(Change(path, before.get(path), after.get(path)) for path in paths if path not in filled)


def top_of(path: str) -> str:
    """Return the first key of a path.

    >>> top_of("indices[0]"), top_of("a.b")
    ('indices', 'a')
    """
    return re.split(r"[.\[]", path, maxsplit=1)[0]


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        for place, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{place}]")
    else:
        yield path, value
