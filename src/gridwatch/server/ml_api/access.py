"""Who may ask: the callers of the Web API, with its users and its token; and how many at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import current_app, g, request

from gridwatch.server.griddb_webapi.access import caller, rights_of
from gridwatch.server.griddb_webapi.errors import ApiError
from gridwatch.server.ml_api.errors import MlApiError
from gridwatch.server.state import state

if TYPE_CHECKING:
    import threading

__all__ = ["end_turns", "enter", "refused"]


def enter(*, write: bool, heavy: bool) -> None:
    """Check the caller's right, then take a turn of those that all APIs share.

    Args:
        write: Whether the request changes something.
        heavy: Whether it reads or analyses many rows.

    Raises:
        MlApiError: No credentials or wrong ones (401), no right (403), too many requests at once (429).
    """
    parts = state(current_app)
    if request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
        raise refused(403, "requests from pages of other origins are refused.")
    try:
        who = caller()
        rights = rights_of(parts, who)
    except ApiError as error:
        raise refused(error.status, error.message) from error
    if rights is None:
        raise refused(401, "unable to authenticate: the user name, password or token is wrong.")
    if rights == "none" or (write and rights not in {"admin", "write"}):
        raise refused(403, "this user may only read." if rights == "read" else "this user has no rights here.")
    g.ml_turns = []
    _take(parts.api_requests, "requests")
    if heavy:
        _take(parts.statements, "searches and analyses")


def end_turns(_error: BaseException | None) -> None:
    """Give back what `enter` took."""
    for turns in g.pop("ml_turns", ()):
        turns.release()


def refused(status: int, reason: str) -> MlApiError:
    """Return the refusal of a caller."""
    if status == 503:
        return MlApiError(503, "status_exception", reason, {"Retry-After": "1"})
    headers = {"WWW-Authenticate": 'Basic realm="gridwatch", charset="UTF-8"'} if status == 401 else {}
    return MlApiError(status, "security_exception", reason, headers)


def _take(turns: threading.BoundedSemaphore, what: str) -> None:
    if not turns.acquire(blocking=False):
        raise MlApiError(
            429,
            "es_rejected_execution_exception",
            f"too many {what} at once; send this one again.",
            {"Retry-After": "1"},
        )
    g.ml_turns.append(turns)
