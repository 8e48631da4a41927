"""Which anomalies still need a mail.

A poll must be cheap beside a million old rows and still miss none. Each container has a watermark on `detected_ms`:
a poll reads the rows since then, less a look-back for rows that were stamped early and written late, and the
deliveries that are not finished (an index each). Every `FULL_EVERY_MS`, and first of all, it compares all keys: a row
that was stamped longer ago than the look-back, or by a clock that is wrong, is found then. The watermark lives in
memory, so none can be left behind in the store and be wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gridwatch.alerts.anomalies import anomaly_containers
from gridwatch.alerts.anomaly import severity_rank
from gridwatch.alerts.delivery import claim_ms, delivery_key
from gridwatch.containers.catalog import DELIVERIES

if TYPE_CHECKING:
    import pyarrow as pa

    from gridwatch.containers import Store
    from gridwatch.settings import Settings

__all__ = ["FULL_EVERY_MS", "LOOK_BACK_MS", "Due", "Outbox"]

LOOK_BACK_MS = 15 * 60_000
FULL_EVERY_MS = 5 * 60_000

_COLUMNS = "id, ts, severity, score, actual, detected_ms"


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

    @property
    def order(self) -> tuple[int, int, str]:
        """Worst severity first, then oldest row first."""
        return severity_rank(self.severity), self.ts_ms, self.id


class Outbox:
    """Finds what is due; keeps the watermarks.

    Args:
        store: Holds anomalies and deliveries.
        settings: Give the length of a claim.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._claim_ms = claim_ms(settings)
        self._watermarks: dict[str, int] = {}
        self._full_ms: int | None = None

    def unfinished(self, *, now_ms: int) -> list[Due]:
        """Return every anomaly whose mail is neither sent nor dead, worst first.

        Raises:
            StoreError: The store failed; nothing is forgotten.
        """
        full = self._full_ms is None or now_ms - self._full_ms >= FULL_EVERY_MS
        open_mails = self._open_mails()
        due: list[Due] = []
        marks: dict[str, int] = {}
        for name in anomaly_containers(self._store):
            fresh = self._since(name, None if full else self._watermarks.get(name))
            # A stamp from the future must not hide the rows that come before it.
            newest_ms = max((row["detected_ms"] or 0 for row in fresh), default=self._watermarks.get(name, 0))
            marks[name] = min(newest_ms, now_ms)
            missing = self._without_mail(fresh)
            known = {row["id"] for row in missing}
            waiting = [mail["anomaly_id"] for mail in open_mails.get(name, []) if mail["anomaly_id"] not in known]
            rows = missing + self._by_key(name, waiting)
            times = {mail["anomaly_id"]: self._next_ms(mail) for mail in open_mails.get(name, [])}
            due += [_due(name, row, times.get(row["id"], 0)) for row in rows]
        # Only now, after all reads went well, are the marks moved.
        self._watermarks = marks
        if full:
            self._full_ms = now_ms
        return sorted(due, key=lambda row: row.order)

    def _open_mails(self) -> dict[str, list[dict[str, Any]]]:
        rows = self._store.sql(
            f"SELECT id, anomaly_id, container, status, last_ms, next_ms FROM {DELIVERIES.name} "  # noqa: S608
            "WHERE status = 'pending' OR status = 'sending'"
        )
        mails: dict[str, list[dict[str, Any]]] = {}
        for row in rows.to_pylist():
            mails.setdefault(row["container"], []).append(row)
        return mails

    def _next_ms(self, mail: dict[str, Any]) -> int:
        # A claim is looked at again when it has run out; until then its handler is at work.
        if mail["status"] == "sending":
            return int(mail["last_ms"] or 0) + self._claim_ms + 1
        return int(mail["next_ms"] or 0)

    def _since(self, name: str, watermark: int | None) -> list[dict[str, Any]]:
        if watermark is None:
            return self._unmailed(name)
        rows = self._store.sql(
            f'SELECT {_COLUMNS} FROM "{name}" WHERE detected_ms >= ?',  # noqa: S608 - checked name
            [watermark - LOOK_BACK_MS],
        )
        found: list[dict[str, Any]] = rows.to_pylist()
        return found

    def _unmailed(self, name: str) -> list[dict[str, Any]]:
        """Rows with no delivery at all, by comparing keys, and the newest row, which sets the watermark."""
        import pyarrow.compute as pc

        keys = self._store.sql(f'SELECT id FROM "{name}"').column("id")  # noqa: S608 - checked name
        mailed = self._store.sql(
            f"SELECT anomaly_id FROM {DELIVERIES.name} WHERE container = ?",  # noqa: S608 - our own name
            [name],
        ).column("anomaly_id")
        left = keys.filter(pc.invert(pc.is_in(keys, value_set=mailed.combine_chunks())))
        newest = self._store.sql(
            f'SELECT {_COLUMNS} FROM "{name}" WHERE detected_ms IS NOT NULL ORDER BY detected_ms DESC LIMIT 1'  # noqa: S608
        )
        rows: list[dict[str, Any]] = self._by_key(name, left.to_pylist()) + newest.to_pylist()
        return rows

    def _without_mail(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        by_key = {delivery_key(row["id"]): row for row in rows}
        mailed: pa.Table = self._store.get(DELIVERIES.name, list(by_key))
        for key in mailed.column("id").to_pylist():
            by_key.pop(key, None)
        return list(by_key.values())

    def _by_key(self, name: str, keys: list[str]) -> list[dict[str, Any]]:
        if not keys:
            return []
        found: list[dict[str, Any]] = self._store.get(name, keys).to_pylist()
        return found


def _due(container: str, row: dict[str, Any], next_ms: int) -> Due:
    when = row["ts"] or datetime.fromtimestamp(0, UTC)
    return Due(
        container=container,
        id=row["id"],
        ts_ms=round(when.timestamp() * 1000),
        severity=row["severity"],
        score=row["score"],
        actual=row["actual"],
        next_ms=next_ms,
    )
