"""Detectors side by side on a dataset's own rows: each learns the same, scores the same, and flags by its own rule."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from gridwatch.detectors.labels import Labels
from gridwatch.errors import DatasetError, DetectorError
from gridwatch.pipeline.judging import judge
from gridwatch.pipeline.lesson import learn
from gridwatch.pipeline.models import rule_of
from gridwatch.pipeline.series import read_series
from gridwatch.pipeline.train import training_series
from gridwatch.sources.dataset import Dataset, DetectorChoice

if TYPE_CHECKING:
    from gridwatch.containers.store import Store
    from gridwatch.pipeline.scored import Rule, Scored

__all__ = ["Side", "compare", "with_detector"]


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """What one detector says.

    Attributes:
        detector: Its name.
        feature: What of the value it looks at.
        rule: By which its rows are flagged.
        scored: The rows of the scoring range, oldest first.
        flagged: bool (n,), which of them it flags.
        learn_s: How long it took to learn, in seconds.
    """

    detector: str
    feature: str
    rule: Rule
    scored: Scored
    flagged: npt.NDArray[np.bool_]
    learn_s: float

    def summary(self) -> dict[str, object]:
        """Return its figures as plain values."""
        flagged_ms = self.scored.times_ms[self.flagged]
        return {
            "detector": self.detector,
            "feature": self.feature,
            "rule": self.rule.name,
            "threshold": self.rule.value,
            "scored": len(self.scored),
            "anomalies": len(flagged_ms),
            "share": len(flagged_ms) / max(len(self.scored), 1),
            "times_ms": flagged_ms.tolist(),
            "learn_s": self.learn_s,
        }


def with_detector(dataset: Dataset, detector: str) -> Dataset:
    """Return a dataset with another detector, and what that one has where the file does not say for it.

    Raises:
        DatasetError: No detector has such a name.
    """
    if detector == dataset.detector.type:
        return dataset
    kept = dataset.model_dump(exclude={"threshold", "detector"} | ({"feature"} if detector == "lstm-fixed" else set()))
    try:
        return Dataset.model_validate(kept | {"detector": {"type": detector}})
    except ValidationError as error:
        known = get_args(DetectorChoice.model_fields["type"].annotation)
        raise DatasetError(f"No detector is called {detector!r}; there are {', '.join(map(repr, known))}.") from error


def compare(
    dataset: Dataset,
    store: Store,
    detectors: Sequence[str],
    *,
    now_ms: int,
    progress: Callable[[str], None] | None = None,
) -> list[Side]:
    """Let detectors learn the training range and score the scoring range, in memory; nothing is written.

    Args:
        dataset: Whose rows; detectors that it does not name have their own defaults.
        store: Where its rows are.
        detectors: Their names.
        now_ms: The present, UTC epoch ms; later rows do not count.
        progress: Told the name of each detector as it begins.

    Raises:
        ContainerNotFoundError: Nothing has been loaded.
        DatasetError: No detector has such a name.
        DetectorError: Too few rows, rows that cannot be learnt, or none to score.
    """
    series = training_series(dataset, store, now_ms)
    start_ms, end_ms = dataset.range_ms(dataset.scoring)
    sides = []
    for name in detectors:
        if progress:
            progress(name)
        own, began_s = with_detector(dataset, name), time.monotonic()
        lesson = learn(own, series)
        learn_s = time.monotonic() - began_s
        # An open range begins with the rows that were kept from training, as detection's does.
        first_ms = int(series.times_ms[-lesson.held]) if start_ms is None else start_ms
        rows = read_series(own, store, first_ms, now_ms if end_ms is None else min(end_ms, now_ms))
        if not len(rows):
            raise DetectorError(f"Dataset {dataset.name!r} has no rows in its scoring range; correct it, or load them.")
        said, rule = lesson.model.say(own, store, rows, np.ones(len(rows), bool)), rule_of(own, lesson.model)
        inside = np.isin(said.times_ms, rows.times_ms)
        flagged = judge(said, rule, Labels(), now_ms=now_ms).flagged
        sides.append(Side(name, own.feature, rule, said.pick(inside), flagged[inside], learn_s))
    return sides
