"""Variants of the `auto` detector on labelled folders: each with random draws of its constants, over random halves.

One set of constants that is best on some files says little of others. A variant is judged here by the mean over draws
of its constants, on several folders, by the score of files at the threshold of the half that they are not in. Every
trial is an MLflow run below one of its own; how many there were is printed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from gridwatch.detectors.evaluation import PROFILES, Sweep, mark, vus_pr
from gridwatch.detectors.online import AutoConfig, Bank
from gridwatch.settings import Settings, load_settings
from gridwatch.sources.labelled import LabelledSeries, read_labelled
from gridwatch.tracking.client import mlflow_client
from gridwatch.tracking.recording import experiment_of

__all__ = ["VARIANTS", "Trial", "drawn", "judge", "main", "record", "run"]

VARIANTS: dict[str, Callable[[AutoConfig], AutoConfig]] = {
    "auto": lambda config: config,
    "light": lambda config: replace(config, shape=(), nearest=0),
    "no value": lambda config: replace(config, value=False),
    "no seasonal": lambda config: replace(config, seasonal=False),
    "no deviation": lambda config: replace(config, deviation=()),
    "no change": lambda config: replace(config, change=()),
    "no ewma": lambda config: replace(config, ewma=()),
    "no forecast": lambda config: replace(config, forecast=0),
    "no aligned": lambda config: replace(config, aligned=()),
    "no flat": lambda config: replace(config, flat=False),
    "flat from the second row": lambda config: replace(config, flat_rows=1),
    "seasonal everywhere": lambda config: replace(config, season_share=0.0),
    "mean too": lambda config: replace(config, mean=(48,)),
    "hold in rows": lambda config: replace(config, hold_rows_min=config.hold_rows),
    "greatest alone": lambda config: replace(config, mean_weight=0.0),
    "1000 lags": lambda config: replace(config, lag_max=1000),
}
"""What is changed, whatever the constants are."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One configuration on one folder.

    Attributes:
        variant: Which.
        draw: 0 for the constants as they are, else the number of the draw.
        folder: Name of the folder.
        best: NAB's standard score at the best threshold.
        halves: The same at the other half's threshold, one for each split.
        vus: VUS-PR of the segment score, 0 to 1.
    """

    variant: str
    draw: int
    folder: str
    best: float
    halves: tuple[float, ...]
    vus: float


def drawn(config: AutoConfig, seed: int) -> AutoConfig:
    """Return the same structure with other constants, each by a factor of up to 1.5 either way; 0: the same constants.

    >>> drawn(AutoConfig(), 0) == AutoConfig(), drawn(AutoConfig(), 3) == drawn(AutoConfig(), 3)
    (True, True)
    """
    if seed == 0:
        return config
    random = np.random.default_rng(seed)

    def near(number: float) -> int:
        return max(round(number * float(np.exp(random.uniform(-0.4, 0.4)))), 2)

    widths = {name: tuple(near(width) for width in getattr(config, name)) for name in ("deviation", "mean", "change")}
    widths |= {name: tuple(near(width) for width in getattr(config, name)) for name in ("ewma", "aligned")}
    shape = tuple(near(width) for width in config.shape)
    return replace(
        config,
        **widths,  # type: ignore[arg-type]
        shape=shape,
        nearest=shape[config.shape.index(config.nearest)] if config.nearest else 0,
        lag_max=near(config.lag_max),
        days=near(config.days),
        seasons=near(config.seasons),
        tail_share=config.tail_share * float(np.exp(random.uniform(-0.5, 0.5))),
        tail_rows_min=near(config.tail_rows_min),
        tail_shape=config.tail_shape * float(np.exp(random.uniform(-0.5, 0.5))),
        mean_weight=config.mean_weight * float(np.exp(random.uniform(-0.4, 0.4))),
        hold_rows=near(config.hold_rows),
        dead_rows=near(config.dead_rows),
    )


def judge(config: AutoConfig, series: Sequence[LabelledSeries], splits: int) -> tuple[float, tuple[float, ...], float]:
    """Return the best score, that of each split, and VUS-PR, of one configuration on the files of a folder."""
    marked, areas = [], []
    for one in series:
        scores = Bank(config).update(one.times_ms, one.values[None])
        marked.append(mark(scores.alarm[0], one.windows))
        if one.windows:
            areas.append(vus_pr(scores.segment[0], one.windows))
    # Rows without an alarm are flagged by no threshold.
    files = [replace(file, score=np.where(file.score > 0.0, file.score, -np.inf)) for file in marked]
    sweep = Sweep.of(files, PROFILES[0])
    return sweep.best()[0], tuple(sweep.cross_random(splits, 1).tolist()), float(np.mean(areas))


def run(
    folders: Mapping[str, Sequence[LabelledSeries]], variants: Sequence[str], draws: int, splits: int
) -> list[Trial]:
    """Return a trial for each variant, draw and folder."""
    trials = []
    with Console(stderr=True).status("...") as status:
        for variant in variants:
            for draw in range(draws + 1):
                config = VARIANTS[variant](drawn(AutoConfig(), draw))
                for name, series in folders.items():
                    status.update(f"{variant}, draw {draw} of {draws}, {name} ...")
                    trials.append(Trial(variant, draw, name, *judge(config, series, splits)))
    return trials


def record(settings: Settings, trials: Sequence[Trial], started_ms: int) -> str:
    """Write each trial to MLflow, below one run of the experiment's sibling `...-trials`; return the id of that run."""
    from mlflow.entities import Metric, Param

    with mlflow_client(settings) as client:
        experiment = experiment_of(client, settings, "-trials")
        parent = str(client.create_run(experiment, start_time=started_ms, run_name="trials").info.run_id)
        client.log_batch(parent, metrics=[Metric("trials", float(len(trials)), started_ms, 0)])
        for trial in trials:
            tags = {"mlflow.parentRunId": parent}
            name = f"{trial.variant}, draw {trial.draw}, {trial.folder}"
            child = str(client.create_run(experiment, start_time=started_ms, tags=tags, run_name=name).info.run_id)
            params = [Param(key, str(getattr(trial, key))) for key in ("variant", "draw", "folder")]
            constants = asdict(VARIANTS[trial.variant](drawn(AutoConfig(), trial.draw)))
            params += [Param(key, str(value)) for key, value in constants.items()]
            figures = {"best": trial.best, "halves": float(np.mean(trial.halves)), "vus": trial.vus}
            figures["halves_sd"] = float(np.std(trial.halves))
            client.log_batch(
                child, params=params, metrics=[Metric(key, value, started_ms, 0) for key, value in figures.items()]
            )
            client.set_terminated(child, "FINISHED")
        client.set_terminated(parent, "FINISHED")
    return parent


