"""Expectations that Great Expectations does not bring: finite values, consistent bars, no gaps.

Importing this module imports Great Expectations, which takes seconds, and registers them by their names.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pandas as pd
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.core.suite_parameters import SuiteParameterDict
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider
from great_expectations.render import LegacyRendererType, RenderedStringTemplateContent
from great_expectations.render.renderer.renderer import renderer

from gridwatch.quality.gaps import find_gaps
from gridwatch.quality.outcome import ROWS_SHOWN

__all__ = ["ExpectColumnValuesToBeFinite", "ExpectOhlcToBeConsistent", "ExpectRowsWithoutGaps"]

_TABLE = "gridwatch.table"


class _Table(TableMetricProvider):  # type: ignore[misc]
    """The rows themselves, for expectations that look at several columns."""

    metric_name = _TABLE

    @metric_value(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(cls, execution_engine: Any, metric_domain_kwargs: dict[str, Any], **_: Any) -> pd.DataFrame:  # noqa: N805
        frame: pd.DataFrame
        frame, _compute, _accessor = execution_engine.get_compute_domain(
            metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE
        )
        return frame


class _RowsExpectation(BatchExpectation):  # type: ignore[misc]
    """An expectation about whole rows: `_judge` gets the frame."""

    metric_dependencies: ClassVar[tuple[str, ...]] = (_TABLE,)
    sentence: ClassVar[str] = ""
    """What is wanted, for the Data Docs; `$name` stands for an argument."""

    @classmethod
    @renderer(renderer_type=LegacyRendererType.PRESCRIPTIVE)  # type: ignore[untyped-decorator]
    def _prescriptive_renderer(cls, configuration: Any = None, result: Any = None, **_: Any) -> list[Any]:
        kwargs = (result.expectation_config if configuration is None else configuration).kwargs
        wanted = {name: field.default for name, field in cls.__fields__.items() if name in cls.success_keys} | kwargs
        template = {"template": cls.sentence, "params": {name: str(value) for name, value in wanted.items()}}
        return [
            RenderedStringTemplateContent(content_block_type="string_template", string_template=template, styling=None)
        ]

    def _validate(self, metrics: dict[str, Any], **_: Any) -> dict[str, Any]:
        return self._judge(metrics[_TABLE], self._get_success_kwargs())

    def _judge(self, frame: pd.DataFrame, wanted: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError


def _failing(frame: pd.DataFrame, bad: Any, columns: list[str]) -> dict[str, Any]:
    """Return the result of an expectation whose failing rows are `bad`, bool (n,)."""
    rows = frame.loc[np.asarray(bad), [name for name in ["ts", *columns] if name in frame.columns]]
    count = len(rows)
    first = ", ".join(f"{moment:%Y-%m-%d %H:%M:%S}" for moment in rows["ts"].head(3)) if "ts" in rows else ""
    return {
        "success": count == 0,
        "result": {
            "observed_value": f"{count} of {len(frame)} rows fail" + (f", first {first}" if count and first else ""),
            "element_count": len(frame),
            "unexpected_count": count,
            "unexpected_percent": 100 * count / len(frame) if len(frame) else 0.0,
            "partial_unexpected_index_list": rows.head(ROWS_SHOWN).to_dict("records"),
        },
    }


def _no_numbers(frame: pd.DataFrame, columns: list[str]) -> str:
    """Return why these columns cannot be compared as numbers; empty when they can."""
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        return f"there is no column {', '.join(map(repr, missing))}"
    other = [column for column in columns if not pd.api.types.is_numeric_dtype(frame[column])]
    return f"column {other[0]!r} is no number but {frame[other[0]].dtype}" if other else ""


def _refused(reason: str) -> dict[str, Any]:
    return {"success": False, "result": {"details": {"reason": reason}}}


class ExpectColumnValuesToBeFinite(_RowsExpectation):
    """Every value of a number column is finite: no NaN, no infinity. Nulls are `not_be_null`'s concern."""

    column: str
    sentence: ClassVar[str] = "values must be finite: no NaN, no infinity."
    success_keys: ClassVar[tuple[str, ...]] = ("column",)

    def _judge(self, frame: pd.DataFrame, wanted: dict[str, Any]) -> dict[str, Any]:
        column = wanted["column"]
        if wrong := _no_numbers(frame, [column]):
            return _refused(wrong)
        values = frame[column].to_numpy(dtype=np.float64, na_value=np.nan)
        return _failing(frame, ~np.isfinite(values), [column])


