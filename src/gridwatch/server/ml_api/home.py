"""`/`: Elasticsearch's clients are told whom they talk to, where the settings allow it; all others get the pages."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from flask import current_app, redirect, url_for

from gridwatch.server.auth import is_ml_api
from gridwatch.server.ml_api.asked import Asked
from gridwatch.server.ml_api.endpoint import endpoint
from gridwatch.server.state import state

if TYPE_CHECKING:
    from werkzeug.wrappers import Response

__all__ = ["home"]

_VERSION = "9.0.0"
"""Of the API that is spoken here. Clients of 8 take it as well."""
_COMPATIBLE = "8.18.0"


def home() -> Response:
    """Lead to the first page, or tell a client of Elasticsearch whom it talks to."""
    found: Response = _greeting() if is_ml_api() else redirect(url_for("overview.page"))
    return found


@endpoint("GET")
def _greeting(asked: Asked) -> Any:
    """Return what Elasticsearch's clients read at `/`, each of them another part of it."""
    from importlib.metadata import version

    del asked
    settings = state(current_app).settings
    # The same for the same store, as that of a cluster is, and as long as its ids are: 22 characters.
    digest = hashlib.sha256(f"{settings.server.cluster}\n{settings.store}".encode()).digest()
    return {
        "name": "gridwatch",
        "cluster_name": settings.server.cluster,
        "cluster_uuid": base64.urlsafe_b64encode(digest[:16]).decode().rstrip("="),
        "version": {
            "number": _VERSION,
            "build_flavor": "default",
            "build_type": f"gridwatch {version('gridwatch')}",
            "build_hash": "unknown",
            "build_date": "1970-01-01T00:00:00Z",
            "build_snapshot": False,
            "lucene_version": "none",
            "minimum_wire_compatibility_version": _COMPATIBLE,
            "minimum_index_compatibility_version": _COMPATIBLE,
        },
        "tagline": "You Know, for Search",
    }
