"""Training at gridwatch's defaults against the same LSTM at Keras's batch of 32, until both are equally good."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from benchmarks.figure import Figure
from gridwatch.detectors.training import LstmConfig, Trained, train_lstm

ROWS = 20_000
EPOCHS = 12


def _series() -> npt.NDArray[np.float32]:
    """Return float32 (n,): two seasons, drifting noise; in standard deviations, as detectors hand it over."""
    random = np.random.default_rng(11)
    steps = np.arange(ROWS)
    noise = np.convolve(random.normal(0, 1, ROWS), np.exp(-np.arange(20) / 5), "same")
    series = np.sin(steps / 9) + 0.6 * np.sin(steps / 61 + 1) + 0.25 * noise
    return np.asarray((series - series.mean()) / series.std(), dtype=np.float32)


def _seconds_to(trained: Trained, loss: float) -> float:
    """Return seconds of training until the validation loss was at most `loss`."""
    spent = accumulate(epoch["seconds"] for epoch in trained.history)
    reached = (s for s, epoch in zip(spent, trained.history, strict=True) if epoch["val_loss"] <= loss)
    return next(reached)


def run() -> Iterator[Figure]:
    """Yield the time to the same validation loss: the worse of the two best losses, so that both reach it."""
    config = LstmConfig(epochs=EPOCHS, patience=EPOCHS)
    series = _series()
    windows = np.lib.stride_tricks.sliding_window_view(series[:-1], config.window)
    targets = series[config.window :]
    held = round(len(windows) * config.validation_fraction)
    parts = (windows[:-held], targets[:-held]), (windows[-held:], targets[-held:])
    # The first call imports TensorFlow and compiles; both sides run in a warm process.
    train_lstm(replace(config, epochs=1), *parts)
    ours = train_lstm(config, *parts)
    theirs = train_lstm(replace(config, batch_size=32, learning_rate=0.001), *parts)
    best = [min(epoch["val_loss"] for epoch in side.history) for side in (ours, theirs)]
    goal = max(best)
    ours_s, theirs_s = _seconds_to(ours, goal), _seconds_to(theirs, goal)
    # The last half percent can take most of the time, so the note tells the ratio without it too.
    near = _seconds_to(theirs, goal * 1.005) / _seconds_to(ours, goal * 1.005)
    yield Figure(
        "train to equal loss",
        len(parts[0][0]),
        "windows",
        ours_s,
        "Keras, batch 32",
        theirs_s,
        aim=3,
        note=f"loss {goal:.4f} ({best[0]:.4f} beside {best[1]:.4f}); {near:.1f}x to within 0.5 % of it",
    )
