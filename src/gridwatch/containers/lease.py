"""A lease: one holder at a time for a job, taken and renewed by compare-and-swap on a row of `leases`."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from gridwatch.containers.catalog import LEASES
from gridwatch.containers.turn import turn
from gridwatch.errors import StoreError

if TYPE_CHECKING:
    from gridwatch.containers import Store

__all__ = ["Lease"]

log = structlog.get_logger(__name__)

_RENEWALS = 4
"""Looks at a lease that is kept, in the time that it lasts."""


class Lease:
    """The right to do one job, for `lasts_ms` at a time.

    Clocks of several machines are compared, so they must agree to within a few seconds; where they do not, two may
    hold it at once. What it guards must bear that.

    Args:
        store: Holds the `leases` container.
        name: Of the job.
        clock: UTC epoch ms.
        lasts_ms: How long it holds without being renewed.
    """

    def __init__(self, store: Store, name: str, *, clock: Callable[[], int], lasts_ms: int) -> None:
        self._store = store
        self._name = name
        self._clock = clock
        self._lasts_ms = lasts_ms
        self._holder = uuid.uuid4().hex
        self._renew_ms = 0

    def hold(self) -> bool:
        """Take the lease, or renew it when a third of it is over; tell whether this holder has it now.

        Raises:
            StoreError: The store failed.
        """
        now_ms = self._clock()
        if now_ms < self._renew_ms:
            return True
        until_ms = now_ms + self._lasts_ms
        taken = self._swap(now_ms, until_ms) or self._insert(until_ms)
        self._renew_ms = now_ms + self._lasts_ms // 3 if taken else 0
        return taken

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Renew it, in a thread of its own, during work that may take longer than it lasts, and release it then.

        Who does something that no other may have begun since asks `hold` once more.

        Raises:
            StoreError: The store failed at the release.
        """
        over = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(over,), name=f"lease-{self._name}", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            over.set()
            keeper.join()
            self.release()

    def _keep(self, over: threading.Event) -> None:
        while not over.wait(self._lasts_ms / 1000.0 / _RENEWALS):
            try:
                kept = self.hold()
            except StoreError as error:
                # The next look may do; whoever writes asks once more.
                log.warning("lease_not_renewed", lease=self._name, error=str(error))
                continue
            if not kept:
                return

    def release(self) -> None:
        """Give it up, so that the next one need not wait for its end; where another one is at the row, it must.

        Raises:
            StoreError: The store failed; the lease then ends by itself.
        """
        self._renew_ms = 0
        # Outside its turn the change could meet the next holder's row.
        with turn(self._store, self._name, now_ms=self._clock()) as ours:
            if ours:
                self._store.execute(
                    f"UPDATE {LEASES.name} SET until_ms = ? WHERE name = ? AND holder = ?",  # noqa: S608 - our own name
                    [0, self._name, self._holder],
                )

    def _swap(self, now_ms: int, until_ms: int) -> bool:
        # Most looks of those who wait end here, at the price of one read.
        row = next(iter(self._store.get(LEASES.name, [self._name]).to_pylist()), None)
        if row is None or (row["holder"] != self._holder and row["until_ms"] >= now_ms):
            return False
        with turn(self._store, self._name, now_ms=now_ms) as ours:
            changed = ours and self._store.execute(
                f"UPDATE {LEASES.name} SET holder = ?, until_ms = ? WHERE name = ? AND (holder = ? OR until_ms < ?)",  # noqa: S608
                [self._holder, until_ms, self._name, self._holder, now_ms],
            )
        # A holder whose renewal met another one's look still has its lease.
        return changed == 1 or (not ours and row["holder"] == self._holder and row["until_ms"] >= now_ms)

    def _insert(self, until_ms: int) -> bool:
        if self._store.get(LEASES.name, [self._name]).num_rows:
            return False
        try:
            self._store.execute(
                f"INSERT INTO {LEASES.name} (name, holder, until_ms) VALUES (?, ?, ?)",  # noqa: S608 - our own name
                [self._name, self._holder, until_ms],
            )
        except StoreError:
            # Another one may have written the row in between; with none there, the store itself failed.
            if not self._store.get(LEASES.name, [self._name]).num_rows:
                raise
            return False
        return True
