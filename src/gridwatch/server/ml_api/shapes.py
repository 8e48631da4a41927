"""Small changes to what the service answers."""

from __future__ import annotations

from typing import Any

__all__ = ["without_generated"]

_GENERATED = ("create_time", "finished_time", "job_type", "job_version", "model_snapshot_id", "authorization")


def without_generated(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config that a PUT to another server takes: without what came of making it."""
    found = {name: value for name, value in config.items() if name not in _GENERATED}
    if isinstance(feed := found.get("datafeed_config"), dict):
        found["datafeed_config"] = without_generated(feed)
    return found
