"""Counters of a transform, and how `_stats` tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridwatch.jobs.transform.resources import Transform

__all__ = ["counted", "stats_json"]

_SUMMED = ("pages_processed", "documents_processed", "documents_indexed", "trigger_count", "processing_time_in_ms")
_ALWAYS = (
    "documents_deleted", "index_failures", "search_failures", "delete_time_in_ms",
)  # fmt: skip


def counted(
    stats: Mapping[str, Any], *, read: int, written: int, pieces: int, now_ms: int, took_s: float
) -> dict[str, Any]:
    """Return the counters after one more run.

    Args:
        stats: Before it.
        read: Rows of the sources.
        written: Rows of the summary.
        pieces: In how many pieces.
        now_ms: When it began, UTC epoch ms.
        took_s: How long it took, seconds.
    """
    added = dict(zip(_SUMMED, (pieces, read, written, 1, round(took_s * 1000)), strict=True))
    return {
        **stats,
        **{name: int(stats.get(name, 0)) + number for name, number in added.items()},
        "searched_ms": now_ms,
        "failures": 0,
        "error": None,
    }


def stats_json(transform: Transform) -> dict[str, Any]:
    """Return a transform's part of the answer of `_stats`."""
    stats = transform.stats
    last: dict[str, Any] = {"checkpoint": transform.checkpoint}
    if transform.checkpoint_ms is not None:
        last["timestamp_millis"] = transform.checkpoint_ms
    if transform.done_to_ms is not None:
        last["time_upper_bound_millis"] = transform.done_to_ms
    checkpointing: dict[str, Any] = {"last": last}
    if stats.get("searched_ms") is not None:
        checkpointing["last_search_time"] = stats["searched_ms"]
    health: dict[str, Any] = {"status": "green"}
    if transform.state == "failed" or stats.get("failures"):
        status = "red" if transform.state == "failed" else "yellow"
        health = {"status": status, "issues": [{"issue": "Transform task", "details": stats.get("error")}]}
    found = {
        "id": transform.id,
        "state": transform.state,
        "stats": {name: int(stats.get(name, 0)) for name in _SUMMED} | dict.fromkeys(_ALWAYS, 0),
        "checkpointing": checkpointing,
        "health": health,
    }
    return found if transform.reason is None else {**found, "reason": transform.reason}
