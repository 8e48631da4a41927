"""Training of the LSTM in Keras: seeded, repeatable, early-stopped. TensorFlow is imported here only, when called."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from gridwatch.detectors.onnx import LayerWeights, build_lstm

__all__ = ["LstmConfig", "Trained", "train_lstm"]

OnEpoch = Callable[[int, int, dict[str, float]], None]
"""Called after each epoch with its number from 1, the most epochs, and `loss`, `val_loss`, `seconds`."""


@dataclass(frozen=True, slots=True)
class LstmConfig:
    """Size and training of the LSTM; docs/datasets.md explains each."""

    window: int = 30
    units: tuple[int, ...] = (32,)
    dropout: float = 0.0
    epochs: int = 60
    patience: int = 6
    batch_size: int = 128
    learning_rate: float = 0.002
    validation_fraction: float = 0.05
    seed: int = 7


@dataclass(slots=True, eq=False)
class Trained:
    """A trained network.

    Attributes:
        model: The Keras model, best weights restored.
        onnx: The same as ONNX bytes.
        history: Per epoch `loss`, `val_loss` (mean squared error of the scaled feature) and `seconds`.
        best_epoch: Epoch from 1 whose weights were kept.
    """

    model: Any
    onnx: bytes
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0


def train_lstm(
    config: LstmConfig,
    training: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]],
    validation: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]],
    on_epoch: OnEpoch | None = None,
) -> Trained:
    """Train on windows and the values that follow them.

    Args:
        config: Size and training.
        training: Windows float32 (n, window) and targets float32 (n,), in time order.
        validation: The same for the newest rows, which decide when to stop.
        on_epoch: Told after each epoch.
    """
    keras = _import_keras()
    keras.backend.clear_session()
    keras.utils.set_random_seed(config.seed)
    model = _network(keras, config)
    history: list[dict[str, float]] = []
    watch = _watch(keras, config.epochs, history, on_epoch)
    stop = keras.callbacks.EarlyStopping(
        monitor="val_loss", patience=config.patience, restore_best_weights=True, start_from_epoch=0
    )
    model.fit(
        training[0][:, :, None],
        training[1],
        validation_data=(validation[0][:, :, None], validation[1]),
        # One batch for all validation rows up to a bound: they are few.
        validation_batch_size=1024,
        batch_size=config.batch_size,
        epochs=config.epochs,
        shuffle=True,
        verbose=0,
        callbacks=[watch, stop],
    )
    # EarlyStopping restores the best weights only when it stops; the last epochs may have been worse.
    if stop.best_weights is not None:
        model.set_weights(stop.best_weights)
    best = min(range(len(history)), key=lambda epoch: history[epoch]["val_loss"]) + 1
    return Trained(model, to_onnx(model, config.window), history, best)


def to_onnx(model: Any, window: int) -> bytes:
    """Return the ONNX bytes of a Keras model that `train_lstm` made."""
    lstms = [layer.get_weights() for layer in model.layers if type(layer).__name__ == "LSTM"]
    kernel, bias = model.layers[-1].get_weights()
    return build_lstm([LayerWeights(*weights) for weights in lstms], kernel, bias, window=window)


def _import_keras() -> Any:
    first = "tensorflow" not in sys.modules
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf

    if first:
        # Repeatable to the bit: one thread an operation, and operators without a race in their sums. TensorFlow
        # takes these before its first operation only.
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    return keras


def _network(keras: Any, config: LstmConfig) -> Any:
    layers: list[Any] = [keras.layers.Input((config.window, 1), name="window")]
    for number, units in enumerate(config.units, start=1):
        layers.append(keras.layers.LSTM(units, return_sequences=number < len(config.units)))
        if config.dropout:
            layers.append(keras.layers.Dropout(config.dropout))
    layers.append(keras.layers.Dense(1, name="prediction"))
    model = keras.Sequential(layers)
    model.compile(optimizer=keras.optimizers.Adam(config.learning_rate), loss="mse", jit_compile=False)
    return model


def _watch(keras: Any, epochs: int, history: list[dict[str, float]], on_epoch: OnEpoch | None) -> Any:
    class Watch(keras.callbacks.Callback):  # type: ignore[misc]
        started = 0.0

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.started = time.monotonic()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seconds = time.monotonic() - self.started
            row = {"loss": float(logs["loss"]), "val_loss": float(logs["val_loss"]), "seconds": seconds}
            history.append(row)
            if on_epoch:
                on_epoch(epoch + 1, epochs, row)

    return Watch()
