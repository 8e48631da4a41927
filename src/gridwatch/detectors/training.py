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

__all__ = ["LstmConfig", "Trained", "batch_for", "train_lstm"]

_WORTHWHILE = 0.005

OnEpoch = Callable[[int, int, dict[str, float]], None]
"""Called after each epoch with its number from 1, the most epochs, and `loss`, `val_loss`, `seconds`."""


@dataclass(frozen=True, slots=True)
class LstmConfig:
    """Size and training of the LSTM; docs/datasets.md explains each.

    No `batch_size` means `batch_for`, no `learning_rate` means `rate_for`.
    """

    window: int = 30
    units: tuple[int, ...] = (32,)
    dropout: float = 0.0
    epochs: int = 60
    patience: int = 6
    batch_size: int | None = None
    learning_rate: float | None = None
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
    batch_size = config.batch_size or batch_for(len(training[1]))
    model = _network(keras, config, config.learning_rate or rate_for(batch_size))
    history: list[dict[str, float]] = []
    watch = _watch(keras, config, history, on_epoch)
    model.fit(
        training[0][:, :, None],
        training[1],
        validation_data=(validation[0][:, :, None], validation[1]),
        # One batch for all validation rows up to a bound: they are few.
        validation_batch_size=1024,
        batch_size=batch_size,
        epochs=config.epochs,
        shuffle=True,
        verbose=0,
        # A large batch begins with long steps; once they no longer help, shorter ones do.
        callbacks=[watch, keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=0, min_delta=0.0)],
    )
    model.set_weights(watch.best_weights)
    return Trained(model, to_onnx(model, config.window), history, watch.best_epoch)


def batch_for(rows: int) -> int:
    """Return how many windows to train on at once: a tenth of them, as a power of two from 64 to 512.

    A step costs nearly the same for few windows as for many, so that large batches train several times faster; few
    rows want small ones, or an epoch would have too few steps.

    >>> [batch_for(rows) for rows in (100, 1_200, 20_000)]
    [64, 128, 512]
    """
    return int(np.clip(2 ** round(np.log2(max(rows, 10) / 10)), 64, 512))


def rate_for(batch_size: int) -> float:
    """Return Adam's first learning rate: 0.0025 at 64 windows a step, and in proportion to them.

    The linear scaling rule of Goyal et al., "Accurate, Large Minibatch SGD" (2017).

    >>> rate_for(64), rate_for(512)
    (0.0025, 0.02)
    """
    return 0.0025 * batch_size / 64


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


def _network(keras: Any, config: LstmConfig, learning_rate: float) -> Any:
    layers: list[Any] = [keras.layers.Input((config.window, 1), name="window")]
    for number, units in enumerate(config.units, start=1):
        layers.append(keras.layers.LSTM(units, return_sequences=number < len(config.units)))
        if config.dropout:
            layers.append(keras.layers.Dropout(config.dropout))
    layers.append(keras.layers.Dense(1, name="prediction"))
    model = keras.Sequential(layers)
    # One wild window must not undo an epoch of long steps.
    optimizer = keras.optimizers.Adam(learning_rate, clipnorm=1.0)
    model.compile(optimizer=optimizer, loss="mse", jit_compile=False)
    return model


def _watch(keras: Any, config: LstmConfig, history: list[dict[str, float]], on_epoch: OnEpoch | None) -> Any:
    class Watch(keras.callbacks.Callback):  # type: ignore[misc]
        """Keeps the best weights, and stops when `patience` epochs in a row have brought less than half a percent."""

        best_weights: Any = None
        best_epoch = 0
        best = reference = float("inf")
        waited = 0
        started_s = 0.0

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.started_s = time.monotonic()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seconds = time.monotonic() - self.started_s
            row = {"loss": float(logs["loss"]), "val_loss": float(logs["val_loss"]), "seconds": seconds}
            history.append(row)
            if row["val_loss"] < self.best or self.best_weights is None:
                self.best, self.best_epoch = row["val_loss"], epoch + 1
                self.best_weights = self.model.get_weights()
            self.waited += 1
            if row["val_loss"] < self.reference * (1.0 - _WORTHWHILE):
                self.reference, self.waited = row["val_loss"], 0
            if self.waited >= config.patience:
                self.model.stop_training = True
            if on_epoch:
                on_epoch(epoch + 1, config.epochs, row)

    return Watch()
