"""The jobs and transforms of the served store: services for all requests, made when they are first needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import current_app, request

from gridwatch.server.state import state

if TYPE_CHECKING:
    from gridwatch.jobs.service import JobsService
    from gridwatch.jobs.transform.service import TransformService

__all__ = ["jobs", "transforms"]


def jobs() -> JobsService:
    """Return the service. Only a PUT makes the containers of jobs.

    Raises:
        StoreError: The containers of jobs can neither be found nor made.
    """
    return state(current_app).jobs(make=request.method == "PUT")


def transforms() -> TransformService:
    """Return the service of transforms; see `jobs`."""
    return state(current_app).transforms(make=request.method == "PUT")
