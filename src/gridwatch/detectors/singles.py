"""Detectors that look at one thing each; all learn as they go, as `auto` does, and have its constants."""

from __future__ import annotations

from dataclasses import fields

from typing_extensions import override

from gridwatch.detectors.joined import JoinedDetector
from gridwatch.detectors.online import AutoConfig, AutoDetector
from gridwatch.detectors.season import SeasonStream
from gridwatch.detectors.spectral import SpectralStream
from gridwatch.detectors.streams import Stream
from gridwatch.detectors.trend import TrendStream

__all__ = ["RangeDetector", "SeasonalDetector", "ShapeDetector", "SpectralDetector", "only"]


def only(**members: object) -> AutoConfig:
    """Return the constants of `auto` with only some of its members.

    >>> only(value=True).shape, only(value=True).seasonal, only(value=True).hold_rows == AutoConfig().hold_rows
    ((), False, True)
    """
    none: dict[str, object] = {"nearest": 0, "forecast": 0}
    # Members are widths, and switches.
    none |= {one.name: () for one in fields(AutoConfig) if isinstance(one.default, tuple)}
    none |= {one.name: False for one in fields(AutoConfig) if isinstance(one.default, bool)}
    return AutoConfig(**(none | members))  # type: ignore[arg-type]


_ALL = AutoConfig()


class RangeDetector(AutoDetector):
    """Spikes, dips and levels never seen, and a value that is stuck.

    >>> from gridwatch.detectors.testing import random_walk
    >>> times, values = random_walk(600)
    >>> values[500:560] = values[500]
    >>> scores = RangeDetector().update(times, values)
    >>> scores.driver_names()[int(scores.anomaly_score.argmax())]
    'flat'
    """

    kind = "range"

    def __init__(self, config: AutoConfig | None = None) -> None:
        super().__init__(config or only(value=True, flat=True))


class ShapeDetector(AutoDetector):
    """Stretches whose shape, at whatever level and size, is in no earlier stretch, or that are near none."""

    kind = "shape"

    def __init__(self, config: AutoConfig | None = None) -> None:
        super().__init__(config or only(shape=_ALL.shape, nearest=_ALL.nearest))


class SeasonalDetector(JoinedDetector):
    """What is unlike the same time of earlier days, or the same place of a season that is found in the rows.

    And what is far from the rows just before, or whose mean over some rows was never seen: shifts of the level.
    """

    kind = "seasonal"
    # In `auto` a season that explains little makes room for others; here there is only the mean, for shifts.
    CONFIG = only(seasonal=True, season_share=0.0, mean=(48,), aligned=_ALL.aligned)

    @override
    def _streams(self) -> list[Stream]:
        return [SeasonStream(self.config.seasons), TrendStream()]


class SpectralDetector(JoinedDetector):
    """What the repeating part of the last rows does not account for; the members only say what is expected."""

    kind = "spectral"
    CONFIG = only(seasonal=True)
    MEMBERS_JUDGED = False

    @override
    def _streams(self) -> list[Stream]:
        return [SpectralStream()]
