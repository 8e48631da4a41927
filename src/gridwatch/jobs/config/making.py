"""What is asked of a job when it is made, and not again when it is read from the store.

A job that an earlier gridwatch took has to stay readable, so what came to be refused later stands here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gridwatch.errors import JobsError, JobsValueError
from gridwatch.jobs.date_formats import date_format

if TYPE_CHECKING:
    from gridwatch.jobs.config.job import JobConfig

__all__ = ["check_new", "check_own_settings"]

_CATEGORY = "mlcategory"
_OWN = ("alert_score",)
_SPAN_MAX_MS = 365 * 86_400_000
_RESULTS_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?")
_RESULTS_NAME_MAX = 234
"""Elasticsearch's index has 21 characters before it, and 255 at most."""


def check_new(job: JobConfig) -> None:
    """Refuse what no job that is made now may hold.

    Raises:
        JobsValueError: A bucket of more than a year, a time format that cannot be read or names no moment, a name of
            results that no index has, the field of categories, or a setting of gridwatch's own that is unknown or
            wrong.
    """
    if job.bucket_span_ms > _SPAN_MAX_MS:
        raise JobsValueError(
            f"has to be at most 365d, got {job.analysis_config.bucket_span!r}.", path="analysis_config.bucket_span"
        )
    _check_time_format(job.data_description.time_format)
    _check_results_name(job.results_index_name)
    for index, detector in enumerate(job.detectors):
        if _CATEGORY in detector.fields:
            raise JobsValueError(
                f"[{_CATEGORY}] stands for categories of text, which are not supported yet; leave it out.",
                path=f"analysis_config.detectors[{index}]",
            )
    check_own_settings(job)


def _check_time_format(given: str) -> None:
    path = "data_description.time_format"
    if given in {"epoch", "epoch_ms"}:
        return
    try:
        lacks = date_format(given).lacks
    except JobsError as error:
        raise JobsValueError(str(error), path=path) from error
    if lacks:
        raise JobsValueError(
            f"no moment can be derived from the pattern {given!r}, which has no {lacks}; give one of a year, month, "
            "day and hour",
            path=path,
            allowed=("epoch", "epoch_ms", "yyyy-MM-dd HH:mm:ss", "and others"),
        )


def _check_results_name(given: str) -> None:
    if not _RESULTS_NAME.fullmatch(given) or len(given) > _RESULTS_NAME_MAX:
        shown = given if len(given) <= 80 else f"{given[:77]}..."
        raise JobsValueError(
            f"invalid name of an index {shown!r}: it may hold lower case letters and digits (a-z, 0-9), hyphens, "
            f"underscores and dots, starts and ends with a letter or digit, and has at most {_RESULTS_NAME_MAX} "
            "characters.",
            path="results_index_name",
        )


def check_own_settings(job: JobConfig) -> None:
    """Refuse what `custom_settings.gridwatch` may not hold; all else of `custom_settings` is free.

    Raises:
        JobsValueError: It is no object, or a key of it is unknown or wrong.
    """
    path = "custom_settings.gridwatch"
    own = (job.custom_settings or {}).get("gridwatch")
    if own is None:
        return
    if not isinstance(own, dict):
        raise JobsValueError(f"{own!r} is not taken: should be an object.", path=path)
    for name in own:
        if name not in _OWN:
            raise JobsValueError(f"unknown key [{name}]", path=f"{path}.{name}", allowed=_OWN)
    score = own.get("alert_score")
    # True is an int to Python, and no score.
    if score is not None and (isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 100):
        raise JobsValueError(f"{score!r} is not taken: should be a number from 0 to 100.", path=f"{path}.alert_score")
