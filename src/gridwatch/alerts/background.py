"""What a mail tells beside the anomaly itself: the scored rows around it, and how its rows' validation went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridwatch.containers.catalog import VALIDATIONS

if TYPE_CHECKING:
    import pyarrow as pa

    from gridwatch.alerts.anomaly import Anomaly
    from gridwatch.containers import Store

__all__ = ["EACH_SIDE", "Background", "backgrounds", "rows_around_all"]

EACH_SIDE = 60
_AHEAD = 60
"""How many rows are read ahead for each further anomaly of a batch: bursts lie close together."""


@dataclass(frozen=True, slots=True)
class Background:
    """Read from the store for one anomaly.

    `rows` are the scored rows around it, None where there are none; `validated` is how its validation went, None where
    it names none or where that is no longer there.
    """

    rows: pa.Table | None
    validated: bool | None


def backgrounds(store: Store, anomalies: Sequence[Anomaly]) -> list[Background]:
    """Return the background of each anomaly, in their order; a batch is read in few pieces.

    Raises:
        StoreError: The store failed.
    """
    rows = rows_around_all(store, anomalies, each_side=EACH_SIDE)
    named = list(dict.fromkeys(one.validation_id for one in anomalies if one.validation_id is not None))
    passed: dict[str, bool] = {}
    if named and store.container(VALIDATIONS.name) is not None:
        found = store.get(VALIDATIONS.name, named).select(["id", "success"]).to_pylist()
        passed = {row["id"]: bool(row["success"]) for row in found}
    return [
        Background(around, None if one.validation_id is None else passed.get(one.validation_id))
        for one, around in zip(anomalies, rows, strict=True)
    ]


def rows_around_all(store: Store, anomalies: Sequence[Anomaly], *, each_side: int) -> list[pa.Table | None]:
    """Return the scored rows around each anomaly, oldest first, None where there are none.

    Args:
        store: Holds `SCORE_<S>`.
        anomalies: Each in the middle of its rows, its own row included.
        each_side: Most rows before it, and most after it.

    Raises:
        StoreError: The store failed.
    """
    found: dict[int, pa.Table | None] = {}
    for container in dict.fromkeys(one.score_container for one in anomalies):
        places = [place for place, one in enumerate(anomalies) if one.score_container == container]
        info = store.container(container)
        if info is None:
            found |= dict.fromkeys(places)
            continue
        waiting = sorted(places, key=lambda place: anomalies[place].ts_ms)
        while waiting:
            rows, times, whole = _read(store, info.name, anomalies[waiting[0]], each_side, len(waiting))
            for place in waiting:
                end = int(np.searchsorted(times, anomalies[place].ts_ms, side="right"))
                # The first one is always served, by what was read for it.
                if place != waiting[0] and not whole and end + each_side > len(times):
                    break
                around = rows.slice(max(0, end - each_side - 1), min(end, each_side + 1) + each_side)
                found[place] = around if around.num_rows else None
            waiting = [place for place in waiting if place not in found]
    return [found[place] for place in range(len(anomalies))]


def _read(
    store: Store, container: str, first: Anomaly, each_side: int, anomalies: int
) -> tuple[pa.Table, np.ndarray, bool]:
    """Read the rows around the first of some anomalies, and ahead for the others.

    Returns:
        The rows, oldest first; their times, int64 (n,) in UTC epoch ms; whether they are all up to the newest.
    """
    import pyarrow as pa

    columns = "ts, actual, expected, lower, upper, score"
    name = container.replace('"', '""')
    ahead = each_side + _AHEAD * (anomalies - 1)
    before = f'SELECT {columns} FROM "{name}" WHERE ts <= ? ORDER BY ts DESC LIMIT {each_side + 1}'  # noqa: S608 - quoted
    after = f'SELECT {columns} FROM "{name}" WHERE ts > ? ORDER BY ts LIMIT {ahead}'  # noqa: S608 - quoted
    newer = store.sql(after, [first.when])
    rows = pa.concat_tables([store.sql(before, [first.when]), newer]).sort_by("ts").combine_chunks()
    times = rows.column("ts").cast(pa.timestamp("ms", "UTC")).cast(pa.int64()).to_numpy()
    return rows, times, newer.num_rows < ahead
