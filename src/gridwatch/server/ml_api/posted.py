"""Rows that are posted to a job: JSON of any of three forms, and times as the job's `data_description` says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gridwatch.errors import JobsBodyError, JobsValueError
from gridwatch.jobs.units import iso_text
from gridwatch.server.ml_api.media import parsed_values

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from gridwatch.jobs.config import JobConfig
    from gridwatch.jobs.resources import Job
    from gridwatch.jobs.service import JobsService

__all__ = ["check_gaps", "frame_of", "post_rows"]

_GAP_MAX = 100_000
"""Most empty buckets that rows lead through: those of one series take some 2 s, those of ten 10 s."""
_TIME_MAX_MS = 253_402_300_799_999


def post_rows(
    service: JobsService,
    job_id: str,
    content: bytes,
    *,
    key: str | None,
    reset_start_ms: int | None,
    reset_end_ms: int | None,
) -> dict[str, Any]:
    """Have an open job analyse the rows of a body; return its `data_counts`.

    Args:
        service: Of the store.
        job_id: Which.
        content: Objects one after another, one a line or not, or arrays of them.
        key: What the poster calls this post, None for nothing: another one of the same key does nothing.
        reset_start_ms: A gap that is to be posted anew begins here, UTC epoch ms.
        reset_end_ms: And ends here.

    Raises:
        MlApiError: It is no JSON.
        JobsBodyError: A value is no object.
        JobsValueError: Two rows are so far apart that the empty buckets between them would take minutes.
        JobsError: There is no such job, or it is not open.
    """
    job = service.resources.job(job_id)
    frame, invalid = frame_of(job.config, list(_rows(parsed_values(content))))
    check_gaps(job, frame[job.config.time_field].to_numpy())
    posted = service.post_data(
        job_id,
        frame,
        key=key,
        reset_start_ms=reset_start_ms,
        reset_end_ms=reset_end_ms,
        invalid_dates=invalid,
        input_bytes=len(content),
    )
    return posted.counts


def _rows(values: list[Any]) -> Iterator[Mapping[str, Any]]:
    for place, value in enumerate(values):
        inside = value if isinstance(value, list) else [value]
        for at, one in enumerate(inside):
            if not isinstance(one, dict):
                path = f"[{place}][{at}]" if isinstance(value, list) else f"[{place}]"
                raise JobsBodyError(f"a row has to be an object, got {str(one)[:80]!r}.", path=path)
            yield one


def check_gaps(job: Job, times_ms: Sequence[int] | npt.NDArray[np.int64]) -> None:
    """Refuse times that are likely wrong: one of 1970 leads through every bucket from there to the next.

    Args:
        job: With how far it has come.
        times_ms: UTC epoch ms, ascending.

    Raises:
        JobsValueError: There are more than `_GAP_MAX` buckets between two of them.
    """
    times, span = np.asarray(times_ms, np.int64), job.config.bucket_span_ms
    if job.analysed_to_ms is not None:
        times = np.concatenate([[job.analysed_to_ms], times[times >= job.analysed_to_ms]])
    gaps = np.diff(times)
    if len(gaps) and gaps.max() > _GAP_MAX * span:
        before, after = times[gaps.argmax() :][:2].tolist()
        raise JobsValueError(
            f"{iso_text(before)} and {iso_text(after)} follow one another, more than {_GAP_MAX} buckets of "
            f"{job.config.analysis_config.bucket_span} apart; is the [time_format] right "
            f"({job.config.data_description.time_format})? _flush with [skip_time] skips a gap that is meant.",
            path=job.config.time_field,
        )


def frame_of(job: JobConfig, rows: Sequence[Mapping[str, Any]]) -> tuple[pd.DataFrame, int]:
    """Return the rows whose time can be read, in the order of time, and how many others there were."""
    import pandas as pd

    read = _reader(job.data_description.time_format)
    names = [*job.fields, *([job.summary_count_field] if job.summary_count_field else [])]
    times: list[int] = []
    columns: dict[str, list[Any]] = {name: [] for name in dict.fromkeys(names)}
    for row in rows:
        time_ms = read(_value(row, job.time_field))
        if time_ms is None:
            continue
        times.append(time_ms)
        for name, column in columns.items():
            column.append(_value(row, name))
    frame = pd.DataFrame({job.time_field: pd.Series(times, dtype="int64")})
    for name, column in columns.items():
        frame[name] = pd.Series(column, dtype=object)
    return frame.sort_values(job.time_field, kind="stable", ignore_index=True), len(rows) - len(times)


def _value(row: Mapping[str, Any], name: str) -> Any:
    """Return a field of a row: by its name, or through the objects that a dotted name leads through."""
    if name in row:
        return _plain(row[name])
    outer, dot, inner = name.partition(".")
    while dot:
        found = row.get(outer)
        if isinstance(found, dict):
            return _value(found, inner)
        further, dot, inner = inner.partition(".")
        outer = f"{outer}.{further}"
    return None


def _plain(value: Any) -> Any:
    """Return one value: several are joined by a comma, as Elasticsearch joins them, and an object is none."""
    if isinstance(value, list):
        parts = [_plain(one) for one in value]
        return parts[0] if len(parts) == 1 else ",".join("" if one is None else str(one) for one in parts)
    return None if isinstance(value, dict) else value


def _reader(time_format: str) -> Any:
    from gridwatch.jobs.date_formats import date_format, epoch_ms

    if time_format in {"epoch", "epoch_ms"}:
        factor = 1000 if time_format == "epoch" else 1
        return lambda value: _in_bounds(_number(value), factor)
    formats = date_format(time_format)
    known: dict[str, int | None] = {}

    def read(value: Any) -> int | None:
        text = str(value)
        if text not in known:
            known[text] = _date(text)
        return known[text]

    def _date(text: str) -> int | None:
        try:
            return _in_bounds(epoch_ms(formats.parse(text)), 1)
        except JobsValueError:
            # Counted, as Elasticsearch counts it.
            return None

    return read


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return int(value) if not isinstance(value, float) else value
    except ValueError:
        pass
    try:
        return float(value)
    except ValueError:
        return None


def _in_bounds(number: float | None, factor: int) -> int | None:
    if number is None or not 0 <= number * factor <= _TIME_MAX_MS:
        return None
    # A half of a millisecond is none of ours.
    return int(number * factor)
