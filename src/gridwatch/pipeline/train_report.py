"""A training for people: Markdown with its figures and a link into MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gridwatch.pipeline.train import TrainReport

__all__ = ["train_markdown"]

_FIGURES = ("val_mae", "champion_mae", "naive_mae", "val_loss", "anomaly_rate", "rows", "epochs", "seconds")


def train_markdown(report: TrainReport, tracking_uri: str) -> str:
    """Return Markdown of a training; the link is there when MLflow is a server."""
    parts = [
        f"## {report.model_name} version {report.model_version}" + (", champion" if report.champion else ""),
        report.why,
    ]
    if tracking_uri.startswith("http"):
        page = f"{tracking_uri.rstrip('/')}/#/models/{report.model_name}/versions/{report.model_version}"
        parts.append(f"[The version and its run in MLflow]({page})")
    parts.append(f"MLflow run `{report.run_id}`, sha256 `{report.sha256}`")
    rows = [f"| {name} | {_shown(getattr(report, name))} |" for name in _FIGURES]
    parts.append("\n".join(["| figure | |", "|---|---:|", *rows]))
    return "\n\n".join(parts)


def _shown(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.5g}" if isinstance(value, float) else f"{value:,}"
