"""From the anomaly containers to the trigger handler: POSTs each new row in GridDB's trigger shape.

The relay decides nothing: the handler reads the row again, and only the handler writes `deliveries`. So a row that is
POSTed twice, or by two relays, or by GridDB's own trigger as well, still makes one mail.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from gridwatch.alerts.address import handler_url as find_handler
from gridwatch.alerts.delivery import pause_ms
from gridwatch.alerts.handler import Handler, HandlerAwayError
from gridwatch.alerts.outbox import Due, Outbox
from gridwatch.alerts.receipts import delivery_key
from gridwatch.containers.catalog import DELIVERIES, LEASES
from gridwatch.containers.lease import Lease
from gridwatch.errors import StoreError

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.settings import Settings

__all__ = ["DrainReport", "Relay", "drain"]

log = structlog.get_logger(__name__)

LEASE_MS = 15_000
AWAY_PAUSE_MAX_S = 30.0
BUSY_SHARE = 3
"""The pause is at least so many times as long as a look at the store takes, however many containers there are."""


@dataclass(frozen=True, slots=True)
class DrainReport:
    """What became of the anomalies that were without a finished delivery.

    Args:
        sent: Mails that went out meanwhile, by this relay or another.
        pending: Anomalies that still wait; nothing is lost, a later drain or relay takes them.
        dead: Mails that were refused for good or ran out of tries meanwhile.
        handler_url: Where the rows were POSTed.
        warnings: What somebody should know or mend, one sentence each; empty when all went well.
    """

    sent: int
    pending: int
    dead: int
    handler_url: str
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class _Trouble:
    """A row that the handler failed on without writing it down: tried again with growing pauses."""

    tries: int = 0
    next_ms: int = 0


@dataclass(slots=True)
class _Pass:
    """One round over what is due."""

    waiting: int = 0
    posted: int = 0
    warnings: list[str] = field(default_factory=list)
    away: bool = False


class Relay:
    """Tails the anomaly containers; one relay at a time works, the others stand by.

    Args:
        store: Holds anomalies, deliveries and leases; the latter two are made when missing.
        settings: Handler, token, pause between looks.
        clock: UTC epoch ms.
        handler_url: Instead of the one that settings or the running server name.
    """

    def __init__(
        self, store: Store, settings: Settings, *, clock: Callable[[], int], handler_url: str | None = None
    ) -> None:
        store.put_container(DELIVERIES, modifiable=True)
        store.put_container(LEASES)
        self._store = store
        self._settings = settings
        self._clock = clock
        self._handler_url = handler_url
        self._outbox = Outbox(store, settings)
        self._lease = Lease(store, "relay", clock=clock, lasts_ms=LEASE_MS)
        self._trouble: dict[str, _Trouble] = {}

    @property
    def handler_url(self) -> str:
        """Where rows are POSTed now; a server that was restarted elsewhere is found again."""
        return self._handler_url or find_handler(self._settings)

    def run(self, stop: threading.Event) -> None:
        """Relay until `stop` is set; a store or handler that is away is waited for.

        Raises:
            ConfigError: The handler's URL is wrong.
        """
        away_s = 0.0
        log.info("relay_started", handler_url=self.handler_url)
        while not stop.is_set():
            started = time.monotonic()
            try:
                done = self._round() if self._lease.hold() else _Pass()
            except StoreError as error:
                log.warning("relay_store_failed", error=str(error))
                done = _Pass(away=True)
            for warning in done.warnings:
                log.warning("relay_warning", warning=warning)
            away_s = min(AWAY_PAUSE_MAX_S, max(self._settings.alerts.poll_s, 2 * away_s)) if done.away else 0.0
            looked_s = 0.0 if done.posted else time.monotonic() - started
            stop.wait(max(away_s, self._settings.alerts.poll_s, BUSY_SHARE * looked_s))
        self._give_up_lease()
        log.info("relay_stopped")

    def drain(self, *, timeout_s: float) -> DrainReport:
        """POST all that is due and wait for what is under way; see `drain`."""
        ends = time.monotonic() + timeout_s
        seen: dict[str, Due] = {}
        warnings: dict[str, None] = {}
        while True:
            for row in self._outbox.unfinished(now_ms=self._clock()):
                seen[row.id] = row
            done = self._round(ends=ends) if self._lease.hold() else _Pass()
            warnings.update(dict.fromkeys(done.warnings))
            if done.away or time.monotonic() >= ends or not self._worth_waiting(ends):
                break
            time.sleep(min(self._settings.alerts.poll_s, max(0.0, ends - time.monotonic())))
        self._give_up_lease()
        return self._report(seen, list(warnings))

    def _worth_waiting(self, ends: float) -> bool:
        """Tell whether an unfinished row may be finished before the time is over."""
        now_ms = self._clock()
        left_ms = (ends - time.monotonic()) * 1000
        rows = self._outbox.unfinished(now_ms=now_ms)
        busy = {row.id for row in rows} & self._in_progress()
        return bool(busy) or any(self._due_ms(row) - now_ms <= left_ms for row in rows)

    def _in_progress(self) -> set[str]:
        rows = self._store.sql(f"SELECT anomaly_id FROM {DELIVERIES.name} WHERE status = 'sending'")  # noqa: S608
        return set(rows.column("anomaly_id").to_pylist())

    def _due_ms(self, row: Due) -> int:
        trouble = self._trouble.get(row.id)
        return max(row.next_ms, trouble.next_ms if trouble else 0)

    def _round(self, *, ends: float | None = None) -> _Pass:
        """POST every row that is due now, worst first; the lease is held."""
        rows = self._outbox.unfinished(now_ms=self._clock())
        self._trouble = {key: self._trouble[key] for key in {row.id for row in rows} & self._trouble.keys()}
        done = _Pass(waiting=len(rows))
        due = [row for row in rows if self._due_ms(row) <= self._clock()]
        if not due:
            return done
        with Handler(self.handler_url, self._settings) as handler:
            for row in due:
                if (ends is not None and time.monotonic() >= ends) or not self._lease.hold():
                    break
                try:
                    self._post(handler, row)
                except HandlerAwayError as error:
                    done.away = True
                    done.warnings.append(f"{error} {_waiting(len(rows) - done.posted)}")
                    break
                done.posted += 1
        return done

    def _post(self, handler: Handler, row: Due) -> None:
        answer = handler.post(row)
        if answer.recorded:
            self._trouble.pop(row.id, None)
            return
        trouble = self._trouble.setdefault(row.id, _Trouble())
        trouble.tries += 1
        trouble.next_ms = self._clock() + (1_000 if answer.status == "busy" else pause_ms(trouble.tries))
        log.warning("trigger_not_taken", anomaly=row.id, container=row.container, code=answer.code, error=answer.error)

    def _report(self, seen: dict[str, Due], warnings: list[str]) -> DrainReport:
        rows = self._store.get(DELIVERIES.name, [delivery_key(key) for key in seen]).to_pylist()
        state = {row["anomaly_id"]: row for row in rows}
        count = {word: sum(row["status"] == word for row in state.values()) for word in ("sent", "dead")}
        errors = {row["error"]: None for row in state.values() if row["status"] != "sent" and row["error"]}
        warnings += list(errors)[:5]
        report = DrainReport(
            sent=count["sent"],
            pending=len(seen) - count["sent"] - count["dead"],
            dead=count["dead"],
            handler_url=self.handler_url,
            warnings=tuple(warnings),
        )
        log.info("relay_drained", sent=report.sent, pending=report.pending, dead=report.dead)
        return report

    def _give_up_lease(self) -> None:
        try:
            self._lease.release()
        except StoreError as error:
            log.warning("lease_not_released", error=str(error))


def drain(
    store: Store,
    settings: Settings,
    *,
    clock: Callable[[], int],
    handler_url: str | None = None,
    timeout_s: float = 30.0,
) -> DrainReport:
    """Get the mails out for all anomalies that have none yet, within a bounded time.

    Works beside a relay that runs all the time: whoever has the lease POSTs, the other waits for the outcome. A
    handler that is away is not waited for; its rows stay pending.

    Args:
        store: Holds anomalies, deliveries and leases.
        settings: Handler, token, tries.
        clock: UTC epoch ms.
        handler_url: Instead of the one that settings or the running server name.
        timeout_s: Longest time to spend, plus the one POST that is under way when it is over.

    Raises:
        StoreError: The store failed.
        ConfigError: The handler's URL is wrong.
    """
    return Relay(store, settings, clock=clock, handler_url=handler_url).drain(timeout_s=timeout_s)


def _waiting(rows: int) -> str:
    return f"{rows} anomal{'y waits' if rows == 1 else 'ies wait'} for a mail and will get it once the handler is back."
