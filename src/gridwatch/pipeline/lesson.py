"""What one training has learnt: a model of the kind that the dataset names, and the newest rows kept from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from gridwatch.detectors import LstmDetector
from gridwatch.errors import DetectorError
from gridwatch.pipeline.models import Model, WindowModel, network_of, new_lstm
from gridwatch.pipeline.online import OnlineModel
from gridwatch.pipeline.scored import Scored

if TYPE_CHECKING:
    import numpy.typing as npt

    from gridwatch.pipeline.series import Series
    from gridwatch.sources.dataset import Dataset

__all__ = ["Lesson", "learn"]

_HELD_ROWS_MIN = 5


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """A model that has learnt all but the newest rows of a series.

    Attributes:
        model: What has learnt.
        parts: Its bytes by file name: the state before the rows that were kept from it.
        scored: What it says of the rows of the series, those that were kept included.
        held: How many rows were kept from it.
        params: What was chosen.
        epochs: `loss`, `val_loss` and `seconds` of each epoch; none where nothing is trained.
        best_epoch: Number from 1 of the epoch whose weights were kept; 0 where nothing is trained.
        network: The Keras model, where there is one.
        example: Windows float32 (n, window, 1) as the network takes them, where there is one.
    """

    model: Model
    parts: Mapping[str, bytes]
    scored: Scored
    held: int
    params: Mapping[str, Any]
    epochs: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    network: Any = None
    example: npt.NDArray[np.float32] | None = None

    @property
    def val_loss(self) -> float | None:
        """Mean squared error on the kept rows, in standard deviations of the feature; None where nothing is trained."""
        return self.epochs[self.best_epoch - 1]["val_loss"] if self.epochs else None


def learn(
    dataset: Dataset,
    series: Series,
    progress: Callable[[int, int | None], None] | None = None,
    *,
    away: npt.NDArray[np.bool_] | None = None,
) -> Lesson:
    """Learn a series with the detector that the dataset names, its newest rows kept from it.

    Args:
        dataset: Detector, feature, threshold.
        series: What to learn.
        progress: Told the epochs done, of at most how many, where there are epochs.
        away: bool (n,), rows that people called out of the ordinary; what learns as it goes does not learn them.

    Raises:
        DetectorError: Too few rows, or rows that cannot be learnt.
    """
    on_epoch = None if progress is None else lambda epoch, most, _row: progress(epoch, most)
    if dataset.detector.online:
        return _online(
            dataset,
            series,
            OnlineModel(dataset.feature, dataset.detector.type, network=network_of(dataset), on_epoch=on_epoch),
            np.zeros(len(series), bool) if away is None else away,
        )
    detector = new_lstm(dataset, on_epoch)
    detector.learn(series.times_ms, series.values)
    return _trained(dataset, series, detector)


def _trained(dataset: Dataset, series: Series, detector: LstmDetector) -> Lesson:
    if detector.trained is None:
        raise DetectorError("The detector has not been trained in this process.")
    model = WindowModel(detector, dataset)
    scores = detector.score(series.times_ms, series.values)
    return Lesson(
        model,
        parts=detector.save(),
        scored=Scored.of(series.times_ms, scores, series.times_ms),
        held=detector.validation_rows(len(series)),
        params=dataset.model.model_dump(),
        epochs=detector.trained.history,
        best_epoch=detector.trained.best_epoch,
        network=detector.trained.model,
        example=detector.example(series.times_ms, series.values),
    )


def _online(dataset: Dataset, series: Series, model: OnlineModel, away: npt.NDArray[np.bool_]) -> Lesson:
    held = max(round(len(series) * dataset.model.validation_fraction), _HELD_ROWS_MIN)
    learnt = len(series) - held
    if learnt < model.rows_min:
        raise DetectorError(
            f"{len(series)} rows are too few to learn from: {model.kind!r} needs at least {model.rows_min + held}, of "
            f"which the newest {held} are kept for comparison. Load more history.",
            rows=len(series),
            rows_min=model.rows_min + held,
        )
    model.train(series.times_ms[:learnt], series.values[:learnt])
    trained = None if model.network is None else model.network.trained
    seen = model.update(series.times_ms[:learnt], series.values[:learnt], away[:learnt])
    parts = model.save()
    unseen = model.update(series.times_ms[learnt:], series.values[learnt:], away[learnt:])
    own = dataset.model.model_dump() if trained else {"validation_fraction": dataset.model.validation_fraction}
    return Lesson(
        OnlineModel.load(parts),
        parts=parts,
        scored=Scored.joined([seen, unseen]),
        held=held,
        params={**asdict(model.config), **own},
        epochs=trained.history if trained else [],
        best_epoch=trained.best_epoch if trained else 0,
        network=trained.model if trained else None,
        example=model.network.example(*model.seen(series.times_ms, series.values)) if model.network else None,
    )
