"""A frame against its suite, by Great Expectations, with Data Docs."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

import structlog

from gridwatch.errors import QualityError
from gridwatch.quality.docs import one_at_a_time, prune
from gridwatch.quality.outcome import ROWS_SHOWN, Check, Outcome
from gridwatch.quality.suites import load_suite, read_suite

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Watched", "validate_frame"]

log = structlog.get_logger(__name__)


class Watched(Protocol):
    """What a validation needs to know of a dataset; `gridwatch.sources.Dataset` has it all."""

    @property
    def name(self) -> str:
        """Names the asset in the Data Docs."""

    @property
    def suite(self) -> str:
        """Name of its suite."""

    @property
    def value(self) -> str:
        """The column that is learnt and scored."""

    @property
    def interval_ms(self) -> int:
        """Time between two rows, in ms."""

    @property
    def calendar(self) -> str | None:
        """Exchange calendar, or None for round the clock."""

    @property
    def timezone(self) -> str:
        """Zone whose dates name the sessions."""

    @property
    def rows_min(self) -> int:
        """Fewest rows that pass."""


def validate_frame(
    frame: pd.DataFrame, dataset: Watched, suite_dir: Path, docs_dir: Path | None, *, now_ms: int, run_name: str
) -> Outcome:
    """Validate one frame of a dataset and add a page to the Data Docs.

    The suite may use the parameters `interval_ms`, `calendar` (empty for none), `timezone`, `value` and
    `rows_min` of the dataset, as `{"$PARAMETER": "interval_ms"}`.

    Args:
        frame: `ts` and the dataset's columns, oldest first.
        dataset: Names the suite.
        suite_dir: Folder of suite files.
        docs_dir: Folder of Great Expectations' project; made if missing. One process at a time writes in it. None: no
            Data Docs, in half the time.
        now_ms: Time of the run, UTC epoch ms.
        run_name: Name of the run in the Data Docs, such as the validation's id.

    Raises:
        QualityError: The suite is missing or wrong. Data that fails is no error but an Outcome.
    """
    read_suite(suite_dir, dataset.suite)  # tells a missing file at once, before seconds of imports
    from great_expectations.exceptions import GreatExpectationsError

    suite = load_suite(suite_dir, dataset.suite, _parameters(dataset))
    frame = frame.reset_index(drop=True)  # failing rows are told by their place
    with one_at_a_time(docs_dir):
        try:
            result, report = _run(frame, dataset, suite, docs_dir, now_ms, run_name)
        except GreatExpectationsError as error:
            raise QualityError(f"Suite {dataset.suite!r} could not be run: {error}", suite=dataset.suite) from error
        if docs_dir is not None:
            prune(docs_dir)
    checks = [_check(item, frame) for item in result.results]
    if frame.empty:
        # Great Expectations lets an empty table pass nearly everything.
        checks.insert(0, Check("rows", None, success=False, reason="there are no rows to validate"))
    success = all(check.success for check in checks)
    log.info("validated", dataset=dataset.name, suite=dataset.suite, rows=len(frame), success=success)
    return Outcome(dataset.suite, success, len(frame), checks, report)


def _parameters(dataset: Watched) -> dict[str, Any]:
    return {
        "interval_ms": dataset.interval_ms,
        "calendar": dataset.calendar or "",
        "timezone": dataset.timezone,
        "value": dataset.value,
        "rows_min": dataset.rows_min,
    }


def _run(
    frame: pd.DataFrame, dataset: Watched, suite: Any, docs_dir: Path | None, now_ms: int, run_name: str
) -> tuple[Any, str | None]:
    """Return Great Expectations' result and the path of its page."""
    import great_expectations as gx
    from great_expectations.checkpoint.actions import UpdateDataDocsAction
    from great_expectations.core.run_identifier import RunIdentifier

    if docs_dir is None:
        context = gx.get_context(mode="ephemeral")
    else:
        context = gx.get_context(mode="file", project_root_dir=str(docs_dir))
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    source = context.data_sources.add_or_update_pandas("gridwatch")
    rows = source.add_dataframe_asset(dataset.name).add_batch_definition_whole_dataframe("rows")
    suite = context.suites.add_or_update(suite)
    definition = context.validation_definitions.add_or_update(
        gx.ValidationDefinition(name=dataset.name, data=rows, suite=suite)
    )
    checkpoint = context.checkpoints.add_or_update(
        gx.Checkpoint(
            name=dataset.name,
            validation_definitions=[definition],
            actions=[UpdateDataDocsAction(name="data_docs")] if docs_dir is not None else [],
            # Named index columns, or COMPLETE, would make a dict of each failing row: minutes for a few 100,000.
            result_format={"result_format": "SUMMARY", "partial_unexpected_count": ROWS_SHOWN},
        )
    )
    result = checkpoint.run(
        batch_parameters={"dataframe": frame},
        expectation_parameters=_parameters(dataset),
        run_id=RunIdentifier(run_name=run_name, run_time=datetime.fromtimestamp(now_ms / 1000, UTC)),
    )
    identifier, outcome = next(iter(result.run_results.items()))
    sites = context.get_docs_sites_urls(resource_identifier=identifier) if docs_dir is not None else []
    url = sites[0]["site_url"] if sites else None
    return outcome, unquote(urlsplit(url).path) if url else None


