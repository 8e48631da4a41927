"""What an evaluation found, and the arithmetic from judged files to it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gridwatch.detectors.base import Floats
from gridwatch.detectors.evaluation import LEVELS, PROFILES, Events, Profile, Rates, Sweep, every_other, mark, vus_pr
from gridwatch.detectors.registry import Entry, Judged
from gridwatch.sources.labelled import LabelledSeries

__all__ = ["EvaluationReport", "FileReport", "JudgedFile", "KindReport", "ProfileReport", "plain", "summarise"]


@dataclass(frozen=True, slots=True, eq=False)
class JudgedFile:
    """One file and what the detector said of it.

    Attributes:
        series: The file.
        judged: What was said.
        vus_pr: Of `segment_score`; NaN for a file without windows.
        cpu_s: Seconds of processor time, learning included.
    """

    series: LabelledSeries
    judged: Judged
    vus_pr: float
    cpu_s: float

    @classmethod
    def of(cls, series: LabelledSeries, judged: Judged, cpu_s: float) -> JudgedFile:
        """Judge the judgement of one file."""
        return cls(series, judged, vus_pr(judged.segment_score, series.windows), cpu_s)


@dataclass(frozen=True, slots=True)
class ProfileReport:
    """NAB's normalised score for one profile: 100 is perfect, 0 is saying nothing.

    Attributes:
        profile: Its name.
        best: At the threshold that is best for these files, as NAB publishes it.
        best_threshold: That threshold.
        default: At the detector's own default threshold.
        cross_half: Each file at the best threshold of the other half, halves by every other file.
        cross_random_mean: The same, mean over random halves.
        cross_random_sd: Its standard deviation over them.
        cross_random_min: The worst.
        cross_random_max: The best.
    """

    profile: str
    best: float
    best_threshold: float
    default: float
    cross_half: float
    cross_random_mean: float
    cross_random_sd: float
    cross_random_min: float
    cross_random_max: float


@dataclass(frozen=True, slots=True)
class KindReport:
    """What was found of one kind of fault, in folders that tell the kinds.

    Attributes:
        kind: Its name, such as `spike`.
        windows: Windows of it after probation.
        found: Those with an alarm at the detector's default threshold.
    """

    kind: str
    windows: int
    found: int


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file's part.

    Attributes:
        file: `GROUP/FILE.csv`.
        rows: Of the file.
        windows: Windows after probation.
        found: Windows with an alarm, at the best threshold of the standard profile.
        false_rows: Flagged rows outside windows, at that threshold.
        standard: NAB's standard score of this file alone, at that threshold.
        vus_pr: Of `segment_score`.
        repeats: Rows that are not after the row before.
        rows_per_s: Rows scored in a second of processor time.
    """

    file: str
    rows: int
    windows: int
    found: int
    false_rows: int
    standard: float
    vus_pr: float
    repeats: int
    rows_per_s: float


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """How good a detector is on a labelled folder.

    Attributes:
        detector: Its name.
        about: What it is.
        folder: Where the files are.
        files: How many.
        rows: In them.
        windows: Windows after probation.
        threshold: The detector's own default.
        splits: Random halves.
        seed: Of these.
        profiles: NAB's score.
        vus_pr: Of `segment_score`, mean over the files with windows.
        alarms: Runs of flagged rows at the default threshold.
        precision: Share of these that touch a window.
        found: Windows with an alarm at the default threshold.
        recall: Share of the windows.
        false_rows: Flagged rows outside windows at the default threshold.
        false_rows_per_1000: The same of a thousand rows outside windows.
        delay_rows_median: From a found window's beginning to its first alarm.
        realised_over_nominal: By nominal rate, how often ordinary rows had such a p-value, over that rate.
        learn_s: Seconds of processor time that were learnt before scoring, all files.
        rows_per_s: Rows scored in a second of processor time.
        seconds: Duration of the whole.
        per_file: By name.
        per_kind: By kind of fault; none where the folder does not tell.
        run_id: MLflow run; None when not tracked.
    """

    detector: str
    about: str
    folder: str
    files: int
    rows: int
    windows: int
    threshold: float
    splits: int
    seed: int
    profiles: tuple[ProfileReport, ...]
    vus_pr: float
    alarms: int
    precision: float
    found: int
    recall: float
    false_rows: int
    false_rows_per_1000: float
    delay_rows_median: float
    realised_over_nominal: dict[str, float]
    learn_s: float
    rows_per_s: float
    seconds: float
    per_file: tuple[FileReport, ...]
    per_kind: tuple[KindReport, ...] = ()
    run_id: str | None = None

    def metrics(self) -> dict[str, float]:
        """Return the figures by name, those that are numbers."""
        found = {
            f"{profile.profile}_{name}": value
            for profile in self.profiles
            for name, value in asdict(profile).items()
            if name != "profile"
        }
        names = (
            *("vus_pr", "alarms", "precision", "found", "recall", "false_rows", "false_rows_per_1000"),
            *("delay_rows_median", "learn_s", "rows_per_s", "seconds"),
        )
        found |= {name: float(getattr(self, name)) for name in names}
        found |= {f"realised_over_nominal_{level}": value for level, value in self.realised_over_nominal.items()}
        found |= {
            "recall_" + re.sub(r"[^\w./ -]", "_", one.kind): one.found / one.windows
            for one in self.per_kind
            if one.windows
        }
        return {name: value for name, value in found.items() if math.isfinite(value)}


