"""Run as a script by the harness: the Python sink, in small batches.

Usage: sink_process.py HOME BOOTSTRAP GROUP STORE_URL HOLD_S ROWS_MAX REQUEST_TIMEOUT_S STORE_TIMEOUT_S TOPIC...

Each batch is held for up to HOLD_S seconds between its write and its commit: that is where a kill hurts most.
"""

from __future__ import annotations

import random
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, cast

from gridwatch.containers import Store, open_store
from gridwatch.settings import GridDBSettings, KafkaSettings, Settings
from gridwatch.streaming import Sink


class _Held:
    """A store that takes a moment more after each write of a batch."""

    def __init__(self, store: Store, hold_s: float) -> None:
        self._store = store
        self._hold_s = hold_s

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put_many(self, rows: Any) -> int:
        count = self._store.put_many(rows)
        print(f"wrote {count}", flush=True)
        time.sleep(random.uniform(0, self._hold_s))
        return count


def main(home: str, bootstrap: str, group: str, url: str, *rest: str) -> None:
    hold_s, rows_max, request_s, store_s = map(float, rest[:4])
    kafka = KafkaSettings(group_id=group, request_timeout_s=request_s)
    settings = Settings(_env_file=None, home=Path(home), kafka=kafka, griddb=GridDBSettings(timeout_s=store_s))
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with open_store(url, settings=settings) as store:
        held = cast("Store", _Held(store, hold_s))
        Sink(settings, bootstrap, held, rest[4:], rows_max=int(rows_max)).run(stop)


if __name__ == "__main__":
    main(*sys.argv[1:])
