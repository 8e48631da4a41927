"""A champion or challenger of any kind: scores rows of a dataset, whatever it needs to read of the store for that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from gridwatch.detectors import Limit, LstmConfig, LstmDetector
from gridwatch.pipeline.scored import Rule, Scored
from gridwatch.pipeline.series import Series, rows_before

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridwatch.containers.store import Store
    from gridwatch.detectors.base import Times
    from gridwatch.detectors.online import AutoConfig
    from gridwatch.sources.dataset import Dataset

__all__ = ["Model", "WindowModel", "load_model", "network_of", "new_lstm", "rule_of", "stretches"]


class Model(Protocol):
    """A detector that has learnt a dataset."""

    @property
    def kind(self) -> str:
        """Short name of the method, such as `lstm`; part of an anomaly's key."""

    @property
    def unseen_from_ms(self) -> int | None:
        """From when on it has not learnt the rows, UTC epoch ms; None before learning."""

    @property
    def rule(self) -> Rule:
        """What is an anomaly unless the dataset says otherwise."""

    @property
    def config(self) -> AutoConfig | None:
        """Constants of a detector that learns as it goes; None for others."""

    def say(
        self,
        dataset: Dataset,
        store: Store,
        series: Series,
        wanted: npt.NDArray[np.bool_],
        *,
        away: Callable[[Times], npt.NDArray[np.bool_]] | None = None,
    ) -> Scored:
        """Score rows, each from itself and those before it; others that are gone through on the way may come along.

        Args:
            dataset: Whose rows.
            store: Where earlier rows are.
            series: Rows of the dataset without gaps of our making: all that there are in a range.
            wanted: bool (n,), which of them to score; those with too little history are left out all the same.
            away: Which rows of given times, int64 (m,), people called out of the ordinary, bool (m,): a model that goes
                on learning does not learn those.
        """


def load_model(parts: Mapping[str, bytes], dataset: Dataset) -> Model:
    """Return the model that was saved.

    Raises:
        DetectorError: A file is missing, damaged, or of a later version than this one reads.
    """
    from gridwatch.pipeline.online import SERIES_JSON, OnlineModel

    return OnlineModel.load(parts) if SERIES_JSON in parts else WindowModel(LstmDetector.load(parts), dataset)


def rule_of(dataset: Dataset, model: Model) -> Rule:
    """Return the dataset's threshold where the model knows it, else the model's own.

    A file may name another kind of detector than that of the champion, until the next training.
    """
    return _rule(dataset, model.rule)


def _rule(dataset: Dataset, own: Rule) -> Rule:
    threshold = dataset.threshold
    by_alarm = threshold.rule == "alarm"
    named = dataset.detector.online
    if by_alarm != (own.name == "alarm") and by_alarm == named:
        return own
    return Rule(threshold.rule, own.value if threshold.value is None else threshold.value)


def new_lstm(dataset: Dataset, on_epoch: Callable[[int, int, dict[str, float]], None] | None = None) -> LstmDetector:
    """Return an untrained LSTM as the dataset file asks for."""
    rule = _rule(dataset, WindowModel.rule)
    limit = Limit(rule.name, rule.value)
    return LstmDetector(dataset.feature, network_of(dataset), limit=limit, on_epoch=on_epoch)


def network_of(dataset: Dataset) -> LstmConfig:
    """Return size and training of an LSTM as the dataset file asks for."""
    chosen: dict[str, Any] = dataset.model.model_dump(exclude={"kind", "units"})
    return LstmConfig(units=tuple(dataset.model.units), **chosen)


class WindowModel:
    """The trained LSTM: a row's score depends on the window before it.

    Args:
        detector: What has learnt.
        dataset: Whose threshold its band is drawn at.
    """

    kind = LstmDetector.kind
    rule = Rule("score", 95.0)
    config = None

    def __init__(self, detector: LstmDetector, dataset: Dataset) -> None:
        limit = _rule(dataset, self.rule)
        self.detector = detector.with_limit(Limit(limit.name, limit.value))

    @property
    def unseen_from_ms(self) -> int | None:
        """Time of the first row that was kept from training, UTC epoch ms."""
        return self.detector.unseen_from_ms

    def say(
        self,
        dataset: Dataset,
        store: Store,
        series: Series,
        wanted: npt.NDArray[np.bool_],
        *,
        away: Callable[[Times], npt.NDArray[np.bool_]] | None = None,
    ) -> Scored:
        """Score rows; see `Model.say`."""
        context = self.detector.context_rows
        lead = Series(series.times_ms[:0], series.values[:0])
        if wanted[:context].any():
            lead = rows_before(dataset, store, int(series.times_ms[0]), context)
        whole, wanted = lead.joined(series), np.concatenate([np.zeros(len(lead), bool), wanted])
        parts = []
        for first, last in stretches(wanted, context):
            begin = max(first - context, 0)
            scores = self.detector.score(whole.times_ms[begin:last], whole.values[begin:last])
            inputs = whole.times_ms[np.maximum(np.arange(begin, last) - context, 0)]
            scored = Scored.of(whole.times_ms[begin:last], scores, inputs)
            parts.append(scored.at(whole.times_ms[begin:last][wanted[begin:last]]))
        return Scored.joined(parts).having_seen(whole)


def stretches(wanted: npt.NDArray[np.bool_], gap: int) -> Iterator[tuple[int, int]]:
    """Yield first and one past the last row of each stretch of wanted rows; those nearer than `gap` are one."""
    rows = np.flatnonzero(wanted)
    if not len(rows):
        return
    breaks = np.flatnonzero(np.diff(rows) > gap)
    for first, last in zip(np.concatenate([[0], breaks + 1]), np.concatenate([breaks, [len(rows) - 1]]), strict=True):
        yield int(rows[first]), int(rows[last]) + 1
