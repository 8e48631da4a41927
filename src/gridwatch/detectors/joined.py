"""Detectors of members and streams behind the one interface; each kind says which they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar, Self

import numpy as np

from gridwatch.detectors.base import Floats, Scores, Times, check_series
from gridwatch.detectors.document import JSON, check_enough, document, learnt, read
from gridwatch.detectors.joint import Joint
from gridwatch.detectors.online import AutoConfig, OnlineScores
from gridwatch.detectors.online.ensemble import FORMAT as MEMBERS_FORMAT
from gridwatch.detectors.online.ensemble import check_follows
from gridwatch.detectors.online.layout import LAST_MS
from gridwatch.detectors.streams import Stream

__all__ = ["JoinedDetector"]


class JoinedDetector:
    """Members of the online detectors, and streams of its own; a kind sets what is in capitals.

    Args:
        config: Members and constants; None for the kind's own.
    """

    kind: ClassVar[str]
    CONFIG: ClassVar[AutoConfig]
    MEMBERS_JUDGED: ClassVar[bool] = True
    STREAMS_EXPECT: ClassVar[bool] = False
    FORMAT: ClassVar[int] = 1

    def __init__(self, config: AutoConfig | None = None) -> None:
        self.config = config or self.CONFIG
        self._joint: Joint | None = None

    @property
    def context_rows(self) -> int:
        """No rows need to be given again: what they said is in the state."""
        return 0

    @property
    def rows_min(self) -> int:
        """Fewest rows that `learn` takes."""
        return self.config.warm_rows

    @property
    def rows(self) -> int:
        """How many rows have been learnt."""
        return 0 if self._joint is None else self._joint.rows

    def learn(self, times_ms: Times, values: Floats) -> None:
        """Start anew and learn a series; see `Detector.learn`."""
        check_enough(len(values), self.rows_min, who=self.kind, smaller="warm_rows")
        check_series(times_ms, values)
        self._train(times_ms, values)
        joint = self._new()
        joint.update(times_ms, values)
        self._joint = joint

    def update(self, times_ms: Times, values: Floats) -> OnlineScores:
        """Score rows, then learn them; see `OnlineDetector.update`."""
        check_series(times_ms, values)
        # A copy: a row that a stream refuses must leave nothing learnt.
        joint = self._new() if self._joint is None else self._joint.copy()
        check_follows(times_ms, joint.bank)
        scores = joint.update(times_ms, values)
        self._joint = joint
        return scores

    def score(self, times_ms: Times, values: Floats) -> Scores:
        """Score rows as if they followed those learnt, without learning them; see `Detector.score`."""
        check_series(times_ms, values)
        if self._joint is None:
            return Scores.neutral(values)
        joint = self._joint.copy()
        # Whether they do follow is for the caller to know: a backtest may score rows that were learnt.
        joint.bank.state.counts[:, LAST_MS] = np.iinfo(np.int64).min
        return joint.update(times_ms, values)

    def save(self) -> dict[str, bytes]:
        """Return `detector.json`, `state.npz`, `streams.npz` and what the kind adds; see `Detector.save`."""
        joint = learnt(self._joint)
        told = document(self.kind, self._format(), asdict(self.config), **self._more())
        return {JSON: told, **joint.save(), **self._files()}

    @classmethod
    def load(cls, parts: Mapping[str, bytes]) -> Self:
        """Return the detector that `save` wrote; see `Detector.load`."""
        with read(parts, cls.kind, cls._format()) as raw:
            detector = cls._from(raw, AutoConfig.of(raw["config"]), parts)
        joint = detector._new()
        joint.restore(parts)
        detector._joint = joint
        return detector

    @classmethod
    def _format(cls) -> str:
        """Return the kind's own format and that of the members, whose state is saved with it."""
        return f"{cls.FORMAT}.{MEMBERS_FORMAT}"

    def _train(self, times_ms: Times, values: Floats) -> None:
        """Learn what is learnt once, before the rows are taken one by one."""

    def _streams(self) -> list[Stream]:
        """Return the streams, at the start of a series."""
        raise NotImplementedError

    def _more(self) -> dict[str, Any]:
        """Return what the kind adds to `detector.json`."""
        return {}

    def _files(self) -> dict[str, bytes]:
        """Return the files that the kind adds."""
        return {}

    @classmethod
    def _from(cls, raw: Mapping[str, Any], config: AutoConfig, parts: Mapping[str, bytes]) -> Self:
        """Return a detector that has learnt what is learnt once."""
        return cls(config)

    def _new(self) -> Joint:
        return Joint(
            self.config, self._streams(), members_judged=self.MEMBERS_JUDGED, streams_expect=self.STREAMS_EXPECT
        )
