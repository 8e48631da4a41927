"""From the anomaly containers to the trigger handler: POSTs each new row in GridDB's trigger shape.

The relay decides nothing: the handler reads the row again, and only the handler writes `deliveries`. So a row that is
POSTed twice, or by two relays, or by GridDB's own trigger as well, still makes one mail.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from gridwatch.alerts.address import handler_url as find_handler
from gridwatch.alerts.batch import BATCH_MAX
from gridwatch.alerts.drain_report import DrainReport, report_of
from gridwatch.alerts.handler import Answer, Handler, HandlerAwayError
from gridwatch.alerts.outbox import Due, Outbox
from gridwatch.alerts.outcome import pause_ms
from gridwatch.alerts.posts import Posts
from gridwatch.alerts.receipts import CHANNEL
from gridwatch.containers.catalog import DELIVERIES, LEASES
from gridwatch.containers.lease import Lease
from gridwatch.errors import StoreError

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.settings import Settings

__all__ = ["DrainReport", "Relay", "drain"]

log = structlog.get_logger(__name__)

LEASE_MS = 15_000
ROUND_S = 1.0
AWAY_PAUSE_MAX_S = 30.0
FEW = 6
"""So many rows at once are POSTed one by one, as GridDB's own trigger does; above it, several in one piece."""

