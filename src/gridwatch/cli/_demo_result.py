"""How the demo ends: what was found, whether the split is among it, and where to look."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from gridwatch.cli._output import print_table
from gridwatch.errors import GridwatchError

if TYPE_CHECKING:
    from gridwatch.settings import Settings
    from gridwatch.sources import Dataset

__all__ = ["SPLIT_DAY", "Result", "collect"]

SPLIT_DAY = "2005-02-28"
"""Apple's shares were split two for one: the unadjusted price halved overnight."""


@dataclass(frozen=True)
class Result:
    """The rows that were found, newest first, and how many were scored."""

    rows: list[dict[str, Any]]
    scored: int
    plot: Path
    zone: ZoneInfo

    def day(self, row: dict[str, Any]) -> str:
        """Return the trading day of a row."""
        return f"{datetime.fromtimestamp(row['ts_ms'] / 1000, UTC).astimezone(self.zone):%Y-%m-%d}"

    @property
    def split(self) -> dict[str, Any] | None:
        """The row of the split, if it was found."""
        return next((row for row in self.rows if self.day(row) == SPLIT_DAY), None)

    def table(self) -> None:
        """Print the anomalies, oldest first."""
        print_table(
            ("date", "close", "expected", "score", "severity", "mail"),
            [
                (
                    self.day(r),
                    f"{r['actual']:.2f}",
                    f"{r['expected']:.2f}",
                    f"{r['score']:.2f}",
                    r["severity"],
                    r["mail"],
                )
                for r in reversed(self.rows)
            ],
            title="Anomalies in Apple's daily closing prices of 2005",
        )

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
            f"The 2-for-1 split of {SPLIT_DAY} was found (score {found['score']:.1f}, {found['severity']}). "
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
    return Result(rows, scores.num_rows, plot, zone)


def mlflow_page(base: str, run_id: str) -> str:
    """Return the address of a run in MLflow's UI; its first page when that cannot be told."""
    try:
        with urllib.request.urlopen(f"{base}/api/2.0/mlflow/runs/get?run_id={run_id}", timeout=5) as answer:  # noqa: S310
            experiment = json.load(answer)["run"]["info"]["experiment_id"]
    except (OSError, ValueError, KeyError):
        return base
    return f"{base}/#/experiments/{experiment}/runs/{run_id}"
