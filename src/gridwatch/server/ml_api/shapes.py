"""Small changes to what the service answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gridwatch.server.ml_api.asked import Asked

__all__ = ["configs", "without_generated"]

_GENERATED = ("create_time", "finished_time", "job_type", "job_version", "model_snapshot_id", "authorization")


def configs(asked: Asked, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return configs as they are asked for: with `exclude_generated`, as a PUT takes them."""
    return [without_generated(one) for one in found] if asked.flag("exclude_generated") else found


def without_generated(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config that a PUT to another server takes: without what came of making it."""
    found = {name: value for name, value in config.items() if name not in _GENERATED}
    if isinstance(feed := found.get("datafeed_config"), dict):
        found["datafeed_config"] = without_generated(feed)
    return found
