"""The demo's flow in a process of its own, which imports what is slow to import while the servers are starting.

`python -m gridwatch.cli._demo_child FLOW_FILE DATASET` runs the flow once a line comes in on stdin.
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path

__all__ = ["main"]

# Each takes seconds, which would otherwise be added to those of the servers.
_SLOW = ("prefect", "great_expectations", "mlflow", "keras", "matplotlib.figure")


def main(flow_file: str, dataset: str) -> int:
    """Import, wait for the word, run; return the exit status."""
    began = time.monotonic()
    for name in _SLOW:
        importlib.import_module(name)
    # The flow files import each other as neighbours, as they do when Prefect loads them.
    sys.path.insert(0, str(Path(flow_file).parent))
    flows = importlib.import_module(Path(flow_file).stem)
    print(f"imports took {time.monotonic() - began:.1f} s", flush=True)  # goes to the log file
    if not sys.stdin.readline():
        return 1  # the demo is gone
    flows.run_all_flow([dataset])
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