BUSY_SHARE = 3
"""The pause is at least so many times as long as a look at the store takes, however many containers there are."""


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
    taken: int = 0
    more: bool = False
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
        self._closed_until_ms: dict[str, int] = {}
        # Under way when another one's mail was taken: what they are told of a service that is away is no news.
        self._overtaken: set[str] = set()
        self._posts = Posts()
        self._handler: Handler | None = None

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
                done = self._round(stop=stop) if self._lease.hold() else _Pass()
            except StoreError as error:
                log.warning("relay_store_failed", error=str(error))
                done = _Pass(away=True)
            for warning in done.warnings:
                log.warning("relay_warning", warning=warning)
            away_s = min(AWAY_PAUSE_MAX_S, max(self._settings.alerts.poll_s, 2 * away_s)) if done.away else 0.0
            if done.more and not done.away:
                continue
            looked_s = 0.0 if done.posted else time.monotonic() - started
            stop.wait(max(away_s, self._settings.alerts.poll_s, BUSY_SHARE * looked_s))
        self._close()
        log.info("relay_stopped")

    def drain(self, *, timeout_s: float) -> DrainReport:
        """POST all that is due and wait for what is under way; see `drain`."""
        ends = time.monotonic() + timeout_s
        seen: dict[str, Due] = {}
        warnings: dict[str, None] = {}
        while True:
            for row in self._outbox.unfinished(now_ms=self._clock()):
                seen[row.key] = row
            done = self._round(ends=ends) if self._lease.hold() else _Pass()
            while len(self._posts):
                self._posts.wait(1.0)
                self._collect(done)
            warnings.update(dict.fromkeys(done.warnings))
            if done.away or time.monotonic() >= ends:
                break
            if done.more:
                continue
            if not self._worth_waiting(ends):
                break
            time.sleep(min(self._settings.alerts.poll_s, max(0.0, ends - time.monotonic())))
        self._close()
        report = report_of(self._store, list(seen), list(warnings), handler_url=self.handler_url)
        log.info("relay_drained", sent=report.sent, pending=report.pending, dead=report.dead)
        return report

    def _worth_waiting(self, ends: float) -> bool:
        """Tell whether an unfinished row may be finished before the time is over."""
        now_ms = self._clock()
        left_ms = (ends - time.monotonic()) * 1000
        rows = self._outbox.unfinished(now_ms=now_ms)
        busy = {row.key for row in rows} & self._in_progress()
        return bool(busy) or any(self._due_ms(row) - now_ms <= left_ms for row in rows)

    def _in_progress(self) -> set[str]:
        rows = self._store.sql(f"SELECT id FROM {DELIVERIES.name} WHERE status = 'sending'")  # noqa: S608
        return set(rows.column("id").to_pylist())

    def _due_ms(self, row: Due) -> int:
        trouble = self._trouble.get(row.key)
        return max(row.next_ms, trouble.next_ms if trouble else 0, self._closed_until_ms.get(row.channel, 0))

    def _round(self, *, ends: float | None = None, stop: threading.Event | None = None) -> _Pass:
        """POST the rows that are due now, worst first; the lease is held.

        A round ends after a second, though more is due: what has come meanwhile may be worse.
        """
        done = _Pass()
        self._collect(done)
        rows = self._outbox.unfinished(now_ms=self._clock(), due_only=True)
        self._trouble = {key: self._trouble[key] for key in {row.key for row in rows} & self._trouble.keys()}
        done.waiting = len(rows)
        over = time.monotonic() + ROUND_S
        waiting = deque(rows)
        # Few go one by one, all at once; of many, each POST takes several.
        together = BATCH_MAX if sum(self._is_ready(row) for row in rows) > FEW else 1
        while waiting:
            if not self._is_ready(waiting[0]):
                waiting.popleft()
                continue
            room = self._room(waiting[0].channel, done)
            if not room:
                waiting.popleft()
                continue
            late = (ends is not None and time.monotonic() >= ends) or (stop is not None and stop.is_set())
            if late or done.away or done.more or not self._lease.hold():
                break
            if time.monotonic() >= over:
                done.more = True
                break
            batch = self._next(waiting, min(room, together))
            if batch:
                self._posts.start(self._connection(), batch)
                done.posted += len(batch)
        return done

    def _is_ready(self, row: Due) -> bool:
        return row.key not in self._posts and self._due_ms(row) <= self._clock()

    def _next(self, waiting: deque[Due], most: int) -> list[Due]:
        """Take the next rows of one channel that are due, in their order; those passed over stay."""
        batch: list[Due] = []
        passed: list[Due] = []
        while waiting and len(batch) < most:
            row = waiting.popleft()
            if batch and row.channel != batch[0].channel:
                passed.append(row)
            elif self._is_ready(row):
                batch.append(row)
        waiting.extendleft(reversed(passed))
        return batch

    def _room(self, channel: str, done: _Pass) -> int:
        """Wait for room among the mails under way; a webhook without room is left for the next round."""
        while not (room := self._posts.room(channel)):
            if channel != CHANNEL:
                return 0
            self._posts.wait(1.0)
            self._collect(done)
            if done.away or done.more:
                return 1
        return room

    def _collect(self, done: _Pass) -> None:
        """Take in what the handler said to rows that were under way."""
        finished = self._posts.finished()
        for row, answer in finished:
            if isinstance(answer, Answer) and answer.status == "sent":
                together = {other.key for other, _ in finished if other.channel == row.channel}
                self._overtaken |= self._posts.keys(row.channel) | together
        for row, answer in finished:
            overtaken = row.key in self._overtaken
            self._overtaken.discard(row.key)
            if isinstance(answer, HandlerAwayError):
                if not done.away:
                    done.warnings.append(f"{answer} {_waiting(max(1, done.waiting - done.taken))}")
                done.away = True
                continue
            done.taken += 1
            if answer.status == "away" and overtaken:
                # Said while another one found out that the service is back: it is due at once.
                done.more = True
                continue
            self._note(row, answer)
            if answer.status == "away":
                done.warnings.append(f"{answer.error} What waits goes out when it is back.")
            # The one that was let through to look: the service is back, and what had failed is due, the worst of all.
            back = answer.status == "sent" and self._closed_until_ms.pop(row.channel, None) is not None
            # A digest took others along: which ones, the store says.
            done.more = done.more or back or answer.digest > 1

    def _note(self, row: Due, answer: Answer) -> None:
        if answer.recorded:
            self._trouble.pop(row.key, None)
            return
        if answer.status == "away":
            until_ms = self._clock() + round(answer.wait_s * 1000)
            self._closed_until_ms[row.channel] = max(until_ms, self._closed_until_ms.get(row.channel, 0))
            return
        trouble = self._trouble.setdefault(row.key, _Trouble())
        trouble.tries += 1
        trouble.next_ms = self._clock() + (1_000 if answer.status == "busy" else pause_ms(trouble.tries))
        log.warning("trigger_not_taken", anomaly=row.id, container=row.container, code=answer.code, error=answer.error)

    def _connection(self) -> Handler:
        url = self.handler_url
        if self._handler is None or self._handler.url != url:
            self._handler = Handler(url, self._settings, clock=self._clock)
        return self._handler

    def _close(self) -> None:
        self._posts.close()
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
