"""The whole way of the data, in one flow: load, validate, train, detect, tell."""

from __future__ import annotations

import sys
from typing import Any

from _edge import run_name
from detect import detect_flow
from load_batch import load_batch_flow
from prefect import flow
from train import train_flow
from validate import validate_flow


@flow(name="run-all", flow_run_name=run_name)
def run_all_flow(datasets: list[str] | None = None, force: bool = False) -> dict[str, dict[str, Any]]:
    """Do everything for these datasets, or all; return what detection gave for each."""
    load_batch_flow(datasets)
    validate_flow(datasets)
    train_flow(datasets, force=force)
    return detect_flow(datasets, force=force)


if __name__ == "__main__":
    run_all_flow(sys.argv[1:] or None)
