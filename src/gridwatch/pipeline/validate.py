"""Validate what a dataset's container holds, and write down the outcome."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from gridwatch.containers.catalog import VALIDATIONS
from gridwatch.errors import QualityError
from gridwatch.pipeline.series import read_rows

if TYPE_CHECKING:
    from gridwatch.containers.store import Store
    from gridwatch.settings import Settings
    from gridwatch.sources.dataset import Dataset

__all__ = ["ValidationReport", "is_current", "newest_validation", "validate"]

log = structlog.get_logger(__name__)

_FAILURES_BYTES_MAX = 30_000
"""GridDB's STRING holds 31,744 bytes in blocks of 64 KiB."""


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """One validation, as its row in `validations` has it.

    Args:
        id: Row key, 32 hex digits.
        dataset: Name of the dataset.
        container: Container that was validated.
        suite: Suite that it was held to.
        run_ms: When, UTC epoch ms.
        success: Whether all expectations were met.
        rows: How many rows were looked at.
        from_ms: Time of the first of them; None without rows.
        to_ms: Time of the last of them.
        expectations: How many expectations the suite has.
        failures: Those not met: `expectation`, `column`, `reason`, `failing` (a count), `rows` (the first of them).
        report: Path of the Data Docs page.
        flow_run_id: Prefect flow run that asked for it.
        markdown: The whole outcome for people; not kept in the row.
    """

    id: str
    dataset: str
    container: str
    suite: str
    run_ms: int
    success: bool
    rows: int
    from_ms: int | None
    to_ms: int | None
    expectations: int
    failures: list[dict[str, Any]] = field(default_factory=list)
    report: str | None = None
    flow_run_id: str | None = None
    markdown: str = ""

    @property
    def reasons(self) -> str:
        """What failed, in one line."""
        named = (
            f"{item['expectation']}" + (f" on {item['column']}" if item.get("column") else "") + f": {item['reason']}"
            for item in self.failures
        )
        return "; ".join(named)


def validate(
    dataset: Dataset,
    store: Store,
    settings: Settings,
    *,
    now_ms: int,
    start_ms: int | None = None,
    end_ms: int | None = None,
    flow_run_id: str | None = None,
) -> ValidationReport:
    """Validate the rows of a dataset and write a row to `validations`. Data that fails is told, not raised.

    Args:
        dataset: What to validate, and its suite.
        store: Where its rows are.
        settings: Folders of suites and Data Docs.
        now_ms: Time of the run, UTC epoch ms.
        start_ms: First time to look at; by default the first that training or scoring may use.
        end_ms: Last time to look at; by default that of the newest row.
        flow_run_id: Prefect flow run to name in the row.

    Raises:
        ContainerNotFoundError: Nothing has been loaded for the dataset.
        QualityError: The suite is missing or wrong.
    """
    from gridwatch.quality import markdown, validate_frame

    table = read_rows(dataset, store, start_ms, end_ms)
    identifier = hashlib.sha256(f"{dataset.name}\x1f{now_ms}\x1f{start_ms}\x1f{end_ms}".encode()).hexdigest()[:32]
    if start_ms is None:
        table = _needed(table, dataset)
    times = table["ts"].cast(pa.int64())
    frame = table.to_pandas()
    outcome = validate_frame(
        frame, dataset, settings.expectations_dir, settings.home / "data_docs", now_ms=now_ms, run_name=identifier
    )
    failures = outcome.failures_json(length_max=_FAILURES_BYTES_MAX)
    report = ValidationReport(
        id=identifier,
        dataset=dataset.name,
        container=dataset.container,
        suite=dataset.suite,
        run_ms=now_ms,
        success=outcome.success,
        rows=outcome.rows,
        from_ms=times[0].as_py() if len(times) else None,
        to_ms=times[-1].as_py() if len(times) else None,
        expectations=len(outcome.checks),
        failures=json.loads(failures),
        report=outcome.report,
        flow_run_id=flow_run_id,
        markdown=markdown(outcome, title=dataset.name),
    )
    _write(report, failures, store)
    if not report.success:
        log.warning("validation_failed", dataset=dataset.name, validation_id=report.id, reasons=report.reasons[:500])
    return report


def newest_validation(store: Store, dataset: Dataset) -> ValidationReport | None:
    """Return the newest validation of a dataset, or None where there is none. `markdown` is empty."""
    if store.container(VALIDATIONS.name) is None:
        return None
    newest = "SELECT * FROM validations WHERE dataset = ? ORDER BY run_ms DESC LIMIT 1"
    found = store.sql(newest, [dataset.name])
    if found.num_rows == 0:
        return None
    row = found.to_pylist()[0]
    try:
        failures = json.loads(row["failures"] or "[]")
    except ValueError as error:
        raise QualityError(
            f"Row {row['id']!r} of {VALIDATIONS.name!r} has broken JSON in failures: {error}."
        ) from error
    return ValidationReport(
        id=row["id"],
        dataset=row["dataset"],
        container=row["container"],
        suite=row["suite"],
        run_ms=row["run_ms"],
        success=row["success"],
        rows=row["rows"],
        from_ms=row["from_ms"],
        to_ms=row["to_ms"],
        expectations=row["expectations"],
        failures=failures,
        report=row["report"],
        flow_run_id=row["flow_run_id"],
    )


def is_current(store: Store, dataset: Dataset) -> bool:
    """Tell whether the newest validation of a dataset has seen every row there is from its first row on.

    New and late rows are noticed; a row that was only revised is not.

    Raises:
        ContainerNotFoundError: Nothing has been loaded for the dataset.
    """
    newest = newest_validation(store, dataset)
    if newest is None or newest.from_ms is None:
        return False
    return bool(store.read(dataset.container, newest.from_ms, columns=["ts"]).num_rows == newest.rows)


def _needed(table: pa.Table, dataset: Dataset) -> pa.Table:
    """Return the rows that training or scoring may use: old faults must not stop a model that never sees them."""
    start_ms, end_ms = dataset.range_ms(dataset.training)
    times = table["ts"].cast(pa.int64())
    if start_ms is None and dataset.train_months is not None:
        newest_ms = pc.max(times.filter(pc.less_equal(times, end_ms)) if end_ms is not None else times).as_py()
        if newest_ms is not None:
            newest = pd.Timestamp(newest_ms, unit="ms", tz="UTC")
            start_ms = int((newest - pd.DateOffset(months=dataset.train_months)).timestamp() * 1000)
    if start_ms is None:
        return table
    scoring_ms, _ = dataset.range_ms(dataset.scoring)
    return table.filter(pc.greater_equal(times, min(start_ms, start_ms if scoring_ms is None else scoring_ms)))


def _write(report: ValidationReport, failures: str, store: Store) -> None:
    store.put_container(VALIDATIONS)
    row = {
        "id": report.id,
        "dataset": report.dataset,
        "container": report.container,
        "suite": report.suite,
        "run_ms": report.run_ms,
        "success": report.success,
        "rows": report.rows,
        "from_ms": report.from_ms,
        "to_ms": report.to_ms,
        "expectations": report.expectations,
        "failed": len(report.failures),
        "failures": failures,
        "report": report.report,
        "flow_run_id": report.flow_run_id,
    }
    store.put(VALIDATIONS.name, pa.Table.from_pylist([row], schema=VALIDATIONS.arrow))
