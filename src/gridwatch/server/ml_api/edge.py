"""Errors and the end of each request: no caller is answered with anything but JSON."""

from __future__ import annotations

from flask import Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from gridwatch.errors import GridwatchError, StoreError
from gridwatch.server.metrics import count_store_error
from gridwatch.server.ml_api.access import end_turns
from gridwatch.server.ml_api.endpoint import blueprint
from gridwatch.server.ml_api.errors import MlApiError, error_body, of_ours
from gridwatch.server.ml_api.media import answer

__all__ = ["blueprint", "http_error"]


# `/` is outside the blueprint, and refuses as it does.
@blueprint.app_errorhandler(MlApiError)
def _refused(error: MlApiError) -> Response:
    told = answer(error_body(error), error.status)
    told.headers.update(error.headers)
    return told


@blueprint.errorhandler(GridwatchError)
def _refused_by_ours(error: GridwatchError) -> Response:
    if isinstance(error, StoreError):
        count_store_error(error.code)
    return _refused(of_ours(error))


blueprint.teardown_app_request(end_turns)


def http_error(error: HTTPException) -> Response:
    """Return the answer to an address, method or size that is none of the API's, or to a defect."""
    status = error.code or 500
    if status == 404:
        # Elasticsearch answers so where it knows no such address: 404 is for jobs that are not there.
        told = f"no handler found for uri [{request.full_path.rstrip('?')}] and method [{request.method}]"
        return answer({"error": told}, 400)
    if isinstance(error, MethodNotAllowed):
        allowed = sorted(set(error.valid_methods or ()) - {"HEAD", "OPTIONS"})
        told = (
            f"Incorrect HTTP method for uri [{request.full_path.rstrip('?')}] and method [{request.method}], "
            f"allowed: [{', '.join(allowed)}]"
        )
        refused = answer({"error": told, "status": 405}, 405)
        refused.headers["Allow"] = ",".join(allowed)
        return refused
    kind = {413: "content_too_long_exception", 500: "exception"}.get(status, "status_exception")
    return _refused(MlApiError(status, kind, error.description or error.name))
