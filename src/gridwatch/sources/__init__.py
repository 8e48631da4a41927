"""Sources: where rows come from. `open_source` gives the one that a dataset names; each yields batches of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridwatch.sources.base import RejectedRow, Source, SourceBatch
from gridwatch.sources.dataset import (
    AlphaVantageSource,
    CsvFolderSource,
    Dataset,
    load_dataset,
    load_datasets,
    topics_pattern,
)

if TYPE_CHECKING:
    from gridwatch.settings import Settings

__all__ = [
    "Dataset",
    "RejectedRow",
    "Source",
    "SourceBatch",
    "load_dataset",
    "load_datasets",
    "open_source",
    "topics_pattern",
]


def open_source(dataset: Dataset, settings: Settings) -> Source:
    """Return the source that a dataset names. Nothing is read or asked yet.

    Raises:
        SourceError: The source cannot serve this dataset, such as Alpha Vantage without an API key.
    """
    if isinstance(dataset.source, AlphaVantageSource):
        from gridwatch.sources.alpha_vantage import AlphaVantage

        return AlphaVantage(dataset, dataset.source, settings.alpha_vantage)
    if isinstance(dataset.source, CsvFolderSource):
        from gridwatch.sources.csv_folder import CsvFolder

        return CsvFolder(dataset, dataset.source)
    from gridwatch.sources.samples import Sample

    return Sample(dataset, dataset.source)
