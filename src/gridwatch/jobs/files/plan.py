"""What has to be done so that the store holds what files say; found out first, and done only if all of it can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from gridwatch.errors import JobsRequestError
from gridwatch.jobs.files import datafeeds, jobs, transforms
from gridwatch.jobs.files.known import Known
from gridwatch.jobs.files.pruning import pruned
from gridwatch.jobs.files.reading import KINDS, Resource
from gridwatch.jobs.files.steps import Step

if TYPE_CHECKING:
    from gridwatch.jobs.service import JobsService

__all__ = ["Plan", "plan"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Plan:
    """Steps in the order in which they are done: what is deleted first, then what is made or changed."""

    steps: tuple[Step, ...]

    @property
    def refused(self) -> tuple[Step, ...]:
        """Those that cannot be done: as long as there is one, nothing is."""
        return tuple(step for step in self.steps if step.action == "refuse")

    def count(self, action: str) -> int:
        """Return how many steps are of this action."""
        return sum(step.action == action for step in self.steps)

    def apply(self, service: JobsService, *, done: Callable[[Step], None] = lambda _step: None) -> None:
        """Do the steps.

        Args:
            service: The one that the plan was made with.
            done: Called after each.

        Raises:
            JobsRequestError: One is refused; nothing is done.
            JobsError: The store has changed since the plan was made; the steps before are done.
        """
        if self.refused:
            raise JobsRequestError(f"{len(self.refused)} of the resources are refused; nothing was changed.")
        datafeeds.make_room(service, self.steps)
        for step in self.steps:
            _DO[step.kind](service, step)
            done(step)
        figures = {action: self.count(action) for action in ("create", "update", "recreate", "delete")}
        log.info("jobs_applied", **figures)


_DO = {"transform": transforms.apply, "job": jobs.apply, "datafeed": datafeeds.apply}
_PLAN = {"transform": transforms.plan, "job": jobs.plan, "datafeed": datafeeds.plan}


def plan(service: JobsService, resources: Sequence[Resource], *, recreate: bool = False, prune: bool = False) -> Plan:
    """Return what has to be done so that the store holds these resources.

    Args:
        service: Over the store.
        resources: What there should be.
        recreate: Whether what cannot be changed in place is deleted and made anew.
        prune: Whether what no resource names is deleted.
    """
    known = Known.of(service, resources, prune=prune)
    steps = [
        _PLAN[one.kind](known, one, recreate=recreate)
        for one in sorted(resources, key=lambda one: KINDS.index(one.kind))
    ]
    anew = {step.id for step in steps if step.kind == "job" and step.action == "recreate"}
    steps = [datafeeds.carried(known, step, anew) for step in steps]
    gone = pruned(known) if prune else []
    return Plan((*gone, *steps, *datafeeds.kept(known, anew)))
