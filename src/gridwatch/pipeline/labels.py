"""Labels in the store: said, taken back, listed, and read with what they teach the detector of a series."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import structlog

from gridwatch.containers import TIMESTAMP_MS_MAX
from gridwatch.containers.catalog import LABELS
from gridwatch.detectors.labels import VERDICTS, Label, Labels
from gridwatch.errors import ConfigError
from gridwatch.pipeline.label_targets import Target, instant
from gridwatch.pipeline.labelled_rows import scored_rows

if TYPE_CHECKING:
    from gridwatch.containers.store import Store

__all__ = ["AUTHOR_MAX", "NOTE_MAX", "labels_of", "list_labels", "read_labels", "remove_label", "say"]

log = structlog.get_logger(__name__)

NOTE_MAX = 2000
"""Most characters of a note."""

AUTHOR_MAX = 100
"""Most characters of the name of who says it."""


def say(store: Store, verdict: str, target: Target, *, author: str, now_ms: int, note: str = "") -> Label:
    """Write down what somebody says of an anomaly or a range; a later word on the same target replaces it.

    Args:
        store: Gets a row in `labels`.
        verdict: true: something was wrong; false: an alarm there is wrong; expected: out of the ordinary, and known to
            be, so that nobody wants an alarm; only this may lie ahead.
        target: What it is said of.
        author: Who says it.
        now_ms: The present, UTC epoch ms.
        note: Free text.

    Raises:
        ConfigError: No such word, a range that is reversed or ahead of time, or a note or name that is too long.
        StoreError: The store refused or failed.
    """
    if verdict not in VERDICTS:
        raise ConfigError(f"There is no label {verdict!r}; there are {', '.join(VERDICTS)}.")
    _check_range(verdict, target.from_ms, target.to_ms, now_ms)
    _check_text("note", note, NOTE_MAX)
    _check_author(author)
    return _write(store, Label("", **asdict(target), verdict=verdict, note=note, author=author, labelled_ms=now_ms))


def remove_label(store: Store, key: str, *, author: str, now_ms: int) -> Label:
    """Take a label back; rows that were scored in between keep what it did.

    Args:
        store: Holds `labels`.
        key: Of the label, or of the anomaly that it was said of.
        author: Who takes it back.
        now_ms: The present, UTC epoch ms.

    Raises:
        ConfigError: No label in force has this key.
        StoreError: The store refused or failed.
    """
    for label in list_labels(store):
        if key in {label.id, label.anomaly_id}:
            _check_text("name of who says it", author, AUTHOR_MAX)
            return _write(store, replace(label, verdict="removed", note="", author=author, labelled_ms=now_ms))
    raise ConfigError(
        f"There is no label {key!r}, nor one of an anomaly of that id, that is not replaced or removed; see "
        "`gridwatch label list`."
    )


def list_labels(store: Store, series: str | None = None, *, history: bool = False) -> list[Label]:
    """Return labels, those said last first.

    Args:
        store: May hold `labels`.
        series: Only this series'.
        history: Those that were replaced or removed as well, and the removals.
    """
    everything = Labels.of(_rows(store, series)).labels
    if history:
        return list(reversed(everything))
    newest = {(label.series.lower(), label.target): label for label in everything}
    return [
        label
        for label in reversed(everything)
        if newest[label.series.lower(), label.target] is label and label.verdict != "removed"
    ]


def labels_of(store: Store, rows: Sequence[Mapping[str, Any]]) -> list[Label | None]:
    """Return the label in force for each anomaly: of itself, or of a range that it lies in; None without.

    Args:
        store: May hold `labels`.
        rows: Anomalies with `series`, `partition`, which may be missing, and `ts_ms`.
    """
    found: list[Label | None] = [None] * len(rows)
    everything = _rows(store, None) if rows else []
    for series, partition in {(one.series.lower(), one.partition) for one in everything}:
        of = [one for one in everything if (one.series.lower(), one.partition) == (series, partition)]
        places = [
            place
            for place, row in enumerate(rows)
            if (row["series"].lower(), row.get("partition") or "") == (series, partition)
        ]
        labels = Labels.of(of)
        places.sort(key=lambda place: int(rows[place]["ts_ms"]))
        times = np.array([rows[place]["ts_ms"] for place in places], np.int64)
        for place, which in zip(places, labels.in_force(times, TIMESTAMP_MS_MAX).tolist(), strict=True):
            found[place] = labels.labels[which] if which >= 0 else None
    return found


def read_labels(store: Store, series: str, before_ms: int, *, partition: str = "") -> Labels:
    """Return what was said of a series until now, with what it teaches, for `adapt`.

    What a label teaches is read from the scores of its range, as they were when their rows were scored.

    Args:
        store: Holds `labels` and `SCORE_<S>`; without either nothing is known, and nothing changes.
        series: The `<S>` of container names.
        before_ms: The present, UTC epoch ms; what was not said before is not read.
        partition: Part of the series, "" for all of it.
    """
    labels = Labels.of(
        [label for label in _rows(store, series) if label.labelled_ms < before_ms and label.partition == partition]
    )
    rows = scored_rows(store, series, [one for one in labels.labels if one.verdict in {"true", "false"}])
    return labels if rows is None else labels.with_lessons(rows.times_ms, rows.levels, rows.kinds)


def _check_range(verdict: str, from_ms: int, to_ms: int, now_ms: int) -> None:
    if from_ms > to_ms:
        raise ConfigError(f"The range from {instant(from_ms)} to {instant(to_ms)} ends before it begins; swap the two.")
    if from_ms < 0 or to_ms > TIMESTAMP_MS_MAX:
        raise ConfigError("The range leaves the years from 1970 to 9999, which is what the store takes.")
    if verdict != "expected" and to_ms > now_ms:
        raise ConfigError(
            f"The range ends at {instant(to_ms)}, and it is {instant(now_ms)}: nobody has seen that yet. Only "
            "`expected` may lie ahead."
        )


def _check_text(what: str, text: str, most: int) -> None:
    if len(text) > most:
        raise ConfigError(f"The {what} has {len(text):,} characters, and {most:,} are taken; shorten it.")
    if "\0" in text:
        raise ConfigError(f"The {what} holds a NUL character, which no store keeps; leave it out.")


def _check_author(author: str) -> None:
    if not author.strip():
        raise ConfigError("Who says it? An empty name helps nobody who asks later; give one with --by.")
    _check_text("name of who says it", author, AUTHOR_MAX)


def _write(store: Store, label: Label) -> Label:
    store.put_container(LABELS)
    before = _rows(store, label.series)
    # The order of what was said holds although a clock was set back, or several words fall into one millisecond.
    at_ms = max([label.labelled_ms, *(one.labelled_ms + 1 for one in before if one.target == label.target)])
    taken = {one.labelled_ms for one in before}
    while at_ms in taken:
        at_ms += 1
    label = replace(label, labelled_ms=at_ms)
    text = "\x1f".join((label.series, *label.target, str(label.labelled_ms)))
    label = replace(label, id=hashlib.sha256(text.encode()).hexdigest()[:32])
    row = {"label" if name == "verdict" else name: getattr(label, name) for name in _FIELDS}
    store.put(LABELS.name, pa.Table.from_pylist([row], schema=LABELS.arrow))
    log.info("labelled", series=label.series, label=label.verdict, id=label.id)
    return label


_FIELDS = tuple("verdict" if column.name == "label" else column.name for column in LABELS.columns)


def _rows(store: Store, series: str | None) -> list[Label]:
    if store.container(LABELS.name) is None:
        return []
    where, values = ("", []) if series is None else (" WHERE LOWER(series) = ?", [series.lower()])
    rows = store.sql(f"SELECT * FROM {LABELS.name}{where}", values).to_pylist()  # noqa: S608 - constants
    return [
        Label(**{**{name: row["label" if name == "verdict" else name] for name in _FIELDS}, "note": row["note"] or ""})
        for row in rows
    ]
