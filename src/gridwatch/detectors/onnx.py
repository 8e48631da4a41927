"""The LSTM as an ONNX graph, built straight from Keras's weights, and its scoring by ONNX Runtime.

An ONNX `LSTM` operator holds the same equations as Keras's layer with its gates in another order, so no converter is
needed: the graph is a few nodes, takes milliseconds to make and has the same bytes for the same weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gridwatch.detectors.base import Floats
from gridwatch.errors import DetectorError

__all__ = ["LayerWeights", "OnnxModel", "build_lstm"]

BATCH = 64
"""Windows that are scored at once: measured best on one thread (larger batches fall out of the cache)."""

_OPSET = 17
_IR_VERSION = 8  # readable by ONNX Runtime since 1.13


@dataclass(frozen=True, slots=True, eq=False)
class LayerWeights:
    """Weights of one Keras LSTM layer, float32: kernel (f, 4u), recurrent (u, 4u), bias (4u,); gates i, f, c, o."""

    kernel: npt.NDArray[np.float32]
    recurrent: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]


def build_lstm(
    layers: Sequence[LayerWeights], kernel: npt.NDArray[np.float32], bias: npt.NDArray[np.float32], *, window: int
) -> bytes:
    """Return an ONNX model of LSTM layers and one Dense unit.

    Args:
        layers: The LSTM layers, first to last, at least one.
        kernel: float32 (u, 1), weights of the Dense unit.
        bias: float32 (1,).
        window: Rows that predict the next one.

    Returns:
        A model with input `window`, float32 (batch, window, 1), and output `prediction`, float32 (batch, 1).
    """
    from onnx import TensorProto, helper, numpy_helper

    constants = [numpy_helper.from_array(np.array([1], np.int64), "direction")]
    constants += [numpy_helper.from_array(np.array([0], np.int64), "layer")]
    nodes = [helper.make_node("Transpose", ["window"], ["steps_0"], perm=[1, 0, 2])]
    for number, layer in enumerate(layers):
        parts = {"W": _gates(layer.kernel).T, "R": _gates(layer.recurrent).T}
        # ONNX keeps a bias for the input and one for the state; Keras has their sum.
        parts["B"] = np.concatenate([_gates(layer.bias[None, :])[0], np.zeros_like(layer.bias)])
        for name, array in parts.items():
            constants.append(numpy_helper.from_array(np.ascontiguousarray(array[None]), f"{name}_{number}"))
        names = [f"steps_{number}", *(f"{name}_{number}" for name in parts)]
        units = len(layer.bias) // 4
        outputs = [f"all_{number}", f"last_{number}"]
        nodes.append(helper.make_node("LSTM", names, outputs, hidden_size=units))
        nodes.append(helper.make_node("Squeeze", [f"all_{number}", "direction"], [f"steps_{number + 1}"]))
    nodes.pop()  # the last layer hands on its last state, not all of them
    nodes.append(helper.make_node("Squeeze", [f"last_{len(layers) - 1}", "layer"], ["state"]))
    constants += [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(bias, "bias")]
    nodes.append(helper.make_node("Gemm", ["state", "kernel", "bias"], ["prediction"]))
    graph = helper.make_graph(
        nodes,
        "gridwatch-lstm",
        [helper.make_tensor_value_info("window", TensorProto.FLOAT, ["batch", window, 1])],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["batch", 1])],
        constants,
    )
    model = helper.make_model(
        graph,
        producer_name="gridwatch",
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
    )
    return bytes(model.SerializeToString(deterministic=True))


def _gates(weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Reorder the gates along the last axis from Keras's i, f, c, o to ONNX's i, o, f, c."""
    i, f, c, o = np.split(weights, 4, axis=-1)
    return np.concatenate([i, o, f, c], axis=-1)


class OnnxModel:
    """An ONNX model ready to predict, on one thread.

    Args:
        content: Bytes of the model.

    Raises:
        DetectorError: ONNX Runtime cannot read them.
    """

    def __init__(self, content: bytes) -> None:
        import onnxruntime as ort
        from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

        options = ort.SessionOptions()
        # Several models score beside each other; two threads for one small LSTM were measured slower than one.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session: Any = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except (ort_errors.InvalidProtobuf, ort_errors.InvalidGraph, ort_errors.Fail) as error:
            raise DetectorError(f"model.onnx ({len(content)} bytes) is damaged: {error}.") from error

    def predict(self, windows: npt.NDArray[np.float32]) -> Floats:
        """Return the prediction of each window.

        Args:
            windows: float32 (n, window).

        Returns:
            float64 (n,).
        """
        out = np.empty(len(windows))
        for start in range(0, len(windows), BATCH):
            batch = np.ascontiguousarray(windows[start : start + BATCH, :, None])
            out[start : start + BATCH] = self._session.run(None, {"window": batch})[0][:, 0]
        return out
