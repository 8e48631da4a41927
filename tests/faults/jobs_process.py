"""Run as a script by the harness: makes workers over one store that the harness kills.

Lines on stdin: `run STORE` makes a worker that runs the datafeeds due until none is started; `post STORE ACKNOWLEDGED
BUCKETS` one that posts bucket after bucket to the job and writes the number of each that was acknowledged to a file.
`hang STATE STORE` makes one that begins to open the job, or to start or stop its datafeed, and goes no further.
The worker's pid comes back. `wait PID` comes back when that worker is over. Everything is loaded before the first, so
that a worker dies at its work and not while it starts.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from pathlib import Path

import numpy as np
import pandas as pd

from gridwatch.containers import open_store
from gridwatch.jobs.service import JobsService, Runner, datafeeds, feeds
from tests.faults.jobs_data import LEASE_MS, SPAN, START, now_ms, posted_bucket


def _run(url: str) -> None:
    feeds._SECONDS_MAX = 0.0  # so many pieces that most kills fall between two commits of one search
    with open_store(url) as store:
        service = JobsService(store, now_ms=now_ms, lease_ms=LEASE_MS)
        runner = Runner(store, lambda: service, now_ms=now_ms)
        while any(feed.state in {"started", "stopping"} for feed in service.resources.datafeeds()):
            for outcome in runner.run_due():
                # Another worker may close the job at its end while this one looks at it, or a stop may be finished.
                assert not outcome.error or "closed" in outcome.error or "is stopped" in outcome.error, outcome.error
            time.sleep(0.01)


def _post(url: str, acknowledged: Path, buckets: int) -> None:
    with open_store(url) as store:
        service = JobsService(store, now_ms=now_ms, lease_ms=LEASE_MS)
        done = int(acknowledged.read_text()) if acknowledged.exists() else -1
        for bucket in range(done + 1, buckets):
            service.post_data("posted", pd.DataFrame({"time": posted_bucket(bucket)}), key=f"bucket {bucket}")
            new = acknowledged.with_suffix(".new")
            new.write_text(str(bucket))
            new.replace(acknowledged)


def _hang(state: str, url: str) -> None:
    def for_ever(*_: object, **__: object) -> None:
        while True:
            time.sleep(60)

    with open_store(url) as store:
        service = JobsService(store, now_ms=now_ms, lease_ms=LEASE_MS)
        if state == "opening":
            service.running.check = for_ever  # type: ignore[method-assign]
            service.open_job("orders")
        elif state == "starting":
            vars(datafeeds)["Extraction"] = for_ever
            service.start_datafeed("orders")
        else:
            service.running.idle = lambda job_id: False  # type: ignore[method-assign]
            service.stop_datafeeds("orders", wait_s=3600)


def _warm() -> None:
    """Load what a worker loads."""
    from gridwatch.detectors.online.bank import Bank
    from gridwatch.jobs.analysis.models import BUCKETS

    Bank(BUCKETS).update(np.arange(3) * SPAN + START, np.zeros((1, 3)))
    pd.DataFrame({"t": [1], "k": ["a"]}).to_parquet(os.devnull)


def main() -> None:
    _warm()
    print("ready", flush=True)
    for line in sys.stdin:
        order, *rest = line.split()
        if order == "wait":
            print(os.waitpid(int(rest[0]), 0)[1], flush=True)
            continue
        pid = os.fork()
        if pid:
            print(pid, flush=True)
            continue
        # Answers are the only thing on stdout; a worker's log is none.
        os.dup2(2, 1)
        try:
            if order == "run":
                _run(*rest)
            elif order == "hang":
                _hang(*rest)
            else:
                _post(rest[0], Path(rest[1]), int(rest[2]))
            os._exit(0)
        finally:
            # Reached by an error alone; what forked goes on with its lines, and a worker does not.
            traceback.print_exc()
            os._exit(1)


if __name__ == "__main__":
    main()
