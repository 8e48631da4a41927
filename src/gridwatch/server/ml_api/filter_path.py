"""`filter_path`: only some parts of an answer, as each of Elasticsearch's addresses can be asked."""

from __future__ import annotations

import fnmatch
from typing import Any, TypeAlias

__all__ = ["filtered"]

_Patterns: TypeAlias = list[tuple[str, ...]]


def filtered(value: Any, filter_path: str) -> Any:
    """Return what of an answer is wanted.

    Args:
        value: The answer.
        filter_path: Dotted paths by comma; `*` stands for any part of a name, `**` for any names, `-` before a path
            leaves out what it names.

    >>> filtered({"count": 1, "jobs": [{"job_id": "a", "state": "opened"}]}, "jobs.job_id,-**.count")
    {'jobs': [{'job_id': 'a'}]}
    """
    paths = [path.strip() for path in filter_path.split(",") if path.strip()]
    wanted = [tuple(path.split(".")) for path in paths if not path.startswith("-")]
    unwanted = [tuple(path[1:].split(".")) for path in paths if path.startswith("-")]
    if wanted:
        value = _kept(value, wanted)
    return _left(value, unwanted) if unwanted else value


def _kept(value: Any, patterns: _Patterns) -> Any:
    if isinstance(value, list):
        parts = [_kept(one, patterns) for one in value]
        return [one for one in parts if one not in ({}, [], None)]
    if not isinstance(value, dict):
        return None
    found = {}
    for name, inner in value.items():
        further = _further(patterns, name)
        if () in further:
            found[name] = inner
        elif further and (part := _kept(inner, further)) not in ({}, [], None):
            found[name] = part
    return found


def _left(value: Any, patterns: _Patterns) -> Any:
    if isinstance(value, list):
        return [_left(one, patterns) for one in value]
    if not isinstance(value, dict):
        return value
    found = {}
    for name, inner in value.items():
        further = _further(patterns, name)
        if () not in further:
            found[name] = _left(inner, further) if further else inner
    return found


def _further(patterns: _Patterns, name: str) -> _Patterns:
    """Return what is left of the patterns below a name; () where one ends there."""
    found: _Patterns = []
    for pattern in patterns:
        # A path that has come to its end keeps all that is below.
        if pattern and pattern[0] == "**":
            found.append(pattern)
            pattern = pattern[1:] or ("*",)
        if pattern and fnmatch.fnmatchcase(name, pattern[0]):
            found.append(pattern[1:])
    return list(dict.fromkeys(found))
