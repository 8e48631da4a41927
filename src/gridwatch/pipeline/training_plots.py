"""Pictures of a training, as PNG bytes: how the loss fell or what was flagged, and what the newest rows should be."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from gridwatch.pipeline.scored import Scored

__all__ = ["alarms", "loss_curve", "predictions"]


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


def predictions(challenger: Scored, champion: Scored | None, *, value: str) -> bytes:
    """Return actual and expected values of the rows kept from training, with the band of ordinary values.

    Args:
        challenger: What the new model says of these rows.
        champion: What the model that was champion so far says of them, if there was one.
        value: Name of the value, for the axis.
    """
    figure, axes = _figure()
    times, said = _times(challenger), challenger.columns
    axes.fill_between(times, said["lower"], said["upper"], color="tab:blue", alpha=0.15, label="ordinary")
    axes.plot(times, said["actual"], color="black", linewidth=1.0, label="actual")
    axes.plot(times, said["expected"], color="tab:blue", linewidth=1.0, label="expected")
    if champion is not None and len(champion):
        theirs = champion.columns["expected"]
        axes.plot(_times(champion), theirs, color="tab:orange", linewidth=0.8, label="expected by the champion")
    if len(challenger):
        room = float(np.ptp(said["actual"])) or 1.0
        axes.set_ylim(said["actual"].min() - room, said["actual"].max() + room)
    axes.set(ylabel=value, title="Rows kept from training")
    axes.legend()
    figure.autofmt_xdate()
    return _png(figure)


def alarms(scored: Scored, flagged: npt.NDArray[np.bool_], held: int, *, value: str) -> bytes:
    """Return all learnt rows with those that were flagged, over the score of whole stretches.

    Args:
        scored: What the model said of each row before learning it.
        flagged: bool (n,), which of them it flagged.
        held: How many of the newest rows were kept for comparison.
        value: Name of the value, for the axis.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    times, said = _times(scored), scored.columns
    upper.plot(times, said["actual"], color="black", linewidth=0.8, label="actual")
    found = f"{int(flagged.sum()):,} of {len(scored):,} rows flagged"
    upper.plot(times[flagged], said["actual"][flagged], "o", color="tab:red", markersize=4, label=found)
    lower.plot(times, said["segment_score"], color="tab:blue", linewidth=0.8)
    for axes in (upper, lower):
        if held < len(times):
            axes.axvline(times[-held], color="0.6", linestyle=":")
    upper.set(ylabel=value, title="Rows as they came, each scored before it was learnt (dotted: kept for comparison)")
    lower.set(ylabel="segment score", ylim=(0, 100))
    upper.legend()
    figure.autofmt_xdate()
    return _png(figure)


def _times(scored: Scored) -> Any:
    return scored.times_ms.astype("datetime64[ms]")


def _figure() -> tuple[Any, Any]:
    # Not pyplot: it keeps figures for ever and looks for a screen.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    return figure, figure.subplots()


def _png(figure: Any) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=100)
    return out.getvalue()
