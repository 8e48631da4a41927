"""Several rows of `deliveries` in one statement each, for a store whose statements are all or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import structlog

from gridwatch.alerts.receipt import Receipt
from gridwatch.containers.catalog import DELIVERIES
from gridwatch.errors import StoreError

if TYPE_CHECKING:
    from gridwatch.alerts.receipts import Receipts
    from gridwatch.containers import Store

__all__ = ["begun", "claim_new", "finish_sent", "hold_new"]

log = structlog.get_logger(__name__)

_OURS_MS = 10_000
"""A claim holds longer, whatever the settings are."""


def begun(store: Store, keys: Sequence[str]) -> set[str]:
    """Return those of the keys that have a row.

    Raises:
        StoreError: The store failed.
    """
    return set(store.get(DELIVERIES.name, keys).column("id").to_pylist())


def claim_new(store: Store, receipts: Receipts, rows: Sequence[Receipt], *, now_ms: int) -> dict[str, Receipt]:
    """Take rows that were not there; return by their keys those that no other call was quicker with.

    Args:
        store: Its statements are all or nothing.
        receipts: Claims row by row, where another call has one of them.
        rows: New ones.
        now_ms: UTC epoch ms.

    Raises:
        StoreError: The store failed.
    """
    claimed = [
        replace(row, status="sending", attempts=1, first_ms=now_ms, last_ms=now_ms, is_new=False) for row in rows
    ]
    if _inserted(store, claimed, now_ms):
        return {row.id: row for row in claimed}
    found: dict[str, Receipt] = {}
    for row in rows:
        try:
            one = receipts.claim(row, now_ms=now_ms)
        except StoreError as error:
            if not found:
                raise
            # Those that are claimed are sent; the rest is as if another call had been quicker.
            log.warning("claim_failed", key=row.id, error=str(error))
            continue
        if one is not None:
            found[one.id] = one
    return found


def hold_new(store: Store, receipts: Receipts, rows: Sequence[Receipt], *, now_ms: int) -> list[Receipt]:
    """Write down what new rows wait for, and until when; return them as they are now.

    Raises:
        StoreError: The store failed.
    """
    held = [replace(row, is_new=False) for row in rows]
    if _inserted(store, held, now_ms):
        return held
    return [
        receipts.hold(row, held=row.held or "", until_ms=row.next_ms, recipients=row.recipients or "") for row in rows
    ]


def _inserted(store: Store, rows: Sequence[Receipt], now_ms: int) -> bool:
    """Insert all rows, or none: False where one of them is there, or the store failed, which the next one tells."""
    if not rows:
        return True
    line = f"({', '.join('?' * 13)})"
    values: list[Any] = []
    for row in rows:
        values += [
            *(row.id, row.anomaly_id, row.container, row.channel, row.status, row.attempts, now_ms, row.last_ms),
            *(row.next_ms, row.possible_duplicate, row.recipients, row.held, row.digest),
        ]
    try:
        store.execute(
            f"INSERT INTO {DELIVERIES.name} (id, anomaly_id, container, channel, status, attempts, first_ms, "  # noqa: S608
            "last_ms, next_ms, possible_duplicate, recipients, held, digest) "
            f"VALUES {', '.join([line] * len(rows))}",
            values,
        )
    except StoreError as error:
        log.info("receipts_one_by_one", rows=len(rows), reason=str(error))
        return False
    return True


def finish_sent(store: Store, receipts: Receipts, rows: Sequence[Receipt]) -> None:
    """Write the receipts of mails that were taken, whoever has claimed their rows since.

    Raises:
        StoreError: The store failed, or stayed busy.
    """
    if len(rows) > 1 and all(map(_is_ours, rows)) and _put(store, rows):
        return
    for row in rows:
        receipts.finish(row)


def _is_ours(row: Receipt) -> bool:
    """Tell whether nobody else can have changed a row since `claim_new` made it, so that it may be put as a whole."""
    return row.attempts == 1 and row.first_ms > 0 and row.last_ms - row.first_ms < _OURS_MS


def _put(store: Store, rows: Sequence[Receipt]) -> bool:
    known = [{name: value for name, value in asdict(row).items() if name != "is_new"} for row in rows]
    try:
        store.put(DELIVERIES.name, pa.Table.from_pylist(known, schema=DELIVERIES.arrow))
    except StoreError as error:
        log.warning("receipts_one_by_one", rows=len(rows), reason=str(error))
        return False
    return True