class ExpectOhlcToBeConsistent(_RowsExpectation):
    """Every bar has low <= open, close <= high."""

    open_column: str = "open"
    high_column: str = "high"
    low_column: str = "low"
    close_column: str = "close"
    sentence: ClassVar[str] = (
        "In every bar $low_column must be the lowest of $open_column, $high_column, $low_column, $close_column, and "
        "$high_column the highest."
    )
    success_keys: ClassVar[tuple[str, ...]] = ("open_column", "high_column", "low_column", "close_column")

    def _judge(self, frame: pd.DataFrame, wanted: dict[str, Any]) -> dict[str, Any]:
        columns = [wanted[key] for key in self.success_keys]
        if wrong := _no_numbers(frame, columns):
            return _refused(wrong)
        opened, high, low, close = (frame[column].to_numpy(dtype=np.float64, na_value=np.nan) for column in columns)
        # Written so that a NaN fails: no comparison with it is true.
        good = (low <= opened) & (low <= close) & (opened <= high) & (close <= high)
        return _failing(frame, ~good, columns)


class ExpectRowsWithoutGaps(_RowsExpectation):
    """Rows come at their interval: in trading hours where there is a calendar, else round the clock.

    Args:
        interval_ms: Time between two rows.
        calendar: Exchange calendar; empty: round the clock.
        timezone: Zone whose dates name the sessions.
        mostly: Least share of expected rows that must be there.
        longest_max: Most rows missing in a row.
        empty_sessions_max: Most trading sessions without any row.
    """

    sentence: ClassVar[str] = (
        "Rows must come every $interval_ms ms in the sessions of calendar '$calendar' (empty: round the clock): at "
        "least the share $mostly of them, at most $longest_max missing in a row, and at most $empty_sessions_max "
        "sessions without any."
    )
    interval_ms: int | SuiteParameterDict
    calendar: str | SuiteParameterDict = ""
    timezone: str | SuiteParameterDict = "UTC"
    mostly: float | SuiteParameterDict = 1.0
    longest_max: int | SuiteParameterDict = 0
    empty_sessions_max: int | SuiteParameterDict = 0
    success_keys: ClassVar[tuple[str, ...]] = (
        "interval_ms",
        "calendar",
        "timezone",
        "mostly",
        "longest_max",
        "empty_sessions_max",
    )

    def _judge(self, frame: pd.DataFrame, wanted: dict[str, Any]) -> dict[str, Any]:
        if "ts" not in frame.columns:
            return _refused("there is no column 'ts'")
        times = pd.DatetimeIndex(frame["ts"].dropna()).as_unit("ms").asi8
        found = find_gaps(
            np.asarray(times), wanted["interval_ms"], calendar=wanted["calendar"] or None, timezone=wanted["timezone"]
        )
        share = 1 - found.missing / found.expected if found.expected else 1.0
        longest = found.gaps[0].missing if found.gaps else 0
        reasons = []
        if share < wanted["mostly"]:
            reasons.append(
                f"{found.missing} of {found.expected} rows are missing, and only {1 - wanted['mostly']:.2%} may be"
            )
        if longest > wanted["longest_max"] and len(found.empty_sessions) <= wanted["empty_sessions_max"]:
            reasons.append(f"{longest} rows are missing in a row, and at most {wanted['longest_max']} may be")
        if len(found.empty_sessions) > wanted["empty_sessions_max"]:
            days = ", ".join(found.empty_sessions[:ROWS_SHOWN])
            reasons.append(f"{len(found.empty_sessions)} trading sessions have no row at all: {days}")
        result = {
            "observed_value": "; ".join(reasons)
            or f"{share:.2%} of {found.expected} expected rows, longest gap {longest}",
            "element_count": found.expected,
            "unexpected_count": found.missing,
            "unexpected_percent": 100 * (1 - share),
            "details": {"reason": "; ".join(reasons)},
            "partial_unexpected_index_list": [
                {"ts": pd.Timestamp(gap.from_ms, unit="ms", tz="UTC"), "missing_rows": gap.missing}
                for gap in found.gaps[:ROWS_SHOWN]
            ],
        }
        return {"success": not reasons, "result": result}