def _table(trials: Sequence[Trial]) -> Table:
    folders, variants = dict.fromkeys(one.folder for one in trials), dict.fromkeys(one.variant for one in trials)
    table = Table(title="mean over draws: best, random halves (sd over draws), VUS-PR")
    for heading in ("variant", *folders, "mean"):
        table.add_column(heading, justify="left" if heading == "variant" else "right")
    for variant in variants:
        cells, means = [], []
        for folder in folders:
            some = [one for one in trials if (one.variant, one.folder) == (variant, folder)]
            halves = [float(np.mean(one.halves)) for one in some]
            means.append((np.mean([one.best for one in some]), np.mean(halves), np.mean([one.vus for one in some])))
            cells.append(f"{means[-1][0]:.1f}, {means[-1][1]:.1f} ({np.std(halves):.1f}), {means[-1][2]:.3f}")
        best, half, vus = np.mean(means, axis=0)
        table.add_row(variant, *cells, f"{best:.1f}, {half:.1f}, {vus:.3f}")
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the trials, print their distribution; return the exit status."""
    parser = argparse.ArgumentParser(prog="gridwatch bench trials", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="labelled folder, as `evaluate` reads it")
    parser.add_argument("--variant", action="append", choices=sorted(VARIANTS), help="which, again for more (all)")
    parser.add_argument("--draws", type=int, default=2, metavar="N", help="random sets of constants beside the present")
    parser.add_argument("--splits", type=int, default=20, metavar="N", help="random halves")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every trial to FILE as JSON")
    parser.add_argument("--no-track", action="store_true", help="no MLflow runs")
    options = parser.parse_args(arguments)
    if min(options.draws, options.splits - 1) < 0:
        parser.error("--draws is 0 or more, --splits 1 or more")
    started_ms = time.time_ns() // 1_000_000
    folders = {folder.resolve().name: read_labelled(folder) for folder in options.folders}
    trials = run(folders, options.variant or list(VARIANTS), options.draws, options.splits)
    console = Console(width=200)
    console.print(_table(trials))
    console.print(f"{len(trials)} trials, each with {options.splits} random halves.")
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in trials], indent=1) + "\n", encoding="utf-8")
    if not options.no_track:
        console.print(f"MLflow run {record(load_settings(), trials, started_ms)}")
    return 0
