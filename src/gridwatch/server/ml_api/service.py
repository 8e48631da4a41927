"""The jobs of the served store: one service for all requests, made when it is first needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import current_app, request

from gridwatch.server.state import state

if TYPE_CHECKING:
    from gridwatch.jobs.service import JobsService

__all__ = ["jobs"]


def jobs() -> JobsService:
    """Return the service. Only a PUT makes the containers of jobs.

    Raises:
        StoreError: The containers of jobs can neither be found nor made.
    """
    return state(current_app).jobs(make=request.method == "PUT")
