"""Pictures of a training, as PNG bytes: how the loss fell, and what was expected of the newest rows."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from gridwatch.detectors import Scores
    from gridwatch.detectors.base import Times

__all__ = ["loss_curve", "predictions"]


def loss_curve(epochs: Sequence[Mapping[str, float]], best_epoch: int) -> bytes:
    """Return the losses by epoch, the kept one marked."""
    figure, axes = _figure()
    numbers = range(1, len(epochs) + 1)
    axes.plot(numbers, [epoch["loss"] for epoch in epochs], marker=".", label="training")
    axes.plot(numbers, [epoch["val_loss"] for epoch in epochs], marker=".", label="validation")
    axes.axvline(best_epoch, color="0.6", linestyle=":", label=f"kept: epoch {best_epoch}")
    axes.set(xlabel="epoch", ylabel="mean squared error (standard deviations²)", title="Loss")
    axes.legend()
    return _png(figure)


def predictions(times_ms: Times, challenger: Scores, champion: Scores | None, *, value: str) -> bytes:
    """Return actual and expected values of the rows kept from training, with the band of ordinary values.

    Args:
        times_ms: int64 (n,), UTC epoch ms.
        challenger: Scores of these rows by the new model.
        champion: Scores of them by the model that was champion so far, if there was one.
        value: Name of the value, for the axis.
    """
    figure, axes = _figure()
    times = times_ms.astype("datetime64[ms]")
    axes.fill_between(times, challenger.lower, challenger.upper, color="tab:blue", alpha=0.15, label="ordinary")
    axes.plot(times, challenger.actual, color="black", linewidth=1.0, label="actual")
    axes.plot(times, challenger.expected, color="tab:blue", linewidth=1.0, label="expected")
    if champion is not None:
        axes.plot(times, champion.expected, color="tab:orange", linewidth=0.8, label="expected by the champion")
    span = challenger.actual[np.isfinite(challenger.actual)]
    room = float(np.ptp(span)) or 1.0
    axes.set_ylim(span.min() - room, span.max() + room)
    axes.set(ylabel=value, title="Rows kept from training")
    axes.legend()
    figure.autofmt_xdate()
    return _png(figure)


def _figure() -> tuple[Any, Any]:
    # Not pyplot: it keeps figures for ever and looks for a screen.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    return figure, figure.subplots()


def _png(figure: Any) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=100)
    return out.getvalue()
