"""How good each detector is on a labelled folder: the two tables of docs/detection.md, from one command.

Every detector is judged as `gridwatch evaluate` judges it, with the same halves, and kept as a run of MLflow's.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path

import structlog
from rich.console import Console
from rich.table import Table

from gridwatch.detectors.registry import DETECTORS
from gridwatch.pipeline.evaluate import evaluate
from gridwatch.pipeline.evaluation_report import EvaluationReport, plain
from gridwatch.settings import load_settings

__all__ = ["PROFILES", "STREAMS", "main", "profile_rows", "stream_row"]

PROFILES = ("detector", "profile", "best", "cross-half", "random halves (sd, least)", "default")
"""Headings of NAB's scores."""

STREAMS = (
    *("detector", "VUS-PR", "alarms (at)", "precision", "recall", "false rows of 1000", "delay, rows"),
    *("rate over nominal at 1e-2, 1e-3, 1e-4", "learning, s", "rows/s"),
)
"""Headings of all else."""


def profile_rows(report: EvaluationReport) -> list[tuple[str, ...]]:
    """Return a row for each profile."""
    return [
        (
            f"`{report.detector}`",
            one.profile,
            _figure(one.best, ".1f"),
            _figure(one.cross_half, ".1f"),
            f"{_figure(one.cross_random_mean, '.1f')} "
            f"({_figure(one.cross_random_sd, '.1f')}, {_figure(one.cross_random_min, '.1f')})",
            _figure(one.default, ".1f"),
        )
        for one in report.profiles
    ]


def stream_row(report: EvaluationReport) -> tuple[str, ...]:
    """Return what else is told of a detector."""
    return (
        f"`{report.detector}`",
        _figure(report.vus_pr, ".3f"),
        f"{report.alarms:,} ({report.threshold:g})",
        _figure(report.precision, ".1%"),
        _figure(report.recall, ".1%"),
        _figure(report.false_rows_per_1000, ".2f"),
        _figure(report.delay_rows_median, ".0f"),
        ", ".join(_figure(rate, ".2f") for rate in report.realised_over_nominal.values()),
        f"{report.learn_s:.0f}",
        _figure(report.rows_per_s, ",.0f"),
    )


def _figure(value: float, form: str) -> str:
    return "-" if math.isnan(value) else format(value, form)


def _markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = (headings, ("---",) * len(headings))
    return "".join(
        f"|{'|'.join(cells)}|\n" if cells[0] == "---" else f"| {' | '.join(cells)} |\n" for cells in (*lines, *rows)
    )


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table()
    for heading in headings:
        table.add_column(heading, justify="left" if heading in {"detector", "profile"} else "right")
    for row in rows:
        table.add_row(*(cell.strip("`") for cell in row))
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge the detectors, print both tables; return the exit status."""
    parser = argparse.ArgumentParser(prog="gridwatch bench scores", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="labelled folder, as `gridwatch evaluate` reads it")
    parser.add_argument(
        "--detector", action="append", choices=list(DETECTORS), metavar="NAME", help="which, again for more (all)"
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="files judged at the same time (1)")
    parser.add_argument("--splits", type=int, default=50, metavar="N", help="random halves (50)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write both tables to FILE as Markdown")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the whole reports to FILE as JSON")
    parser.add_argument("--no-track", action="store_true", help="no MLflow runs")
    options = parser.parse_args(arguments)
    # What each evaluation logs says no more than the tables.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    settings = None if options.no_track else load_settings()
    reports = []
    with Console(stderr=True).status("...") as status:
        for name in options.detector or list(DETECTORS):
            status.update(f"{name} ...")
            reports.append(
                evaluate(
                    options.folder,
                    name,
                    plots=settings is not None,
                    jobs=options.jobs,
                    splits=options.splits,
                    settings=settings,
                    now_ms=time.time_ns() // 1_000_000,
                )
            )
    tables = (
        (PROFILES, [row for report in reports for row in profile_rows(report)]),
        (STREAMS, [stream_row(report) for report in reports]),
    )
    console = Console(width=160)
    for headings, rows in tables:
        console.print(_table(headings, rows))
    if options.markdown:
        text = "\n".join(_markdown(headings, rows) for headings, rows in tables)
        options.markdown.write_text(text, encoding="utf-8")
    if options.json:
        options.json.write_text(json.dumps([plain(one) for one in reports], indent=1) + "\n", encoding="utf-8")
    return 0
