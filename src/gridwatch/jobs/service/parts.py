"""What all parts of the service share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gridwatch.jobs.analysis.models import BUCKETS
from gridwatch.jobs.resources import Resources
from gridwatch.jobs.results import ResultRows
from gridwatch.jobs.service.messages import Messages
from gridwatch.jobs.service.networks import Networks
from gridwatch.jobs.service.running import LEASE_MS, Running

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.detectors.online.config import AutoConfig
    from gridwatch.settings import Settings

__all__ = ["Parts"]


class Parts:
    """The store, the rows that are kept in it, and the jobs at hand.

    Args:
        store: Any backend; stays open, and the caller closes it.
        now_ms: The clock, UTC epoch ms.
        model: Members and constants of the models.
        threads: How many threads share an analysis.
        lease_ms: How long a job stays with a process that says nothing any more.
        make: Whether containers are made when missing; without it, a store that has no jobs is asked and left alone.
        settings: Where MLflow keeps the networks of jobs that name one; None to keep them in the jobs' states alone.
    """

    def __init__(
        self,
        store: Store,
        *,
        now_ms: Callable[[], int],
        model: AutoConfig | None = None,
        threads: int = 1,
        lease_ms: int = LEASE_MS,
        make: bool = True,
        settings: Settings | None = None,
    ) -> None:
        self.store = store
        self.now_ms = now_ms
        self.model = model or BUCKETS
        self.resources = Resources(store, make=make)
        self.results = ResultRows(store, make=make)
        self.messages = Messages(store, now_ms=now_ms, make=make)
        self.networks = Networks(self.messages, settings, now_ms=now_ms)
        self.running = Running(
            store, self.resources, self.results, self.messages, model=self.model, now_ms=now_ms, threads=threads,
            lease_ms=lease_ms, make=make, teacher=self.networks,
        )  # fmt: skip
