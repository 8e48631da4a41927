"""The digest of a bucket's rows as a job was told them, by which an anomaly names what it was found in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RowsOf", "bucket_digest"]

RowsOf: TypeAlias = Callable[[int, int], "Iterator[pd.DataFrame]"]
"""Gives the rows from an instant, inclusive, to another, exclusive, UTC epoch ms."""


def bucket_digest(rows_of: RowsOf, start_ms: int, end_ms: int) -> tuple[int, str]:
    """Return how many rows there are, and the sha256 (hex) over them.

    It does not depend on their order: that of rows of one millisecond is the store's. Each row is JSON, its fields by
    name; the digests of all rows, sorted, are what is hashed.

    Args:
        rows_of: As `Extraction.frames`.
        start_ms: First instant, UTC epoch ms.
        end_ms: First instant not wanted any more.

    Raises:
        JobsError: The rows cannot be read as the datafeed says.
    """
    found: list[bytes] = []
    for frame in rows_of(start_ms, end_ms):
        names = sorted(str(name) for name in frame.columns)
        # Written column by column, as json.dumps writes the row: a bucket may have thousands.
        columns = [_texts(frame[name]) for name in names]
        told = ", ".join(f"{json.dumps(name)}: ".replace("{", "{{").replace("}", "}}") + "{}" for name in names)
        row = f"{{{{{told}}}}}".format
        found += [hashlib.sha256(row(*values).encode()).digest() for values in zip(*columns, strict=True)]
    return len(found), hashlib.sha256(b"".join(sorted(found))).hexdigest()


def _texts(column: pd.Series[Any]) -> list[str]:
    """Return each value as JSON."""
    import numpy as np
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        known = [*(json.dumps(_plain(value)) for value in column.cat.categories.tolist()), "null"]
        return np.array(known, object)[column.cat.codes.to_numpy()].tolist()  # type: ignore[no-any-return]
    values = column.tolist()
    if column.dtype.kind == "i":
        return list(map(repr, values))
    if column.dtype == np.float64 and np.isfinite(column.to_numpy()).all():
        return [repr(int(value)) if value.is_integer() else repr(value) for value in values]
    return [json.dumps(_plain(value)) for value in values]


def _plain(value: Any) -> Any:
    """Return a value as JSON takes it.

    What is missing is null, however the frame says so; a whole number is one, though its column has others that are
    not, for that depends on how the rows were cut.

    >>> [_plain(value) for value in (5.0, 5, 0.5, float("nan"), None, "a", True)]
    [5, 5, 0.5, None, None, 'a', True]
    """
    if isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return None if value != value else int(value) if value.is_integer() else value
    import pandas as pd

    return None if pd.isna(value) else str(value)
