"""The demo's flow in a process of its own, which loads what is slow to load while the servers are starting.

`python -m gridwatch.cli._demo_child FLOW_FILE DATASET...` runs the flow once a line comes in on stdin. Then it lets the
detectors of `DETECTORS` learn and score the same rows, and writes what they said to `FIGURES` in the home folder.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path

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
    flows.run_all_flow(list(names))
    _compare(names)
    return 0


def _load_machine_code() -> None:
    """Load the detectors' kernels; the first time after an installation, compile them."""
    from gridwatch.detectors.online import AutoDetector
    from gridwatch.detectors.testing import random_walk

    AutoDetector().update(*random_walk(300))


def _compare(names: tuple[str, ...]) -> None:
    """Let all detectors score the same rows; write figures and pictures."""
    from zoneinfo import ZoneInfo

    from gridwatch.containers import open_store
    from gridwatch.pipeline.compare import compare
    from gridwatch.pipeline.compare_plot import compare_plot
    from gridwatch.settings import load_settings
    from gridwatch.sources import load_datasets

    found, told = load_settings(), {}
    with open_store(found.store, settings=found) as store:
        for dataset in load_datasets(found.datasets_dir, list(names)):
            sides = compare(dataset, store, DETECTORS, now_ms=time.time_ns() // 1_000_000)
            title = f"{dataset.symbol}: {dataset.value}"
            picture = compare_plot(sides, title=title, label=dataset.value, zone=ZoneInfo(dataset.timezone))
            (found.home / plot_name(dataset.name)).write_bytes(picture)
            told[dataset.name] = [side.summary() for side in sides]
    # Whole or not at all: the demo ends when it sees the file.
    draft = found.home / f"{FIGURES}.draft"
    draft.write_text(json.dumps(told), encoding="utf-8")
    draft.replace(found.home / FIGURES)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
