"""Made-up data in the shape of Kibana's samples, with odd things put in at known places: logs, orders and events.

`kibana_sample_data_logs` is a web server's log, `kibana_sample_data_ecommerce` a shop's orders, `security_events` who
logged in and what they did. There is more during the day than at night, and less at weekends. The same seed, start and
days give the same bytes. What is odd where comes back as data, so that a detector can be asked whether it found it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.errors import SourceError
from gridwatch.sources.kibana_events import make_events
from gridwatch.sources.kibana_logs import make_logs
from gridwatch.sources.kibana_orders import make_orders
from gridwatch.sources.kibana_rows import DAY_MS, PutAnomaly, Rows, Span

if TYPE_CHECKING:
    from gridwatch.containers import Store

__all__ = ["CONTAINERS", "START_MS", "Sample", "make_samples", "samples_info", "write_samples"]

START_MS = 1_707_091_200_000
"""2024-02-05, a Monday."""
DAYS = 28
DAYS_MIN = 14
DAYS_MAX = 3660
_BATCH = 20_000

_MAKERS: dict[str, Callable[[Span], Rows]] = {
    "kibana_sample_data_logs": make_logs,
    "kibana_sample_data_ecommerce": make_orders,
    "security_events": make_events,
}
CONTAINERS = tuple(_MAKERS)
"""Names of the containers."""
_TYPES = {
    pa.string(): ColumnType.STRING, pa.int64(): ColumnType.LONG, pa.float64(): ColumnType.DOUBLE,
    pa.int32(): ColumnType.INTEGER, pa.timestamp("ms", "UTC"): ColumnType.TIMESTAMP,
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One container's rows.

    Attributes:
        info: The container.
        rows: Its rows, in the order of time; the first column is the key.
        anomalies: What is odd in them, in the order of time.
    """

    info: ContainerInfo
    rows: pa.Table
    anomalies: tuple[PutAnomaly, ...]


def make_samples(
    *, seed: int = 1, start_ms: int = START_MS, days: int = DAYS, names: Collection[str] = CONTAINERS
) -> Iterator[Sample]:
    """Yield sample data.

    Args:
        seed: The same seed makes the same rows.
        start_ms: First day, UTC epoch ms; the time of the day does not count.
        days: How many, 14 at least: what is odd comes in the last eleven days.
        names: Which of `CONTAINERS`.

    Raises:
        SourceError: There is no such container, or the days are too few or too many.
    """
    unknown = sorted(set(names) - set(CONTAINERS))
    if unknown:
        raise SourceError(f"No sample data {unknown[0]!r}; there are {', '.join(CONTAINERS)}.", unknown=unknown)
    if not DAYS_MIN <= days <= DAYS_MAX:
        raise SourceError(f"Sample data of {days} days; {DAYS_MIN} to {DAYS_MAX} can be made.", days=days)
    first = start_ms // DAY_MS * DAY_MS
    if not 0 <= first <= 253_402_300_800_000 - days * DAY_MS:
        raise SourceError(f"Sample data cannot begin at {start_ms}: GridDB's time is 1970 to 9999.", start_ms=start_ms)
    for place, (name, make) in enumerate(_MAKERS.items()):
        if name in names:
            made = make(Span(seed, place, first, days))
            yield Sample(samples_info(name, made.table), made.table, made.anomalies)


def samples_info(name: str, rows: pa.Table) -> ContainerInfo:
    """Return the container of some rows: a COLLECTION with the first column as its key, its times indexed."""
    columns = tuple(
        Column(field.name, _TYPES[field.type], nullable=place > 0) for place, field in enumerate(rows.schema)
    )
    times = tuple(column.name for column in columns if column.type is ColumnType.TIMESTAMP)
    return ContainerInfo(name, ContainerType.COLLECTION, columns, (columns[0].name,), indexes=times)


def write_samples(
    store: Store,
    *,
    seed: int = 1,
    start_ms: int = START_MS,
    days: int = DAYS,
    names: Collection[str] = CONTAINERS,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[PutAnomaly]:
    """Write sample data into a store; writing it again changes nothing.

    Args:
        store: Any backend.
        seed: The same seed makes the same rows.
        start_ms: First day, UTC epoch ms.
        days: How many, 14 at least.
        names: Which of `CONTAINERS`.
        progress: Called with the container's name, rows written so far, and rows in all.

    Returns:
        What is odd where.

    Raises:
        SourceError: There is no such container, or the days are too few or too many.
        ContainerExistsError: A container of the name is there with other columns.
    """
    found: list[PutAnomaly] = []
    for sample in make_samples(seed=seed, start_ms=start_ms, days=days, names=names):
        store.put_container(sample.info)
        for first in range(0, sample.rows.num_rows, _BATCH):
            batch = sample.rows.slice(first, _BATCH)
            store.put(sample.info.name, batch)
            if progress is not None:
                progress(sample.info.name, first + batch.num_rows, sample.rows.num_rows)
        found += sample.anomalies
    return found
