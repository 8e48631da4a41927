"""What the owner of a job should know: rows of `ml_messages`, each said once."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import pyarrow as pa
import structlog

from gridwatch.jobs import sql
from gridwatch.jobs.tables import MESSAGES

if TYPE_CHECKING:
    from gridwatch.containers import Store

__all__ = ["Level", "Messages"]

Level: TypeAlias = Literal["info", "warning", "error"]

log = structlog.get_logger(__name__)


class Messages:
    """The messages of all jobs, in a container that is made when missing.

    Args:
        store: Any backend.
        now_ms: The clock, UTC epoch ms.
        make: Whether it is.
    """

    def __init__(self, store: Store, *, now_ms: Callable[[], int], make: bool = True) -> None:
        self._store = store
        self._now_ms = now_ms
        if make:
            store.put_container(MESSAGES, modifiable=True)

    def say(self, job_id: str, level: Level, message: str, *, about: object = None) -> None:
        """Write a message.

        Args:
            job_id: Whose.
            level: How bad it is.
            message: One sentence or two.
            about: What it is about; a message about the same replaces the one that is there.
        """
        now_ms = self._now_ms()
        key = f"{now_ms}\x1f{message}" if about is None else f"about\x1f{about}"
        row = {
            "id": hashlib.sha256(f"{job_id}\x1f{key}".encode()).hexdigest()[:32],
            "job_id": job_id,
            "ts": now_ms,
            # All processes of a machine share this clock, which never goes back.
            "said": time.monotonic_ns(),
            "level": level,
            "message": message,
        }
        table = pa.Table.from_pylist([row], schema=MESSAGES.arrow)
        self._store.put(MESSAGES.name, table)
        (log.info if level == "info" else log.warning)("job_message", job=job_id, level=level, message=message)

    def of(self, job_id: str, *, newest: int = 100) -> list[dict[str, Any]]:
        """Return the newest messages of a job, newest first: `timestamp` (UTC epoch ms), `level`, `message`."""
        found = sql.compose(
            "SELECT * FROM {} WHERE {} = {} ORDER BY {} DESC, {} DESC, {}",
            sql.name(MESSAGES.name), sql.name("job_id"), sql.value(job_id), sql.name("ts"), sql.name(self._said()),
            sql.name("id"),
        )  # fmt: skip
        # GridDB takes no parameter here; whole numbers are what int() leaves.
        rows = self._store.sql(f"{found.text} LIMIT {int(newest)}", found.parameters).to_pylist()
        return [
            {
                "job_id": job_id,
                "timestamp": int(row["ts"].timestamp() * 1000),
                "level": row["level"],
                "message": row["message"],
            }
            for row in rows
        ]

    def _said(self) -> str:
        """Return the column that orders messages of one millisecond; a store of an earlier gridwatch has none yet."""
        info = self._store.container(MESSAGES.name)
        return "said" if info is not None and any(one.name == "said" for one in info.columns) else "id"

    def drop(self, job_id: str) -> None:
        """Delete the messages of a job."""
        found = sql.compose(
            "SELECT {} FROM {} WHERE {} = {}",
            sql.name("id"), sql.name(MESSAGES.name), sql.name("job_id"), sql.value(job_id),
        )  # fmt: skip
        keys = self._store.sql(found.text, found.parameters).column(0).to_pylist()
        self._store.delete(MESSAGES.name, keys)
