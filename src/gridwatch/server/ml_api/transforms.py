"""The addresses of transforms: made, changed, previewed, started, stopped and deleted."""

from __future__ import annotations

from typing import Any

from gridwatch.errors import JobsRequestError
from gridwatch.server.ml_api.asked import Asked
from gridwatch.server.ml_api.endpoint import endpoint
from gridwatch.server.ml_api.service import transforms
from gridwatch.server.ml_api.shapes import configs

__all__: list[str] = []

_ROOT = "/_transform"
_ONE = f"{_ROOT}/<transform_id>"
_SIZE = 100


@endpoint("PUT", _ONE, body="config", parameters=("defer_validation", "timeout"), write=True)
def put_transform(asked: Asked, transform_id: str) -> Any:
    """Make a transform."""
    asked.duration("timeout")
    transforms().put(asked.body, transform_id=transform_id, defer_validation=asked.flag("defer_validation"))
    return {"acknowledged": True}


@endpoint("GET", _ROOT, _ONE, parameters=("allow_no_match", "exclude_generated", "from", "size"))
def get_transforms(asked: Asked, transform_id: str = "_all") -> Any:
    """Return configs."""
    found = transforms().transforms.find(transform_id, allow_no_match=asked.flag("allow_no_match", True))
    shown = configs(asked, [one.config.to_json() for one in found])
    return {"count": len(shown), "transforms": _page(asked, shown)}


@endpoint(
    "GET",
    f"{_ROOT}/_stats",
    f"{_ONE}/_stats",
    parameters=("allow_no_match", "from", "size", "timeout", "basic"),
)
def transform_stats(asked: Asked, transform_id: str = "_all") -> Any:
    """Return how transforms fare."""
    asked.duration("timeout")
    asked.flag("basic")
    found = transforms().stats(transform_id, allow_no_match=asked.flag("allow_no_match", True))
    return {"count": len(found), "transforms": _page(asked, found)}


@endpoint("DELETE", _ONE, parameters=("force", "delete_dest_index", "timeout"), write=True)
def delete_transform(asked: Asked, transform_id: str) -> Any:
    """Delete a transform, and what it wrote where that is wanted."""
    asked.duration("timeout")
    transforms().delete(transform_id, force=asked.flag("force"), delete_dest_index=asked.flag("delete_dest_index"))
    return {"acknowledged": True}


@endpoint("POST", f"{_ONE}/_update", body="config", parameters=("defer_validation", "timeout"), write=True)
def update_transform(asked: Asked, transform_id: str) -> Any:
    """Change what may change of a transform."""
    asked.duration("timeout")
    changed = transforms().update(transform_id, asked.body, defer_validation=asked.flag("defer_validation"))
    return changed.config.to_json()


@endpoint("GET POST", f"{_ROOT}/_preview", f"{_ONE}/_preview", body="perhaps", parameters=("timeout",), heavy=True)
def preview_transform(asked: Asked, transform_id: str | None = None) -> Any:
    """Return what a transform would write."""
    asked.duration("timeout")
    if transform_id is None and asked.body is None:
        raise JobsRequestError("a preview needs the id of a transform, or its JSON as the body.")
    return transforms().preview(asked.body, transform_id=transform_id)


@endpoint("POST", f"{_ONE}/_start", parameters=("from", "timeout"), write=True, heavy=True)
def start_transform(asked: Asked, transform_id: str) -> Any:
    """Start a transform; it runs beside the server."""
    asked.duration("timeout")
    transforms().start(transform_id, from_ms=asked.instant("from"))
    return {"acknowledged": True}


@endpoint(
    "POST",
    f"{_ONE}/_stop",
    parameters=("allow_no_match", "force", "timeout", "wait_for_checkpoint", "wait_for_completion"),
    write=True,
)
def stop_transforms(asked: Asked, transform_id: str) -> Any:
    """Stop transforms."""
    asked.duration("timeout")
    asked.flag("wait_for_checkpoint")
    asked.flag("wait_for_completion")
    transforms().stop(transform_id, force=asked.flag("force"), allow_no_match=asked.flag("allow_no_match", True))
    return {"acknowledged": True}


@endpoint("POST", f"{_ONE}/_reset", parameters=("force", "timeout"), write=True)
def reset_transform(asked: Asked, transform_id: str) -> Any:
    """Bring a stopped transform back to its beginning."""
    asked.duration("timeout")
    transforms().reset(transform_id, force=asked.flag("force"))
    return {"acknowledged": True}


def _page(asked: Asked, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    start = asked.whole("from", 0)
    return found[start : start + asked.whole("size", _SIZE)]
