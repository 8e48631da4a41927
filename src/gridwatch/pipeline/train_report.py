"""What is told of a training: Markdown for people, and a row of `trainings` for dashboards."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING

import pyarrow as pa

from gridwatch.containers.catalog import TRAININGS

if TYPE_CHECKING:
    from gridwatch.containers.store import Store
    from gridwatch.pipeline.train import TrainReport

__all__ = ["train_markdown", "write_training"]

_FIGURES = ("val_mae", "champion_mae", "naive_mae", "val_loss", "anomaly_rate", "rows", "epochs", "seconds")


def write_training(report: TrainReport, store: Store, *, now_ms: int, flow_run_id: str | None) -> None:
    """Write the row of `trainings`; a figure that is infinite, as no row could be scored, is null.

    Args:
        report: The training.
        store: Where the row goes; the container is made when missing.
        now_ms: Time of the training, UTC epoch ms.
        flow_run_id: Prefect flow run that asked for it.
    """
    found = {**asdict(report), "trained_ms": now_ms, "flow_run_id": flow_run_id}
    row = {
        name: None if isinstance(found[name], float) and not math.isfinite(found[name]) else found[name]
        for name in TRAININGS.arrow.names
    }
    store.put_container(TRAININGS, modifiable=True)
    store.put(TRAININGS.name, pa.Table.from_pylist([row], schema=TRAININGS.arrow))


def train_markdown(report: TrainReport, tracking_uri: str) -> str:
    """Return Markdown of a training; the link is there when MLflow is a server."""
    parts = [
        f"## {report.model_name} version {report.model_version}" + (", champion" if report.champion else ""),
        report.why,
    ]
    if tracking_uri.startswith("http"):
        page = f"{tracking_uri.rstrip('/')}/#/models/{report.model_name}/versions/{report.model_version}"
        parts.append(f"[The version and its run in MLflow]({page})")
    parts.append(f"Detector `{report.detector}`, MLflow run `{report.run_id}`, sha256 `{report.sha256}`")
    rows = [f"| {name} | {_shown(getattr(report, name))} |" for name in _FIGURES]
    parts.append("\n".join(["| figure | |", "|---|---:|", *rows]))
    return "\n\n".join(parts)


def _shown(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.5g}" if isinstance(value, float) else f"{value:,}"
