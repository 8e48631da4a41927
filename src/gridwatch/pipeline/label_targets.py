"""What a label is said of: an anomaly by its id, or a range of time of a dataset or series."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from gridwatch.containers.catalog import anomaly_container, score_container, series_name
from gridwatch.errors import ConfigError
from gridwatch.sources.times import parse_times

if TYPE_CHECKING:
    from gridwatch.containers.store import Store
    from gridwatch.sources.dataset import Dataset

__all__ = ["Target", "anomaly_target", "instant", "range_target", "series_of", "target_of", "time_ms"]

_DAY_MS = 86_400_000
_PREFIX = anomaly_container("")


@dataclass(frozen=True, slots=True)
class Target:
    """An anomaly or a range.

    Attributes:
        series: The `<S>` of container names.
        partition: Part of the series, "" for all of it.
        anomaly_id: The anomaly; None for a range alone.
        from_ms: First instant, UTC epoch ms.
        to_ms: Last instant, included.
    """

    series: str
    partition: str
    anomaly_id: str | None
    from_ms: int
    to_ms: int


def target_of(
    name: str,
    store: Store,
    datasets: Sequence[Dataset],
    *,
    from_text: str | None = None,
    to_text: str | None = None,
    ahead: bool = False,
) -> Target:
    """Return what a person means.

    Args:
        name: An anomaly's id, or a dataset or series, which need a range.
        store: Holds the anomalies.
        datasets: Those there are.
        from_text: First time of the range, as `time_ms` takes it. Of an anomaly it may widen the range.
        to_text: Last time; None: that of `from_text`, or of the anomaly.
        ahead: Whether the range may be without rows, as one that is still to come.

    Raises:
        ConfigError: There is no such anomaly, dataset or series, a time cannot be read, or the range is missing,
            reversed, without rows, or does not hold the anomaly.
    """
    if from_text is None and to_text is not None:
        raise ConfigError("A range has two ends: name its first time with --from.")
    from_ms = None if from_text is None else time_ms(from_text)
    to_ms = None if from_text is None else time_ms(to_text or from_text, last=True)
    if from_ms is not None and to_ms is not None and from_ms > to_ms:
        raise ConfigError(f"The range from {instant(from_ms)} to {instant(to_ms)} ends before it begins; swap the two.")
    if re.fullmatch(r"[0-9a-f]{32}", name):
        return anomaly_target(store, name, from_ms, to_ms)
    if from_ms is None or to_ms is None:
        raise ConfigError(
            f"{name!r} is no id of an anomaly (32 of 0-9 a-f, see `gridwatch anomalies`); of a dataset or series, "
            "say which range: --from TIME --to TIME."
        )
    return range_target(store, datasets, name, from_ms, to_ms, ahead=ahead)


def anomaly_target(store: Store, anomaly_id: str, from_ms: int | None = None, to_ms: int | None = None) -> Target:
    """Return the target that an anomaly is, its range widened where one is given.

    Raises:
        ConfigError: No container of anomalies holds it, or the range does not.
    """
    for name in store.containers():
        info = store.container(name) if name.upper().startswith(_PREFIX) else None
        if info is None or info.row_key != ("id",) or not any(column.name == "ts" for column in info.columns):
            continue
        rows = store.get(name, [anomaly_id]).to_pylist()
        if rows:
            at_ms = round(rows[0]["ts"].timestamp() * 1000)
            first_ms, last_ms = at_ms if from_ms is None else from_ms, at_ms if to_ms is None else to_ms
            if not first_ms <= at_ms <= last_ms:
                raise ConfigError(
                    f"Anomaly {anomaly_id} is at {instant(at_ms)}, outside {instant(first_ms)} to {instant(last_ms)}; "
                    "widen the range, or leave it out."
                )
            return Target(name[len(_PREFIX) :], rows[0].get("partition") or "", anomaly_id, first_ms, last_ms)
    raise ConfigError(f"There is no anomaly {anomaly_id!r}; see the ids that `gridwatch anomalies` lists.")


def range_target(
    store: Store, datasets: Sequence[Dataset], name: str, from_ms: int, to_ms: int, *, ahead: bool = False
) -> Target:
    """Return the target that a range of a dataset or series is.

    Raises:
        ConfigError: There is no such dataset or series, or no row in the range, and it must not be `ahead`.
    """
    series, dataset = series_of(name, datasets, store)
    places = [dataset.container] if dataset else []
    found = [one for one in (*places, score_container(series)) if store.container(one) is not None]
    if not ahead and not any(store.aggregate(one, "COUNT", None, from_ms, to_ms) for one in found):
        raise ConfigError(f"{name!r} has no rows from {instant(from_ms)} to {instant(to_ms)}; is the year right?")
    return Target(series, "", None, from_ms, to_ms)


def series_of(name: str, datasets: Sequence[Dataset], store: Store) -> tuple[str, Dataset | None]:
    """Return the series (`<S>`) that a name means, and its dataset if it has one.

    Args:
        name: Of a dataset, or of a series as `gridwatch anomalies` shows it.
        datasets: Those there are.
        store: Where series without a dataset may be.

    Raises:
        ConfigError: There is neither; names those that there are.
    """
    by_name = {dataset.name.lower(): dataset for dataset in datasets}
    by_series = {series_name(dataset.symbol).lower(): dataset for dataset in datasets}
    dataset = by_name.get(name.lower()) or by_series.get(name.lower())
    if dataset is not None:
        return series_name(dataset.symbol), dataset
    containers = {one.lower(): one for one in store.containers()}
    for container in (score_container(name), anomaly_container(name)):
        if container.lower() in containers:
            return containers[container.lower()].partition("_")[2], None
    known = sorted(by_name)
    near = difflib.get_close_matches(name.lower(), known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known) or 'no datasets'}."
    raise ConfigError(f"There is no dataset or series {name!r}; {hint}")


def time_ms(text: str, *, last: bool = False) -> int:
    """Return a time that a person wrote as UTC epoch ms; UTC where it says no offset.

    Args:
        text: `2024-05-01`, `2024-05-01T12:30`, `2024-05-01 12:30:00.5Z`, `2024-05-01T12:30+02:00`.
        last: Whether a day alone means its last millisecond rather than its first.

    Raises:
        ConfigError: It is no such time.
    """
    values, reasons = parse_times(pa.array([text]), "UTC")
    if reasons[0] is not None:
        raise ConfigError(f"Cannot read the time {text!r}: {reasons[0]}; write 2024-05-01T12:30, in UTC.")
    return int(values[0]) + (_DAY_MS - 1 if last and len(text) == len("2024-05-01") else 0)


def instant(time_ms: int) -> str:
    """Return UTC epoch ms as text for a message."""
    return f"{np.datetime64(time_ms, 'ms')}Z"
