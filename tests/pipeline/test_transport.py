"""Which batches count as loaded."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from gridwatch.containers import open_store
from gridwatch.containers.catalog import LOADS
from gridwatch.pipeline.transport import loaded_batches
from gridwatch.sources import Dataset


def test_batches_whose_container_is_gone_are_loaded_again(tmp_path: Path) -> None:
    source = {"kind": "sample", "series": "AAPL"}
    dataset = Dataset.model_validate({"name": "apple", "symbol": "AAPL", "source": source})
    with open_store(f"sqlite:///{tmp_path / 's.db'}") as store:
        assert "2013-09" not in loaded_batches(dataset, store)
        store.put_container(LOADS)
        store.put_container(dataset.info)
        key = {name: [value] for name, value in zip(LOADS.row_key, ("apple", "2013-09"), strict=True)}
        store.put(LOADS.name, pd.DataFrame(key))
        assert "2013-09" in loaded_batches(dataset, store)
        store.drop_container(dataset.container)
        assert "2013-09" not in loaded_batches(dataset, store)
