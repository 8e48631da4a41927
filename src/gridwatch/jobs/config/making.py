"""What is asked of a job when it is made, and not again when it is read from the store.

A job that an earlier gridwatch took has to stay readable, so what came to be refused later stands here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridwatch.errors import JobsError, JobsValueError
from gridwatch.jobs.date_formats import date_format

if TYPE_CHECKING:
    from gridwatch.jobs.config.job import JobConfig

__all__ = ["check_new", "check_own_settings"]

_CATEGORY = "mlcategory"
_OWN = ("alert_score",)


def check_new(job: JobConfig) -> None:
    """Refuse what no job that is made now may hold.

    Raises:
        JobsValueError: A time format that cannot be read, the field of categories, or a setting of gridwatch's own
            that is unknown or wrong.
    """
    time_format = job.data_description.time_format
    if time_format not in {"epoch", "epoch_ms"}:
        try:
            date_format(time_format)
        except JobsError as error:
            raise JobsValueError(str(error), path="data_description.time_format") from error
    for index, detector in enumerate(job.detectors):
        if _CATEGORY in detector.fields:
            raise JobsValueError(
                f"[{_CATEGORY}] stands for categories of text, which are not supported yet; leave it out.",
                path=f"analysis_config.detectors[{index}]",
            )
    check_own_settings(job)


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
