"""Which scored rows are anomalies: the rule, and what people have said of the series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from gridwatch.detectors.adaptation import adapt_rows
from gridwatch.detectors.labels import kinds_of

if TYPE_CHECKING:
    from gridwatch.detectors.labels import Labels
    from gridwatch.detectors.online import AutoConfig
    from gridwatch.pipeline.scored import Rule, Scored

__all__ = ["Verdicts", "judge"]


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts:
    """What becomes of scored rows.

    Attributes:
        flagged: bool (n,), which are anomalies.
        right: int64 (n,), how many alarms like it people have called true.
        wrong: int64 (n,), how many they have called false.
    """

    flagged: npt.NDArray[np.bool_]
    right: npt.NDArray[np.int64]
    wrong: npt.NDArray[np.int64]

    def pick(self, rows: npt.NDArray[np.bool_]) -> Self:
        """Return those of some of the rows, bool (n,)."""
        return type(self)(self.flagged[rows], self.right[rows], self.wrong[rows])

    def told(self, place: int) -> str:
        """Return in a sentence what people have said of alarms like that of one row; empty for nothing."""
        right, wrong = int(self.right[place]), int(self.wrong[place])
        if not right and not wrong:
            return ""
        return f"Of alarms like it, people have called {right} true and {wrong} false."


def judge(scored: Scored, rule: Rule, labels: Labels, *, now_ms: int, config: AutoConfig | None = None) -> Verdicts:
    """Say which rows are anomalies, as labels that were given until now teach.

    A range that is called expected has no anomalies, whatever the rule. What was called true or false changes the
    alarms of detectors that learn as they go; the calibrated score and the fixed miss stay as they are.

    Args:
        scored: All rows that were gone through: which alarms are held back depends on those before.
        rule: The threshold.
        labels: As `read_labels` gives them.
        now_ms: The present, UTC epoch ms.
        config: Constants of the detector, which say how alarms are held back; None for those of `auto`.
    """
    none = np.zeros(len(scored), np.int64)
    if not len(scored) or not labels.labels:
        return Verdicts(rule.flags(scored), none, none)
    if rule.name != "alarm":
        return Verdicts(rule.flags(scored) & ~labels.said("expected", scored.times_ms, now_ms), none, none)
    said = scored.columns
    adapted = adapt_rows(
        labels,
        scored.times_ms,
        said["surprise"],
        said["anomaly_score"],
        kinds_of(scored.drivers.tolist(), said["actual"], said["expected"]),
        threshold=rule.value,
        scored_ms=now_ms,
        config=config,
    )
    return Verdicts(adapted.flags, adapted.right, adapted.wrong)
