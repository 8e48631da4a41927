"""The demo's flow in a process of its own, which loads what is slow to load while the servers are starting.

`python -m gridwatch.cli._demo_child FLOW_FILE DATASET...` runs the flow once a line comes in on stdin. Beside it,
the detectors of `DETECTORS` learn and score the same rows; what they said is in `FIGURES` in the home folder.
"""

from __future__ import annotations

import importlib
import json
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gridwatch.pipeline.compare import Side
    from gridwatch.sources import Dataset

__all__ = ["DETECTORS", "FIGURES", "main", "plot_name"]

DETECTORS = ("auto", "lstm-fixed")
FIGURES = "detectors.json"

# Each takes seconds, which would otherwise be added to those of the servers.
_SLOW = ("prefect", "great_expectations", "mlflow", "keras", "matplotlib.figure")


def plot_name(dataset: str) -> str:
    """Return the name of the picture with all detectors of a dataset."""
    return f"{dataset}_detectors.png"


def main(flow_file: str, *names: str) -> int:
    """Load, wait for the word, run; return the exit status."""
    began = time.monotonic()
    for name in _SLOW:
        importlib.import_module(name)
    _load_machine_code()
    # The flow files import each other as neighbours, as they do when Prefect loads them.
    sys.path.insert(0, str(Path(flow_file).parent))
    flows = importlib.import_module(Path(flow_file).stem)
    print(f"loading took {time.monotonic() - began:.1f} s", flush=True)  # goes to the log file
    if not sys.stdin.readline():
        return 1  # the demo is gone
    over = threading.Event()
    with ThreadPoolExecutor(1) as beside:
        # Training an LSTM takes as long as the flow, which waits for servers half of the time.
        sides = beside.submit(_compared, names, over)
        try:
            flows.run_all_flow(list(names))
        finally:
            over.set()
        _write(sides.result())
    return 0


def _load_machine_code() -> None:
    """Load the detectors' kernels; the first time after an installation, compile them."""
    from gridwatch.detectors.online import AutoDetector
    from gridwatch.detectors.testing import random_walk

    AutoDetector().update(*random_walk(300))


def _compared(names: Sequence[str], over: threading.Event) -> list[tuple[Dataset, list[Side]]]:
    """Let all detectors score the rows of each dataset once they are there, which their validation tells."""
    from gridwatch.containers import open_store
    from gridwatch.pipeline.compare import compare
    from gridwatch.pipeline.validate import newest_validation
    from gridwatch.settings import load_settings
    from gridwatch.sources import load_datasets

    found, done = load_settings(), []
    with open_store(found.store, settings=found) as store:
        for dataset in load_datasets(found.datasets_dir, list(names)):
            while newest_validation(store, dataset) is None and not over.wait(0.5):
                pass
            done.append((dataset, compare(dataset, store, DETECTORS, now_ms=time.time_ns() // 1_000_000)))
    return done


def _write(compared: Sequence[tuple[Dataset, list[Side]]]) -> None:
    """Write figures and pictures; here, as the flow draws its own and matplotlib is for one thread at a time."""
    from zoneinfo import ZoneInfo

    from gridwatch.pipeline.compare_plot import compare_plot
    from gridwatch.settings import load_settings

    home = load_settings().home
    for dataset, sides in compared:
        title, zone = f"{dataset.symbol}: {dataset.value}", ZoneInfo(dataset.timezone)
        (home / plot_name(dataset.name)).write_bytes(compare_plot(sides, title=title, label=dataset.value, zone=zone))
    told = {dataset.name: [side.summary() for side in sides] for dataset, sides in compared}
    # Whole or not at all: the demo ends when it sees the file.
    draft = home / f"{FIGURES}.draft"
    draft.write_text(json.dumps(told), encoding="utf-8")
    draft.replace(home / FIGURES)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
