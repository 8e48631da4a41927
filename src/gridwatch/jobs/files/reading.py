"""Files of resources: one JSON a file, in the form of a PUT's body.

What a file is for follows from what is in it: `analysis_config` makes it a job, `pivot` or `latest` a transform,
`indices` a datafeed. Its id is in its body, or else the name of the file. A job's `datafeed_config` is a datafeed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from gridwatch.errors import ConfigError

__all__ = ["KINDS", "Kind", "Resource", "read_resources"]

Kind: TypeAlias = Literal["job", "datafeed", "transform"]

KINDS: tuple[Kind, ...] = ("transform", "job", "datafeed")
"""In the order in which they are made: a transform writes what a job reads, and a datafeed needs its job."""

_MARKS: dict[Kind, tuple[str, ...]] = {
    "job": ("analysis_config",),
    "transform": ("pivot", "latest"),
    "datafeed": ("indices", "indexes"),
}
_ID_KEYS: dict[Kind, str] = {"job": "job_id", "datafeed": "datafeed_id", "transform": "id"}


@dataclass(frozen=True, slots=True)
class Resource:
    """What a file says that there should be.

    Attributes:
        kind: What it is.
        id: Which.
        body: As a PUT would have it; of a job without its datafeed, which is a resource of its own.
        file: Where it stands.
    """

    kind: Kind
    id: str
    body: dict[str, Any]
    file: Path


def read_resources(paths: Sequence[Path]) -> list[Resource]:
    """Return what files and folders (`*.json` right inside them) say, in the order in which it is made.

    Raises:
        ConfigError: A path is not there, a file is no JSON or of no kind, or two name the same resource.
    """
    found: dict[tuple[Kind, str], Resource] = {}
    for file in dict.fromkeys(file for path in paths for file in _files(path)):
        for one in _resources(file, _json(file)):
            other = found.setdefault((one.kind, one.id), one)
            if other is not one:
                raise ConfigError(
                    f"{str(other.file)!r} and {str(file)!r} are both for the {one.kind} {one.id!r}; keep one."
                )
    return sorted(found.values(), key=lambda one: (KINDS.index(one.kind), one.id))


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(path.glob("*.json"))
    if not path.is_file():
        raise ConfigError(f"There is no file or folder {str(path)!r}; jobs are kept in flows/jobs/*.json.")
    return [path]


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"Cannot read {str(file)!r}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{str(file)!r} is no UTF-8 text: {error.reason} at byte {error.start}.") from error
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{str(file)!r} is no JSON: {error.msg} in line {error.lineno}, column {error.colno}."
        ) from error


def _resources(file: Path, raw: Any) -> Iterator[Resource]:
    kinds = [kind for kind, marks in _MARKS.items() if isinstance(raw, dict) and any(mark in raw for mark in marks)]
    if len(kinds) != 1:
        raise ConfigError(
            f"{str(file)!r} is of no kind that is known: a job has analysis_config, a datafeed indices, a transform "
            "pivot."
        )
    [kind] = kinds
    body = dict(raw)
    name = body.get(_ID_KEYS[kind]) or file.stem
    if not isinstance(name, str):
        raise ConfigError(f"{str(file)!r}: its {_ID_KEYS[kind]} {name!r} is no text.")
    feed = body.pop("datafeed_config", None) if kind == "job" else None
    yield Resource(kind, name, body, file)
    if feed is not None:
        if not isinstance(feed, dict):
            raise ConfigError(f"{str(file)!r}: its datafeed_config is no object.")
        yield Resource("datafeed", str(feed.get("datafeed_id") or name), {"job_id": name, **feed}, file)