def summarise(
    detector: Entry, folder: str, files: Sequence[JudgedFile], *, splits: int, seed: int, seconds: float
) -> EvaluationReport:
    """Return the report over all files.

    Raises:
        DetectorError: There are no files.
    """
    marked = [mark(file.judged.anomaly_score, file.series.windows) for file in files]
    sweeps = [Sweep.of(marked, profile) for profile in PROFILES]
    profiles = tuple(
        _profile(profile, sweep, detector.threshold, splits=splits, seed=seed)
        for profile, sweep in zip(PROFILES, sweeps, strict=True)
    )
    events = sum((_events(file, detector.threshold) for file in files), Events())
    rates = sum((Rates.of(file.judged.p_value, file.series.windows) for file in files), Rates())
    rows, learn_s = sum(len(file.series) for file in files), sum(file.judged.learn_s for file in files)
    return EvaluationReport(
        detector=detector.name,
        about=detector.about,
        folder=folder,
        files=len(files),
        rows=rows,
        windows=events.windows,
        threshold=detector.threshold,
        splits=splits,
        seed=seed,
        profiles=profiles,
        vus_pr=_mean([file.vus_pr for file in files]),
        alarms=events.alarms,
        precision=events.precision,
        found=events.found,
        recall=events.recall,
        false_rows=events.false_rows,
        false_rows_per_1000=events.false_rows_per_1000,
        delay_rows_median=events.delay_rows_median,
        realised_over_nominal={
            f"{level:.0e}": rate for level, rate in zip(LEVELS, rates.realised_over_nominal, strict=True)
        },
        learn_s=learn_s,
        rows_per_s=_per_second(rows, sum(file.cpu_s for file in files) - learn_s),
        seconds=seconds,
        per_file=tuple(_file(file, sweeps[0], number, profiles[0].best_threshold) for number, file in enumerate(files)),
        per_kind=_kinds(files, detector.threshold),
    )


def _profile(profile: Profile, sweep: Sweep, threshold: float, *, splits: int, seed: int) -> ProfileReport:
    best, best_threshold = sweep.best()
    random = sweep.cross_random(splits, seed)
    return ProfileReport(
        profile=profile.name,
        best=best,
        best_threshold=best_threshold,
        default=sweep.at(threshold),
        cross_half=sweep.cross(every_other(len(sweep.windows))),
        cross_random_mean=_mean(random),
        cross_random_sd=float(random.std()) if len(random) else float("nan"),
        cross_random_min=float(random.min()) if len(random) else float("nan"),
        cross_random_max=float(random.max()) if len(random) else float("nan"),
    )


def _events(file: JudgedFile, threshold: float) -> Events:
    return Events.of(file.judged.anomaly_score, file.series.windows, threshold)


def _kinds(files: Sequence[JudgedFile], threshold: float) -> tuple[KindReport, ...]:
    counted: dict[str, Events] = {}
    for file in files:
        for kind, window in zip(file.series.kinds, file.series.windows, strict=False):
            found = Events.of(file.judged.anomaly_score, [window], threshold)
            counted[kind] = counted.get(kind, Events()) + found
    return tuple(KindReport(kind, events.windows, events.found) for kind, events in sorted(counted.items()))


def _file(file: JudgedFile, sweep: Sweep, number: int, threshold: float) -> FileReport:
    events = _events(file, threshold)
    return FileReport(
        file=file.series.name,
        rows=len(file.series),
        windows=events.windows,
        found=events.found,
        false_rows=events.false_rows,
        standard=sweep.at(threshold, np.arange(len(sweep.windows)) == number),
        vus_pr=file.vus_pr,
        repeats=file.series.repeats,
        rows_per_s=_per_second(len(file.series), file.cpu_s - file.judged.learn_s),
    )


def _mean(values: Sequence[float] | Floats) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(sum(known) / len(known)) if known else float("nan")


def _per_second(rows: int, seconds: float) -> float:
    return rows / max(seconds, 1e-6)


def plain(value: Any) -> Any:
    """Return a report as JSON values: what is not finite, such as a share of nothing, is None."""
    if isinstance(value, EvaluationReport):
        return plain(asdict(value))
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
