"""A detector that learns as it goes, over the feature of a dataset: what it has learnt so far, and what comes next."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from gridwatch.detectors.features import FeatureName, feature, rows_lost, value_of
from gridwatch.detectors.registry import load_detector, new_detector
from gridwatch.detectors.usual import update_around
from gridwatch.errors import DetectorError
from gridwatch.pipeline.scored import Rule, Scored
from gridwatch.pipeline.series import Series, read_series

if TYPE_CHECKING:
    from gridwatch.containers.store import Store
    from gridwatch.detectors import Detector, LstmConfig, LstmDetector
    from gridwatch.detectors.base import Floats, Times
    from gridwatch.detectors.online import AutoConfig, OnlineScores
    from gridwatch.detectors.training import OnEpoch
    from gridwatch.sources.dataset import Dataset

__all__ = ["SERIES_JSON", "OnlineModel"]

SERIES_JSON = "series.json"
"""The file that tells a detector's place in its series; one that does not learn as it goes has none."""

_FORMAT = 1


class OnlineModel:
    """Scores the rows of a series one after another, each before learning from it.

    What was saved is never changed by `say`: it goes on with a copy, through every row since, so that the same bytes
    and rows give the same scores, however often and in whatever pieces they are asked for.

    Args:
        feature_name: What of the value is looked at: `log_return` or `level`.
        detector: What looks at it: its name in the registry, or itself.
        network: Size and training of its network, where it has one.
        on_epoch: Told after each epoch of that.
    """

    def __init__(
        self,
        feature_name: FeatureName = "log_return",
        detector: str | Detector = "auto",
        *,
        network: LstmConfig | None = None,
        on_epoch: OnEpoch | None = None,
    ) -> None:
        self.feature_name: FeatureName = feature_name
        if isinstance(detector, str):
            # It sees the feature, so that a network in it has to take that as it is.
            detector = new_detector(detector, feature_name="level", network=network, on_epoch=on_epoch)
        self._detector: Any = detector
        self._last: tuple[int, float] | None = None

    @property
    def kind(self) -> str:
        """Short name of the method."""
        return str(self._detector.kind)

    @property
    def rows_min(self) -> int:
        """Fewest rows to begin with; with fewer no row is judged."""
        return int(self._detector.rows_min) + rows_lost(self.feature_name)

    @property
    def unseen_from_ms(self) -> int | None:
        """From when on it has not learnt the rows: the ms after the last that it has."""
        return None if self._last is None else self._last[0] + 1

    @property
    def rule(self) -> Rule:
        """An alarm at the detector's own level."""
        return Rule("alarm", float(-100.0 * np.expm1(-self.config.alarm_level)))

    @property
    def config(self) -> AutoConfig:
        """What the detector looks at and how it judges."""
        found: AutoConfig = self._detector.config
        return found

    @property
    def network(self) -> LstmDetector | None:
        """The network in the detector, where it has one."""
        return getattr(self._detector, "network", None)

    def train(self, times_ms: Times, values: Floats) -> None:
        """Train the network in the detector, if it has one, on rows that `update` is given afterwards.

        Raises:
            DetectorError: Too few rows, or rows that cannot be learnt.
        """
        if self.network is not None:
            self.network.learn(*self.seen(times_ms, values))

    def seen(self, times_ms: Times, values: Floats) -> tuple[Times, Floats]:
        """Return what the detector sees of a series from its beginning: times int64 (m,) and features float64 (m,)."""
        features = feature(self.feature_name, times_ms, values)
        return times_ms[len(times_ms) - len(features) :], features

    def update(self, times_ms: Times, values: Floats, away: npt.NDArray[np.bool_] | None = None) -> Scored:
        """Score rows that follow those of the call before, each before learning from it.

        However the rows are cut into calls, their scores are the same. A return needs the row before: the very first
        row has no score.

        Args:
            times_ms: int64 (n,), UTC epoch ms, strictly increasing, after the last row learnt.
            values: float64 (n,), finite.
            away: bool (n,), rows that people called true or expected: scored as ever, and not learnt as usual. None: no
                such rows.

        Raises:
            DetectorError: Values or times that cannot be scored; names the row. Nothing is learnt then.
        """
        if not len(values):
            return Scored.joined([])
        away = np.zeros(len(values), bool) if away is None else away
        began_ms = np.full(len(values), times_ms[0])
        if self.feature_name == "level":
            scores = update_around(self._detector, times_ms, values, away)
        else:
            last = ([], []) if self._last is None else ([self._last[0]], [self._last[1]])
            whole_ms, whole = np.concatenate([last[0], times_ms]).astype(np.int64), np.concatenate([last[1], values])
            returns = feature(self.feature_name, whole_ms, whole)
            began_ms = began_ms[: len(returns)]
            # The return after such a row, too, says how far away it was.
            spoilt = (away | np.concatenate([[False], away[:-1]]))[len(away) - len(returns) :]
            scores = self._in_units(update_around(self._detector, whole_ms[1:], returns, spoilt), whole)
        self._last = int(times_ms[-1]), float(values[-1])
        return Scored.of(times_ms[len(times_ms) - len(scores) :], scores, began_ms)

    def _in_units(self, scores: OnlineScores, whole: Floats) -> OnlineScores:
        """Return scores whose expectations are values, not returns; `whole` begins with the value before them."""
        expected, lower, upper = (
            value_of(self.feature_name, edge, whole[:-1]) for edge in (scores.expected, scores.lower, scores.upper)
        )
        return replace(scores, actual=whole[1:].copy(), expected=expected, lower=lower, upper=upper)

    def say(
        self,
        dataset: Dataset,
        store: Store,
        series: Series,
        wanted: npt.NDArray[np.bool_],
        *,
        away: Callable[[Times], npt.NDArray[np.bool_]] | None = None,
    ) -> Scored:
        """Score rows, after all rows since those learnt; see `Model.say`.

        Rows up to the last that was learnt (late ones, or of a range that begins earlier) are scored by such a detector
        that starts with the series' first row: none is scored by one that has learnt it.
        """
        times = series.times_ms[wanted]
        if not len(times):
            return Scored.joined([])
        unseen_ms = self.unseen_from_ms or 0
        parts = []
        if times[0] < unseen_ms:
            before = read_series(dataset, store, None, min(unseen_ms - 1, int(times[-1])))
            scored = self.anew().update(before.times_ms, before.values, away and away(before.times_ms))
            parts.append(scored.having_seen(before))
        if times[-1] >= unseen_ms:
            rows = self._since(dataset, store, series, int(times[-1]))
            scored = self.load(self.save()).update(rows.times_ms, rows.values, away and away(rows.times_ms))
            parts.append(scored.having_seen(rows))
        return Scored.joined(parts)

    def _since(self, dataset: Dataset, store: Store, series: Series, to_ms: int) -> Series:
        """Return all rows after those learnt, up to an instant; those of `series` are not read again."""
        first_ms, unseen_ms = int(series.times_ms[0]), self.unseen_from_ms or 0
        kept = (series.times_ms >= unseen_ms) & (series.times_ms <= to_ms)
        known = Series(series.times_ms[kept], series.values[kept])
        return read_series(dataset, store, unseen_ms, first_ms - 1).joined(known) if first_ms > unseen_ms else known

    def anew(self) -> OnlineModel:
        """Return a detector with the same constants that has learnt nothing."""
        kind, config = type(self._detector), self._detector.config
        return OnlineModel(self.feature_name, kind.of(self.network, config) if self.network else kind(config))

    def save(self) -> dict[str, bytes]:
        """Return the detector's files and `series.json`, its place in the series.

        Raises:
            DetectorError: Nothing has been learnt yet.
        """
        parts: dict[str, bytes] = self._detector.save()
        last_ms, last = self._last or (0, 0.0)
        raw = {"format": _FORMAT, "feature": self.feature_name, "last_ms": last_ms, "last_value": last}
        return {**parts, SERIES_JSON: json.dumps(raw, indent=1, sort_keys=True, allow_nan=False).encode()}

    @classmethod
    def load(cls, parts: Mapping[str, bytes]) -> Self:
        """Return the model that `save` wrote.

        Raises:
            DetectorError: A file is missing, damaged, or of a later version than this one reads.
        """
        if SERIES_JSON not in parts:
            raise DetectorError(f"The saved detector lacks {SERIES_JSON}; it has {sorted(parts)}.")
        detector = load_detector(parts)
        try:
            raw: dict[str, Any] = json.loads(parts[SERIES_JSON])
            if raw["format"] != _FORMAT or raw["feature"] not in {"log_return", "level"}:
                raise DetectorError(
                    f"{SERIES_JSON} is of format {raw['format']!r} with the feature {raw['feature']!r}; this version "
                    f"reads format {_FORMAT}. Train again, or use the gridwatch that wrote it."
                )
            last = int(raw["last_ms"]), float(raw["last_value"])
        except (KeyError, TypeError, ValueError) as error:
            raise DetectorError(f"{SERIES_JSON} is damaged: {error!r}.") from error
        model = cls(raw["feature"], detector)
        model._last = last
        return model
