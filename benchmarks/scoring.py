"""Scoring by ONNX Runtime against `model.predict` of the same Keras LSTM: one window, and many."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.figure import Figure, compare
from gridwatch.detectors.onnx import OnnxModel
from gridwatch.detectors.training import LstmConfig, train_lstm

WINDOW, UNITS = 60, 64
WINDOWS = 20_480
SINGLE = 20


def run() -> Iterator[Figure]:
    """Yield the figures for one window at a time and for many; the note holds the largest difference."""
    random = np.random.default_rng(7)
    series = np.sin(np.arange(WINDOWS + WINDOW) / 9).astype(np.float32)
    series += random.normal(0, 0.1, len(series)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(series[:-1], WINDOW)
    targets = series[WINDOW:]
    config = LstmConfig(window=WINDOW, units=(UNITS,), epochs=1, batch_size=1024)
    trained = train_lstm(config, (windows[:-512], targets[:-512]), (windows[-512:], targets[-512:]))
    ours, keras = OnnxModel(trained.onnx), trained.model
    shaped = np.ascontiguousarray(windows[:, :, None])
    error = np.abs(ours.predict(windows) - keras.predict(shaped, verbose=0)[:, 0]).max()
    note = f"largest difference {error:.1e}"

    def ours_single() -> None:
        for place in range(SINGLE):
            ours.predict(windows[place : place + 1])

    def keras_single() -> None:
        for place in range(SINGLE):
            keras.predict(shaped[place : place + 1], verbose=0)

    ours_s, keras_s = compare(ours_single, keras_single)
    yield Figure("score one window", SINGLE, "windows", ours_s, "model.predict", keras_s, aim=500, note=note)
    ours_s, keras_s = compare(lambda: ours.predict(windows), lambda: keras.predict(shaped, verbose=0))
    yield Figure("score many windows", WINDOWS, "windows", ours_s, "model.predict", keras_s, aim=3.5, note=note)
