"""How the demo ends: what was found, whether the split is among it, and what else would have been."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from gridwatch.cli._demo_child import FIGURES, plot_name
from gridwatch.cli._output import print_table
from gridwatch.errors import GridwatchError

if TYPE_CHECKING:
    from gridwatch.settings import Settings
    from gridwatch.sources import Dataset

__all__ = ["SPLIT_DAY", "Result", "collect"]

_DAY_MS = 86_400_000

SPLIT_DAY = "2005-02-28"
"""Apple's shares were split two for one: the unadjusted price halved overnight."""


@dataclass(frozen=True)
class Result:
    """The rows that were found, newest first, how many were scored, and what each detector said of them."""

    rows: list[dict[str, Any]]
    scored: int
    plot: Path
    zone: ZoneInfo
    title: str = ""
    daily: bool = True
    sides: list[dict[str, Any]] = field(default_factory=list)
    sides_plot: Path | None = None

    def day(self, row: dict[str, Any]) -> str:
        """Return the trading day of a row."""
        return f"{self._moment(row):%Y-%m-%d}"

    def _moment(self, row: dict[str, Any]) -> datetime:
        return datetime.fromtimestamp(row["ts_ms"] / 1000, UTC).astimezone(self.zone)

    @property
    def split(self) -> dict[str, Any] | None:
        """The row of the split, if it was found."""
        return next((row for row in self.rows if self.day(row) == SPLIT_DAY), None)

    @property
    def shown(self) -> dict[str, Any] | None:
        """The row to look at: the split, or the oddest."""
        return self.split or max(self.rows, key=lambda row: float(row["severity_score"]), default=None)

    def table(self) -> None:
        """Print the anomalies, oldest first."""
        if not self.rows:
            return
        print_table(
            ("date", "actual", "expected", "ordinary", "score", "severity", "driven by", "mail"),
            [
                (
                    self.day(r) if self.daily else f"{self._moment(r):%Y-%m-%d %H:%M}",
                    f"{r['actual']:.2f}",
                    f"{r['expected']:.2f}",
                    f"{r['lower']:.2f} to {r['upper']:.2f}",
                    f"{r['severity_score']:.2f}",
                    r["severity"],
                    r.get("driver") or "",
                    r["mail"],
                )
                for r in reversed(self.rows)
            ],
            title=self.title,
        )

    def why(self) -> list[str]:
        """Return in words what stood out in the row to look at, and what would have been normal."""
        return [str(self.shown["explanation"])] if self.shown and self.shown.get("explanation") else []

    def summary(self) -> str:
        """Say how many were flagged."""
        verb = "was" if len(self.rows) == 1 else "were"
        return f"{len(self.rows) or 'None'} of {self.scored:,} scored rows {verb} flagged."

    def verdict(self) -> str:
        """Say whether the split was found, and what else was flagged.

        Raises:
            GridwatchError: It was not found, or its mail did not go out.
        """
        found = self.split
        if found is None:
            raise GridwatchError(
                f"The split of {SPLIT_DAY} was not found among {self.scored} scored rows; that is a fault in gridwatch."
            )
        if found["mail"] != "sent":
            why = found["mail_error"] or "see the logs of server and relay"
            raise GridwatchError(f"The mail about {SPLIT_DAY} is {found['mail']}, not sent: {why}.")
        others = len(self.rows) - 1
        return (
            f"The 2-for-1 split of {SPLIT_DAY} was found (score {found['severity_score']:.2f}, {found['severity']}). "
            f"{others or 'No'} other row{'' if others == 1 else 's'} of {self.scored} scored "
            f"{'was' if others == 1 else 'were'} flagged."
        )


def collect(settings: Settings, dataset: Dataset) -> Result:
    """Read the anomalies back from the store and draw the plot.

    Raises:
        StoreError: The store has no scores.
    """
    from gridwatch.alerts.anomalies import list_anomalies
    from gridwatch.alerts.plot import series_plot
    from gridwatch.containers import open_store
    from gridwatch.containers.catalog import anomaly_container, score_container

    zone = ZoneInfo(dataset.timezone)
    with open_store(settings.store, settings=settings) as store:
        rows = list_anomalies(store, symbol=dataset.symbol, limit=1000)
        scores = store.read(score_container(dataset.symbol))
        anomalies = store.read(anomaly_container(dataset.symbol))
    plot = settings.home / f"{dataset.name}.png"
    plot.write_bytes(
        series_plot(scores, anomalies, f"{dataset.symbol}: {dataset.value}", zone=zone, label=dataset.value)
    )
    figures = json.loads((settings.home / FIGURES).read_text(encoding="utf-8"))
    return Result(
        rows,
        scores.num_rows,
        plot,
        zone,
        title=f"Anomalies of {dataset.symbol}, {dataset.value}: {dataset.description}",
        daily=dataset.interval_ms >= _DAY_MS,
        sides=figures[dataset.name],
        sides_plot=settings.home / plot_name(dataset.name),
    )


def mlflow_page(base: str, run_id: str) -> str:
    """Return the address of a run in MLflow's UI; its first page when that cannot be told."""
    try:
        with urllib.request.urlopen(f"{base}/api/2.0/mlflow/runs/get?run_id={run_id}", timeout=5) as answer:  # noqa: S310
            experiment = json.load(answer)["run"]["info"]["experiment_id"]
    except (OSError, ValueError, KeyError):
        return base
    return f"{base}/#/experiments/{experiment}/runs/{run_id}"
