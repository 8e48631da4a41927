"""Which anomalies still need a mail.

A poll must be cheap beside a million old rows and still miss none. So every `FULL_EVERY_MS`, and first of all, all
anomalies are joined with their deliveries; every `LONG_EVERY_MS` the rows that were stamped since then, less a
look-back for rows that are stamped early and written late; and a poll in between joins only those of the last
`SHORT_BACK_MS` (`detected_ms`, `anomaly_id` and `status` have indexes, so it costs what is new). A row that was stamped
longer ago than that, or by a clock that is wrong, waits for the next longer look. Nothing is remembered outside of this
process, so nothing that is remembered can be wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gridwatch.alerts.anomalies import anomaly_containers
from gridwatch.alerts.anomaly import severity_rank
from gridwatch.alerts.outcome import claim_ms
from gridwatch.alerts.receipts import CHANNEL, delivery_key
from gridwatch.containers.catalog import DELIVERIES

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.settings import Settings

__all__ = ["FULL_EVERY_MS", "LOOK_BACK_MS", "Due", "Outbox"]

LOOK_BACK_MS = 15 * 60_000
FULL_EVERY_MS = 5 * 60_000
LONG_EVERY_MS = 5_000
SHORT_BACK_MS = 30_000

_COLUMNS = "a.id, a.ts, a.severity, a.score, a.actual"


@dataclass(frozen=True, slots=True)
class Due:
    """An anomaly without a finished delivery; it may be tried from `next_ms` on."""

    container: str
    id: str
    ts_ms: int
    severity: str | None
    score: float | None
    actual: float | None
    next_ms: int
    channel: str = CHANNEL

    @property
    def key(self) -> str:
        """Key of the delivery."""
        return delivery_key(self.id, self.channel)

    @property
    def order(self) -> tuple[int, int, str, str]:
        """Worst severity first, then oldest row first."""
        return severity_rank(self.severity), self.ts_ms, self.id, self.channel


class Outbox:
    """Finds what is due.

    Args:
        store: Holds anomalies and deliveries.
        settings: Give the length of a claim.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._claim_ms = claim_ms(settings)
        self._full_ms: int | None = None
        self._long_ms: int | None = None
        self._new: dict[str, Due] = {}

    def unfinished(self, *, now_ms: int, due_only: bool = False) -> list[Due]:
        """Return every anomaly whose mail or webhook is neither done nor dead, worst first.

        Args:
            now_ms: UTC epoch ms.
            due_only: Leave out what waits for a later time, of which quiet hours may leave thousands.

        Raises:
            StoreError: The store failed; nothing is forgotten.
        """
        full = self._full_ms is None or now_ms - self._full_ms >= FULL_EVERY_MS
        long = self._long_ms is None or not 0 <= now_ms - self._long_ms < LONG_EVERY_MS
        if full or self._full_ms is None:
            since_ms = None
        else:
            since_ms = self._full_ms - LOOK_BACK_MS if long else now_ms - SHORT_BACK_MS
        names = anomaly_containers(self._store)
        new = {row.key: row for name in names for row in self._found(name, since_ms)}
        new |= {} if full else self._still_new(new)
        due = list(new.values())
        for container, mails in self._open_deliveries(now_ms if due_only else None).items():
            if container in names:
                rows = self._store.get(container, list(mails)).to_pylist()
                due += [
                    _due(container, row, self._next_ms(mail), mail["channel"] or CHANNEL)
                    for row in rows
                    for mail in mails[row["id"]]
                ]
        # Only now, after all reads went well.
        self._new = new
        if full:
            self._full_ms = now_ms
        if full or long:
            self._long_ms = now_ms
        # A delivery that was made between the two reads is in both.
        return sorted({row.key: row for row in due}.values(), key=lambda row: row.order)

    def _found(self, name: str, since_ms: int | None) -> list[Due]:
        return [_due(name, row, 0) for row in self._without_delivery(name, since_ms)]

    def _still_new(self, found: dict[str, Due]) -> dict[str, Due]:
        """Rows without a delivery that an earlier look found and this one does not reach, as after a long outage."""
        older = {key: row for key, row in self._new.items() if key not in found}
        if not older:
            return {}
        begun = set(self._store.get(DELIVERIES.name, list(older)).column("id").to_pylist())
        return {key: row for key, row in older.items() if key not in begun}

    def _without_delivery(self, name: str, since_ms: int | None) -> list[dict[str, Any]]:
        statement = (
            f"SELECT {_COLUMNS} FROM {name} a LEFT JOIN {DELIVERIES.name} d "  # noqa: S608 - checked names
            # Every anomaly gets its mail's row, also one that is only skipped, and gets it last.
            f"ON a.id = d.anomaly_id AND d.channel = '{CHANNEL}' WHERE d.id IS NULL"
        )
        bound = [] if since_ms is None else [since_ms]
        rows = self._store.sql(statement + (" AND a.detected_ms >= ?" if bound else ""), bound)
        found: list[dict[str, Any]] = rows.to_pylist()
        return found

    def _open_deliveries(self, due_ms: int | None) -> dict[str, dict[str, list[dict[str, Any]]]]:
        """Rows of `deliveries` that are not finished, by container and anomaly; only those due by then."""
        rows = self._store.sql(
            f"SELECT anomaly_id, container, channel, status, last_ms, next_ms FROM {DELIVERIES.name} "  # noqa: S608 - our own name
            "WHERE status IN ('pending', 'sending')"
            + (" AND (status = 'sending' OR next_ms IS NULL OR next_ms <= ?)" if due_ms is not None else ""),
            [] if due_ms is None else [due_ms],
        )
        found: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for row in rows.to_pylist():
            found.setdefault(row["container"], {}).setdefault(row["anomaly_id"], []).append(row)
        return found

    def _next_ms(self, mail: dict[str, Any]) -> int:
        # A claim is looked at again when it has run out; until then its handler is at work.
        if mail["status"] == "sending":
            return int(mail["last_ms"] or 0) + self._claim_ms + 1
        return int(mail["next_ms"] or 0)


def _due(container: str, row: dict[str, Any], next_ms: int, channel: str = CHANNEL) -> Due:
    when = row["ts"] or datetime.fromtimestamp(0, UTC)
    return Due(
        container=container,
        id=row["id"],
        ts_ms=round(when.timestamp() * 1000),
        severity=row["severity"],
        score=row["score"],
        actual=row["actual"],
        next_ms=next_ms,
        channel=channel,
    )
