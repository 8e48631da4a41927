"""Champion and challenger on the same rows, the newest, which the challenger has not learnt: who is to score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt
import structlog

from gridwatch.detectors import fingerprint
from gridwatch.errors import DetectorError
from gridwatch.pipeline.models import load_model, rule_of
from gridwatch.pipeline.scored import Scored

if TYPE_CHECKING:
    from gridwatch.containers.store import Store
    from gridwatch.detectors.base import Times
    from gridwatch.pipeline.lesson import Lesson
    from gridwatch.pipeline.series import Series
    from gridwatch.sources.dataset import Dataset
    from gridwatch.tracking import ChampionModel

__all__ = ["Trial"]

log = structlog.get_logger(__name__)

_FRESHER = 1.05
"""How many times the champion's error a challenger of the same kind that learns as it goes may have: it is the same
method with a fresher memory, and from a newer state on, a detection has fewer rows to go through again."""


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """How champion and challenger did on the newest rows.

    Attributes:
        scored: What the challenger says of them.
        champion_scored: What the champion says of them; None if there is none that can be read.
        val_mae: The challenger's mean absolute error, in the value's own units.
        champion_mae: The champion's.
        naive_mae: That of expecting the value of the row before.
        anomaly_rate: Share of all learnt rows that the challenger flags.
        val_anomaly_rate: Share of the newest rows that it flags.
        champion_anomaly_rate: Share of them that the champion flags.
        better: Whether the challenger becomes champion.
        why: Why, or why not, in one sentence with the figures.
    """

    scored: Scored
    champion_scored: Scored | None
    val_mae: float
    champion_mae: float | None
    naive_mae: float
    anomaly_rate: float
    val_anomaly_rate: float
    champion_anomaly_rate: float | None
    better: bool
    why: str

    @classmethod
    def run(
        cls,
        dataset: Dataset,
        store: Store,
        series: Series,
        lesson: Lesson,
        reigning: ChampionModel | None,
        *,
        away: Callable[[Times], npt.NDArray[np.bool_]] | None = None,
    ) -> Self:
        """Compare a challenger with the champion so far.

        Args:
            dataset: What both score, and by which threshold.
            store: Where rows before the series are, which a champion may need.
            series: The rows that the challenger was given.
            lesson: The challenger.
            reigning: The champion, if there is one.
            away: Which rows neither of them learns, as `Model.say` takes it.
        """
        newest = lesson.scored.at(series.times_ms[-lesson.held :])
        flagged = rule_of(dataset, lesson.model).flags(lesson.scored)
        ours = _mae(newest)
        theirs, rival, rival_rate, kind, unreadable = None, None, None, "", ""
        if reigning is not None:
            try:
                model = load_model(reigning.parts, dataset)
                kind = model.kind
                wanted = np.arange(len(series)) >= len(series) - lesson.held
                rival = model.say(dataset, store, series, wanted, away=away).at(series.times_ms[wanted])
                theirs, rival_rate = _mae(rival), _rate(rule_of(dataset, model).flags(rival))
            except DetectorError as error:
                # A champion that this version cannot read would otherwise stand in the way of every training.
                unreadable = str(error)
                log.warning("champion_unreadable", dataset=dataset.name, version=reigning.version, reason=unreadable)
        what = f"mean absolute error {ours:.6g} in {dataset.value} on the newest {lesson.held} rows"
        better, why = _judged(lesson, reigning, what, ours, theirs, kind, unreadable)
        return cls(
            scored=newest,
            champion_scored=rival,
            val_mae=ours,
            champion_mae=theirs,
            naive_mae=float(np.abs(np.diff(series.values)[-lesson.held :]).mean()),
            anomaly_rate=_rate(flagged),
            val_anomaly_rate=_rate(rule_of(dataset, lesson.model).flags(newest)),
            champion_anomaly_rate=rival_rate,
            better=better,
            why=why,
        )


def _judged(
    lesson: Lesson,
    reigning: ChampionModel | None,
    what: str,
    ours: float,
    theirs: float | None,
    kind: str,
    unreadable: str,
) -> tuple[bool, str]:
    """Return whether the challenger becomes champion, and why."""
    if reigning is None:
        return True, f"First model of this dataset: {what}."
    if theirs is None:
        return True, f"Version {reigning.version} cannot be read ({unreadable}); {what}."
    there = f"where that one has {theirs:.6g}"
    if kind != lesson.model.kind:
        return (
            True,
            f"The dataset names {lesson.model.kind!r}, and version {reigning.version} is {kind!r}: {what}, {there}.",
        )
    if lesson.model.rule.name != "alarm":
        better = ours < theirs
        return better, f"{'Better' if better else 'Not better'} than version {reigning.version}: {what}, {there}."
    if fingerprint(lesson.parts) == reigning.sha256:
        return False, f"The same as version {reigning.version}, byte for byte: {what}."
    better = ours <= theirs * _FRESHER
    word = "Fresher than version {}, and not clearly worse" if better else "Clearly worse than version {}"
    return better, f"{word.format(reigning.version)}: {what}, {there}."


def _mae(scored: Scored) -> float:
    """Mean absolute error of rows; infinite if the window of a model left none."""
    errors = np.abs(scored.columns["actual"] - scored.columns["expected"])
    return float(errors.mean()) if len(errors) else float("inf")


def _rate(flagged: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float:
    return float(flagged.mean()) if len(flagged) else 0.0
