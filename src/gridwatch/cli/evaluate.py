"""`evaluate`: how good a detector is on a labelled folder."""

from __future__ import annotations

import json
import math
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gridwatch.cli._context import datasets, now_ms, settings, store
from gridwatch.cli._output import print_table, progress, seconds
from gridwatch.errors import ConfigError

if TYPE_CHECKING:
    from gridwatch.pipeline.evaluation_report import EvaluationReport
    from gridwatch.sources.labelled import LabelledSeries

__all__ = ["register"]

_EPILOG = (
    "Examples: gridwatch evaluate nab --detector auto --out scores --json figures.json; "
    "gridwatch evaluate --dataset aapl_daily --from 2010-01-01"
)


def register(app: typer.Typer) -> None:
    """Add the command to the root command."""
    app.command(rich_help_panel="Models", epilog=_EPILOG)(evaluate)


def evaluate(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="DIR", help="With data/GROUP/FILE.csv and labels/combined_windows.json (NAB's layout)."),
    ] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Instead of DIR a dataset and what `gridwatch label` says of it; may repeat."
        ),
    ] = None,
    from_time: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="TIME", help="With --dataset: since when somebody looked. Default: first label."
        ),
    ] = None,
    to_time: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="The same: until when. Default: the last label.")
    ] = None,
    detector: Annotated[str, typer.Option(metavar="NAME", help="Which; --list names them.")] = "auto",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write GROUP/FILE.csv with the scores and report.json there.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Also write JSON to FILE.")] = None,
    plots: Annotated[
        bool | None,
        typer.Option(
            "--plots/--no-plots", help="Draw each file, beside its scores and in MLflow.", show_default="with --track"
        ),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Files judged at the same time.", show_default="cores")
    ] = None,
    splits: Annotated[int, typer.Option(min=0, help="Random halves of the files for the cross-half score.")] = 50,
    seed: Annotated[int, typer.Option(help="Of these halves.")] = 1,
    track: Annotated[bool, typer.Option("--track/--no-track", help="Record an MLflow run.")] = True,
    show: Annotated[bool, typer.Option("--list", help="List the detectors and do nothing.")] = False,
) -> None:
    """Judge a detector on labelled series: NAB's score, VUS-PR, alarms right and wrong, and false-alarm rates.

    Every row is scored before it is learnt. docs/detection.md explains each figure. With --dataset, ranges that were
    called true are what is to be found, those called expected are left out, and all else between is ordinary.
    """
    from gridwatch.detectors.registry import DETECTORS

    if show:
        print_table(
            ("detector", "threshold", "what it is"),
            [(one.name, one.threshold, one.about) for one in DETECTORS.values()],
        )
        return
    if (folder is None) == (not dataset):
        raise typer.BadParameter(
            "name a labelled folder, or datasets with --dataset, or ask for --list", param_hint="DIR"
        )
    if folder is not None and (from_time or to_time):
        raise typer.BadParameter("a labelled folder is judged as a whole; it goes with --dataset", param_hint="--from")
    from gridwatch.pipeline.evaluate import evaluate_series
    from gridwatch.pipeline.evaluation_report import plain

    if folder is not None:
        from gridwatch.sources.labelled import read_labelled

        called, read = str(folder), partial(read_labelled, folder)
    else:
        called, read = f"labels of {', '.join(dataset or [])}", partial(_own, dataset or [], from_time, to_time)

    with progress(f"evaluate {detector}") as shown:
        report = evaluate_series(
            called,
            read,
            detector,
            out=out,
            plots=track if plots is None else plots,
            jobs=jobs or os.cpu_count() or 1,
            splits=splits,
            seed=seed,
            settings=settings() if track else None,
            now_ms=now_ms(),
            progress=shown,
        )
    if json_file is not None:
        try:
            json_file.write_text(json.dumps(plain(report), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"Cannot write {str(json_file)!r}: {error.strerror}.") from error
    _show(report)


def _own(names: list[str], from_time: str | None, to_time: str | None) -> list[LabelledSeries]:
    """Return datasets with what was said of them."""
    from gridwatch.pipeline.label_targets import time_ms
    from gridwatch.pipeline.own_labels import own_labelled

    found = settings(demo=True)
    from_ms = None if from_time is None else time_ms(from_time)
    to_ms = None if to_time is None else time_ms(to_time, last=True)
    with store(found) as opened:
        return [
            own_labelled(one, opened, now_ms=now_ms(), from_ms=from_ms, to_ms=to_ms) for one in datasets(found, names)
        ]


def _show(report: EvaluationReport) -> None:
    typer.echo(f"{report.detector}: {report.files} files, {report.rows:,} rows, {report.windows} windows")
    print_table(
        ("NAB score", "best", "at", "cross-half", "random halves", "sd", "least", "default"),
        [
            (
                one.profile,
                _figure(one.best),
                _figure(one.best_threshold, ".6g"),
                _figure(one.cross_half),
                _figure(one.cross_random_mean),
                _figure(one.cross_random_sd),
                _figure(one.cross_random_min),
                _figure(one.default),
            )
            for one in report.profiles
        ],
        title="100 is perfect, 0 says nothing; best: threshold chosen on these files",
    )
    rates = ", ".join(f"{_figure(rate, '.2f')} at {level}" for level, rate in report.realised_over_nominal.items())
    figures = [
        ("VUS-PR of the segment score", _figure(report.vus_pr, ".3f")),
        (f"alarms at {report.threshold:g} or above", f"{report.alarms:,}"),
        ("of them in a window (precision)", _figure(report.precision, ".1%")),
        ("windows found (recall)", f"{report.found} of {report.windows}, {_figure(report.recall, '.1%')}"),
        ("rows from a window's beginning to its alarm, median", _figure(report.delay_rows_median, ".0f")),
        ("false rows of 1000", _figure(report.false_rows_per_1000, ".2f")),
        ("false-alarm rate over nominal", rates),
        ("learning before scoring, processor time", seconds(report.learn_s)),
        ("rows scored per second of processor time", _figure(report.rows_per_s, ",.0f")),
    ]
    if report.run_id is not None:
        figures.append(("MLflow run", report.run_id))
    print_table(("figure", "value"), figures)
    if report.per_kind:
        print_table(("fault", "windows", "found"), [(one.kind, one.windows, one.found) for one in report.per_kind])


def _figure(value: float, form: str = ".1f") -> str:
    return format(value, form) if math.isfinite(value) else "-"
