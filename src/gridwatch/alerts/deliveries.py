"""The queue for people: deliveries listed, and the dead ones given their tries back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gridwatch.alerts.anomaly import PREFIX, is_anomaly_container
from gridwatch.alerts.receipts import change_row
from gridwatch.containers.catalog import DELIVERIES, LEASES
from gridwatch.errors import ConfigError

if TYPE_CHECKING:
    from gridwatch.containers import Store

__all__ = ["STATUSES", "deliveries_of", "list_deliveries", "revive"]

STATUSES = ("pending", "sending", "sent", "dead", "skipped")


def list_deliveries(
    store: Store,
    *,
    status: str | None = None,
    series: str | None = None,
    channel: str | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """Return deliveries, the last that was worked on first.

    Args:
        store: May hold `deliveries`.
        status: Only those in this state.
        series: Only those of this series, the `<S>` of container names.
        channel: Only `email` or `webhook`.
        limit: Most rows.

    Returns:
        The columns of `deliveries` a row, and `series`, `ts_ms`, `severity` and `score` of its anomaly (None where the
        anomaly is gone).

    Raises:
        ConfigError: There is no such state.
        StoreError: The store failed.
    """
    if status is not None and status not in STATUSES:
        raise ConfigError(f"There is no state {status!r} of a delivery; there are {', '.join(STATUSES)}.")
    info = store.container(DELIVERIES.name)
    if info is None:
        return []
    asked = {"status": status, "container": None if series is None else f"{PREFIX}{series}", "channel": channel}
    parts = {f"LOWER({name}) = ?": value.lower() for name, value in asked.items() if value is not None}
    where = f" WHERE {' AND '.join(parts)}" if parts else ""
    rows = store.sql(
        f"SELECT * FROM {DELIVERIES.name}{where} ORDER BY last_ms DESC, id LIMIT {int(limit)}",  # noqa: S608 - constants
        list(parts.values()),
    ).to_pylist()
    return _with_anomalies(store, rows)


def deliveries_of(store: Store, anomaly_id: str) -> list[dict[str, Any]]:
    """Return the deliveries of one anomaly, one a channel, by their keys; none where nobody was told.

    Raises:
        StoreError: The store failed.
    """
    if store.container(DELIVERIES.name) is None:
        return []
    statement = f"SELECT * FROM {DELIVERIES.name} WHERE anomaly_id = ? ORDER BY id"  # noqa: S608 - a constant
    rows: list[dict[str, Any]] = store.sql(statement, [anomaly_id]).to_pylist()
    return rows


def _with_anomalies(store: Store, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    known: dict[tuple[str, str], dict[str, Any]] = {}
    for container in {row["container"] for row in rows if row["container"]}:
        if is_anomaly_container(store.container(container)):
            keys = list(dict.fromkeys(row["anomaly_id"] for row in rows if row["container"] == container))
            known |= {(container, one["id"]): one for one in store.get(container, keys).to_pylist()}
    found = []
    for row in rows:
        anomaly = known.get((row["container"], row["anomaly_id"]), {})
        when = anomaly.get("ts")
        more = {
            "series": (row["container"] or "")[len(PREFIX) :],
            "ts_ms": None if when is None else round(when.timestamp() * 1000),
            "severity": anomaly.get("severity"),
            "score": anomaly.get("score"),
        }
        # Columns that an older version did not have are there, as it did not fill them.
        found.append({"held": None, "digest": None} | row | more)
    return found


def revive(store: Store, keys: Sequence[str] | None = None, *, now_ms: int) -> int:
    """Give dead deliveries their tries back, once the cause is cured; return how many there were.

    Args:
        store: Holds `deliveries`.
        keys: Of deliveries, or ids of their anomalies; None: all that are dead.
        now_ms: UTC epoch ms.

    Raises:
        ConfigError: A key is none of a dead delivery; then none was changed.
        StoreError: The store failed, or a row stayed busy; those before it are revived, and to do it again is safe.
    """
    if store.container(DELIVERIES.name) is None:
        rows = []
    else:
        # A store that was last used by an older version has fewer columns; one that was copied in part may lack leases.
        store.put_container(DELIVERIES, modifiable=True)
        store.put_container(LEASES)
        rows = store.sql(f"SELECT id, anomaly_id FROM {DELIVERIES.name} WHERE status = 'dead'").to_pylist()  # noqa: S608
    dead = {row["id"] for row in rows}
    if keys is not None:
        of = {name: {row["id"] for row in rows if name in (row["id"], row["anomaly_id"])} for name in keys}
        unknown = [name for name, found in of.items() if not found]
        if unknown:
            raise ConfigError(
                f"{', '.join(map(repr, unknown))}: no dead delivery has this key, nor an anomaly of this id; see "
                "`gridwatch alerts list --status dead`."
            )
        dead = set().union(*of.values())
    statement = (
        f"UPDATE {DELIVERIES.name} SET status = 'pending', attempts = 0, next_ms = ?, last_ms = ?, held = NULL "  # noqa: S608
        "WHERE id = ? AND status = 'dead'"
    )
    return sum(change_row(store, key, statement, [now_ms, now_ms, key], now_ms=now_ms) for key in sorted(dead))
