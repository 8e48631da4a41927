"""The spectral residual: what the repeating part of the last rows does not account for.

H. Ren and others, "Time-Series Anomaly Detection Service at Microsoft", KDD 2019, with that paper's constants. The
logarithm of a window's amplitude spectrum less its moving average, transformed back, is high where something is new.
Only a window's last row is judged, so that no later row is seen. The paper extrapolates five rows beyond it; here the
window is mirrored there, because the extrapolation hides what it begins with: of 40 spikes of 12 standard deviations in
noise on a wave none was the highest of 500 rows with it, and 35 were with the mirror.
"""

from __future__ import annotations

import numpy as np

from gridwatch.detectors.base import Floats, Times
from gridwatch.detectors.streams import RecentRows, Taken

__all__ = ["SpectralStream", "spectral_residuals"]

_WINDOW = 129  # with its mirror a power of two; the paper has 64 for hours and a day for minutes
_SMOOTH = 3  # neighbouring frequencies whose mean is the ordinary spectrum
_LOCAL = 21  # rows that the saliency of the last is compared with
_BLOCK_ROWS = 1024  # bounds the memory that windows take


def spectral_residuals(windows: Floats) -> Floats:
    """Return how salient the last row of each window is: its saliency over the mean of the 21 before, less 1.

    Args:
        windows: float64 (n, w), w at least 22.

    Returns:
        float64 (n,), -1 and above; 0 for a window of one value.

    >>> windows = np.random.default_rng(1).normal(np.sin(np.arange(129) / 4), 0.1)[None].repeat(2, axis=0)
    >>> windows[1, -1] += 3.0
    >>> residuals = spectral_residuals(windows)
    >>> bool(residuals[1] > 3 * residuals[0])
    True
    """
    largest = np.abs(windows).max(axis=1, keepdims=True)
    apart = windows / np.where(largest > 0.0, largest, 1.0)
    apart -= apart.mean(axis=1, keepdims=True)
    size = np.abs(apart).max(axis=1, keepdims=True)
    flat = size[:, 0] <= 1e-9
    apart /= np.where(flat[:, None], 1.0, size)
    # There and back again, so that the last row is in the middle and the ends meet: a jump from the last row to the
    # first, which the transform would see, is not in the series.
    whole = np.concatenate([apart, apart[:, -2:0:-1]], axis=1)
    spectrum = np.fft.rfft(whole, axis=1)
    amplitude = np.abs(spectrum)
    logs = np.log(amplitude + 1e-8)
    padded = np.pad(logs, ((0, 0), (_SMOOTH // 2, _SMOOTH // 2)), mode="edge")
    ordinary = np.lib.stride_tricks.sliding_window_view(padded, _SMOOTH, axis=1).mean(axis=2)
    turned = spectrum / (amplitude + 1e-8) * np.exp(logs - ordinary)
    saliency = np.abs(np.fft.irfft(turned, whole.shape[1], axis=1))
    last = windows.shape[1] - 1
    local = saliency[:, last - _LOCAL : last].mean(axis=1)
    ratio = np.divide(saliency[:, last], local, out=np.ones(len(windows)), where=local > 0.0)
    return np.where(flat, 0.0, ratio - 1.0)


class SpectralStream(RecentRows):
    """The spectral residual of each row in the window of rows that it ends."""

    name = "spectral"
    two_sided = False
    ROWS_MAX = _WINDOW - 1
    KEPT = "window"

    def take(self, times_ms: Times, values: Floats) -> Taken:
        """Return the residuals of the next rows; see `Stream.take`."""
        joined = np.concatenate([self._history, values])
        odd = np.full(len(values), np.nan)
        if len(joined) >= _WINDOW and len(values):
            windows = np.lib.stride_tricks.sliding_window_view(joined, _WINDOW)
            blocks = [spectral_residuals(windows[a : a + _BLOCK_ROWS]) for a in range(0, len(windows), _BLOCK_ROWS)]
            odd[len(values) - len(windows) :] = np.concatenate(blocks)
        self._history = joined[-_WINDOW + 1 :]
        return Taken(odd)
