"""Ingest a dataset's newest rows: source to Kafka to container."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridwatch.pipeline.transport import LoadReport, Progress, carry, loaded_batches
from gridwatch.sources import open_source

if TYPE_CHECKING:
    from gridwatch.containers.store import Store
    from gridwatch.settings import Settings
    from gridwatch.sources import Dataset

__all__ = ["LoadReport", "ingest_daily"]


def ingest_daily(
    dataset: Dataset,
    store: Store,
    settings: Settings,
    *,
    now_ms: int,
    progress: Progress | None = None,
    jars_progress: Progress | None = None,
) -> LoadReport:
    """Ingest what the source has new; rows that are there already are written again, which changes nothing.

    Raises:
        SourceError: The source failed.
        StreamError: Kafka failed.
    """
    batches = open_source(dataset, settings).daily(now_ms=now_ms)
    done = loaded_batches(dataset, store)
    return carry(
        dataset, batches, store, settings, now_ms=now_ms, done=done, progress=progress, jars_progress=jars_progress
    )
