"""Refusals as Elasticsearch tells them: a status, a type and a reason, twice over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gridwatch.errors import (
    ConfigError,
    ContainerNotFoundError,
    GridwatchError,
    JobsBusyError,
    JobsError,
    StoreBusyError,
    StoreError,
    TrackingError,
)
from gridwatch.server.griddb_webapi.errors import told

__all__ = ["MlApiError", "error_body", "of_ours", "unfit"]

_AGAIN = {"Retry-After": "1"}


class MlApiError(Exception):
    """A request that is refused before any job is asked.

    Args:
        status: Of HTTP.
        type: As Elasticsearch calls it.
        reason: What is wrong.
        headers: Of the answer, beside the usual ones.
    """

    def __init__(self, status: int, type: str, reason: str, headers: Mapping[str, str] | None = None) -> None:  # noqa: A002 - Elasticsearch's word
        super().__init__(reason)
        self.status, self.type, self.reason = status, type, reason
        self.headers = dict(headers or {})


def unfit(reason: str) -> MlApiError:
    """Return the refusal of a parameter, 400."""
    return MlApiError(400, "illegal_argument_exception", reason)


def of_ours(error: GridwatchError) -> MlApiError:
    """Return what a job, a datafeed or the store refuses as it is answered."""
    if isinstance(error, JobsError):
        later = isinstance(error, JobsBusyError) or error.status == 429
        return MlApiError(error.status, error.type, str(error), _AGAIN if later else None)
    if isinstance(error, ContainerNotFoundError):
        return MlApiError(404, "index_not_found_exception", told(error))
    if isinstance(error, StoreError):
        # A disk that is full or a file that is locked is no fault of the request: sent again later, it may do.
        later = isinstance(error, StoreBusyError) or bool(error.values.get("unusable"))
        if later:
            return MlApiError(503, "store_busy_exception", told(error), _AGAIN)
        return MlApiError(400, "store_exception", told(error))
    if isinstance(error, ConfigError | TrackingError):
        return MlApiError(503, "status_exception", str(error), _AGAIN)
    return MlApiError(400, "status_exception", str(error))


def error_body(error: MlApiError) -> dict[str, Any]:
    """Return the body of a refusal."""
    cause = {"type": error.type, "reason": error.reason}
    return {"error": {"root_cause": [cause], **cause}, "status": error.status}
