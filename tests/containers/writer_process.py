"""Run as a script by the tests: one of several processes that write to a store file.

Usage: writer_process.py STORE_PATH NUMBER SECONDS ROWS; prints one line for each committed batch.
"""

import sys
import time

import numpy as np
import pyarrow as pa

from gridwatch.containers import open_store


def main(path: str, number: int, seconds: float, rows: int) -> None:
    """Put batches until the time is up."""
    with open_store(f"sqlite:///{path}") as store:
        print("ready", flush=True)
        deadline = time.monotonic() + seconds
        batch = 0
        while time.monotonic() < deadline:
            # Every process has its own times, so that no put may replace another's row.
            first = (number * 10_000 + batch) * rows
            ts = pa.array(np.arange(first, first + rows), pa.timestamp("ms", "UTC"))
            values = {"ts": ts, "v": np.full(rows, float(number)), "n": np.full(rows, batch)}
            store.put("shared", pa.table(values))
            store.put("last", pa.table({"name": [f"w{number}"], "batch": [batch]}))
            print(batch, flush=True)
            if batch % 5 == 0:
                assert store.get("last", [f"w{number}"]).to_pylist()[0]["batch"] == batch
                assert store.sql("SELECT COUNT(*) FROM shared WHERE v = ?", [float(number)]).num_rows == 1
            batch += 1


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
