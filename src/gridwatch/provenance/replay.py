"""`replay`: an anomaly's numbers computed again from the stored bytes and rows, and held against its row bit by bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gridwatch.errors import GridwatchError
from gridwatch.pipeline.anomaly_rows import library_versions
from gridwatch.provenance.job_again import job_again
from gridwatch.provenance.scored_again import scored_again

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.provenance.again import Again
    from gridwatch.provenance.subject import Subject
    from gridwatch.settings import Settings

__all__ = ["Compared", "Replay", "replay"]


@dataclass(frozen=True, slots=True)
class Compared:
    """One column: as it is stored, and computed again."""

    column: str
    stored: Any
    again: Any

    @property
    def equal(self) -> bool:
        """Whether they are the same, numbers to the last bit."""
        return bool(self.stored == self.again)


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of computing an anomaly again.

    Attributes:
        id: Of the anomaly.
        container: Where it is.
        ts_ms: Time of the row, UTC epoch ms.
        detector: What found it.
        verdict: `bit-equal`, `differs`, or `not replayed`.
        text: What it was computed from, and what may be the cause of a difference, in a sentence.
        columns: All that were compared; none where it was not replayed.
        rows: How many rows were gone through.
        flagged: Whether it is an anomaly again; None where it was not replayed.
        hints: What has changed since and may be the cause of a difference.
    """

    id: str
    container: str
    ts_ms: int
    detector: str
    verdict: str
    text: str
    columns: list[Compared] = field(default_factory=list)
    rows: int = 0
    flagged: bool | None = None
    hints: list[str] = field(default_factory=list)

    @property
    def differing(self) -> list[Compared]:
        """Columns that are not the same."""
        return [one for one in self.columns if not one.equal]


def replay(
    store: Store,
    settings: Settings,
    wanted: Sequence[Subject],
    *,
    now_ms: int,
    progress: Callable[[int, int | None], None] | None = None,
) -> list[Replay]:
    """Compute anomalies again; those of one model, beginning and moment in one pass, as each score is causal.

    One that cannot be computed again says why, and keeps no other back.

    Args:
        store: Holds rows, labels, jobs.
        settings: MLflow, and the home folder where models are kept.
        wanted: The anomalies.
        now_ms: The present, UTC epoch ms; what `now` in a datafeed's query means.
        progress: Told the anomalies done, of how many.

    Returns:
        One each, in the same order.
    """
    done: dict[str, Replay] = {}
    for group in _groups(wanted).values():
        try:
            if group[0].job_id is not None:
                found = job_again(store, settings, group, now_ms=now_ms)
            else:
                found = scored_again(store, settings, group)
        except GridwatchError as error:
            found = {one.id: str(error) for one in group}
        done |= {one.id: _compared(one, found[one.id]) for one in group}
        if progress is not None:
            progress(len(done), len(wanted))
    return [done[one.id] for one in wanted]


def _groups(wanted: Sequence[Subject]) -> dict[tuple[Any, ...], list[Subject]]:
    """Return anomalies by what they can be computed from in one pass."""
    groups: dict[tuple[Any, ...], list[Subject]] = {}
    for one in wanted:
        shared = ("source", "source_column", "model_sha256", "input_from_ms", "scored_ms", "detected_ms")
        key = (one.container, *((one.job_id,) if one.job_id else (one[column] for column in shared)))
        groups.setdefault(key, []).append(one)
    return groups


def _compared(subject: Subject, again: Again | str) -> Replay:
    said = (subject.id, subject.container, subject.ts_ms, str(subject["detector"] or ""))
    if isinstance(again, str):
        return Replay(*said, "not replayed", again)
    columns = [Compared(name, subject[name], again.columns.get(name)) for name in again.compared]
    differing = [one for one in columns if not one.equal]
    hints = list(again.hints)
    then = subject.said.get("libraries")
    if isinstance(then, dict) and then != library_versions():
        hints.append("other versions of the libraries scored it (`gridwatch explain` names them)")
    verdict = "differs" if differing else "bit-equal"
    text = f"{again.text} {'The numbers differ' if differing else 'Every number is the same, bit by bit'}."
    if differing and hints:
        text += f" What may be the cause: {'; '.join(hints)}."
    return Replay(*said, verdict, text, columns, again.rows, again.flagged, hints)
