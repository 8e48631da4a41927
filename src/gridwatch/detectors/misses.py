"""By how much a network missed each row, and the way back from there to values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from gridwatch.detectors.base import Floats
from gridwatch.detectors.features import FeatureName, value_of

__all__ = ["Misses", "Scaler"]


@dataclass(frozen=True, slots=True)
class Scaler:
    """Mean and standard deviation of the feature's training part."""

    mean: float
    std: float

    @classmethod
    def fit(cls, values: Floats) -> Self:
        """Fit to float64 (n,), n > 0; a constant has the standard deviation 1."""
        std = float(values.std())
        return cls(float(values.mean()), std if std > 1e-12 * max(1.0, float(np.abs(values).max())) else 1.0)

    def scale(self, values: Floats) -> Floats:
        """Return values in standard deviations from the mean."""
        return (values - self.mean) / self.std

    def unscale(self, scaled: Floats) -> Floats:
        """Return what `scale` was given."""
        return scaled * self.std + self.mean


@dataclass(frozen=True, slots=True, eq=False)
class Misses:
    """By how much a network missed n rows; NaN in those that it could not predict.

    Attributes:
        size: float64 (n,), the scaled feature less its prediction, in standard deviations of the learnt feature.
        predicted: float64 (n,), that prediction.
        previous: float64 (n,), the value of the row before, where the feature needs it.
        scaler: Of the feature.
        feature_name: Which feature.
    """

    size: Floats
    predicted: Floats
    previous: Floats
    scaler: Scaler
    feature_name: FeatureName

    def value_at(self, size: Floats) -> Floats:
        """Return the values, in their own units, that would have been missed by so much, float64 (n,)."""
        return value_of(self.feature_name, self.scaler.unscale(self.predicted + size), self.previous)
