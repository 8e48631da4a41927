"""`JobsService`: all of it together."""

from __future__ import annotations

from gridwatch.jobs.service.asking import Asking

__all__ = ["JobsService"]


class JobsService(Asking):
    """Jobs and datafeeds of one store. Safe to use from many threads, and from several processes at once.

    Args:
        store: Any backend; stays open, and the caller closes it.
        now_ms: The clock, UTC epoch ms.
        model: Members and constants of the models.
        threads: How many threads share an analysis.
        lease_ms: How long a job stays with a process that says nothing any more.
        settings: Where MLflow keeps the networks of jobs that name one; None to keep them in the jobs' states alone.
    """
