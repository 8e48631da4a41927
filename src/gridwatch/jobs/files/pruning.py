"""What is stored and no file names: what `--prune` does about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from gridwatch.jobs.files.jobs import lost
from gridwatch.jobs.files.steps import Step

if TYPE_CHECKING:
    from gridwatch.jobs.files.known import Known
    from gridwatch.jobs.files.reading import Kind

__all__ = ["pruned"]


class _Stored(Protocol):
    @property
    def id(self) -> str: ...

    @property
    def state(self) -> str: ...


def pruned(known: Known) -> list[Step]:
    """Return a step for each resource that no file names, datafeeds before their jobs; what transforms wrote stays."""
    return [
        *_gone(known, "datafeed", known.datafeeds.values(), "stopped", "stop it first"),
        *_gone(known, "job", known.jobs.values(), "closed", "close it first", lost),
        *_gone(known, "transform", known.transforms.values(), "stopped", "stop it first"),
    ]


def _gone(
    known: Known,
    kind: Kind,
    stored: Iterable[_Stored],
    idle: str,
    remedy: str,
    warnings: Callable[[Any], tuple[str, ...]] = lambda _one: (),
) -> list[Step]:
    steps = []
    for one in stored:
        if known.stays(kind, one.id):
            continue
        if one.state == idle:
            steps.append(Step(kind, one.id, "delete", reason="no file names it", warnings=warnings(one)))
        else:
            reason = f"no file names it, but it is {one.state}; {remedy}"
            steps.append(Step(kind, one.id, "refuse", reason=reason))
    return steps