def _check(item: Any, frame: pd.DataFrame) -> Check:
    """Return one result of Great Expectations in plain values."""
    config = item.expectation_config
    column = config.kwargs.get("column")
    notes = (config.meta or {}).get("notes", "")
    notes = notes if isinstance(notes, str) else "\n".join(map(str, notes.get("content", notes)))
    result = item.result or {}
    places = (result.get("partial_unexpected_index_list") or [])[:ROWS_SHOWN]
    columns = [name for name in ("ts", column) if name in frame.columns]
    # Ours name rows by their values; Great Expectations' own by their place in the frame.
    named = (row if isinstance(row, dict) else frame[columns].iloc[row].to_dict() for row in places)
    rows = [{str(name): _plain(value) for name, value in row.items()} for row in named]
    failing = 0 if item.success else int(result.get("unexpected_count") or 0)
    return Check(
        config.type,
        column,
        bool(item.success),
        "" if item.success else _reason(item, config.kwargs),
        failing,
        [] if item.success else rows,
        notes,
    )


def _reason(item: Any, kwargs: dict[str, Any]) -> str:
    """Return in a sentence why an expectation was not met."""
    result, column = item.result or {}, kwargs.get("column")
    raised = [info for info in _exceptions(item.exception_info or {}) if info.get("exception_message")]
    if raised:
        message = " ".join(str(raised[0]["exception_message"]).split())
        if column is not None and f'"{column}"' in message and "does not exist" in message:
            return f"there is no column {column!r}"
        return f"it could not be evaluated: {message[:300]}"
    told = (result.get("details") or {}).get("reason")
    if told:
        return str(told)
    where = f"{column}: " if column else ""
    if result.get("unexpected_count") is not None:
        return f"{where}{result['unexpected_count']} of {result.get('element_count')} rows{_limits(kwargs)}"
    return f"{where}observed {result.get('observed_value')!r}{_limits(kwargs)}"


def _limits(kwargs: dict[str, Any]) -> str:
    shown = {name: value for name, value in kwargs.items() if name not in {"column", "batch_id"} and value is not None}
    return f" ({', '.join(f'{name} {value}' for name, value in shown.items())})" if shown else ""


def _exceptions(info: dict[str, Any]) -> list[dict[str, Any]]:
    """Return exception infos, which Great Expectations gives as one or keyed by metric."""
    return [info] if "raised_exception" in info else [value for value in info.values() if isinstance(value, dict)]


def _plain(value: Any) -> Any:
    """Return a JSON value; not-a-number and infinities become text."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
