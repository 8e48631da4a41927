"""States on the way from one to another: seen while something takes place, and left again if it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import structlog

from gridwatch.errors import GridwatchError, JobsConflictError

__all__ = ["passing"]

log = structlog.get_logger(__name__)


@contextmanager
def passing(
    change: Callable[..., Any], name: str, through: str, *, states: Sequence[str], back: str, **changes: Any
) -> Iterator[None]:
    """Put a job or datafeed into a state for as long as something takes; where that fails, into another one.

    A process that dies meanwhile leaves the state. It claims nothing: whoever does the same again begins anew.

    Args:
        change: `Resources.change_job` or `change_datafeed`.
        name: Which.
        through: The state meanwhile; what is done leaves it.
        states: Those that it may come from.
        back: The state after an error, unless somebody has put it into another than `through` by then.
        **changes: Other attributes that change with it.

    Raises:
        JobsNotFoundError: There is none.
        JobsConflictError: It is in another state than `states`.
    """
    change(name, states=states, state=through, **changes)
    try:
        yield
    except BaseException:
        try:
            with suppress(JobsConflictError):
                change(name, states=(through,), state=back)
        except GridwatchError as second:
            # What is raised is why it failed; the same call made again leads on from this state too.
            log.warning("state_not_put_back", name=name, state=through, error=str(second))
        raise
