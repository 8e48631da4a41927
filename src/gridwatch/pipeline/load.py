"""Load a dataset's history: source to Kafka to container, batch by batch, going on where the last load stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridwatch.pipeline.transport import LoadReport, Progress, carry, loaded_batches
from gridwatch.sources import open_source

if TYPE_CHECKING:
    from gridwatch.containers.store import Store
    from gridwatch.settings import Settings
    from gridwatch.sources import Dataset

__all__ = ["LoadReport", "load_batch"]


def load_batch(
    dataset: Dataset,
    store: Store,
    settings: Settings,
    *,
    now_ms: int,
    months: int | None = None,
    progress: Progress | None = None,
    jars_progress: Progress | None = None,
) -> LoadReport:
    """Load the history of a dataset; batches that a former load recorded in `loads` are skipped.

    Args:
        dataset: What to load.
        store: Where the rows go.
        settings: Kafka, Alpha Vantage.
        now_ms: The present, UTC epoch ms.
        months: How far back; by default the dataset's `history_months`.
        progress: Told the rows sent so far.
        jars_progress: Told of Kafka's jars when they must be downloaded first.

    Raises:
        SourceError: The source failed; what came before is loaded and recorded.
        StreamError: Kafka failed; rows not yet recorded are loaded again next time.
    """
    done = loaded_batches(dataset, store)
    batches = open_source(dataset, settings).history(
        now_ms=now_ms, months=dataset.history_months if months is None else months, done=done
    )
    return carry(
        dataset, batches, store, settings, now_ms=now_ms, done=done, progress=progress, jars_progress=jars_progress
    )
