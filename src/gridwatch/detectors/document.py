"""`detector.json`: what a saved detector says of itself, written and read alike by all kinds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from gridwatch.errors import DetectorError

__all__ = ["JSON", "check_enough", "document", "learnt", "read"]

State = TypeVar("State")

JSON = "detector.json"


def check_enough(rows: int, rows_min: int, *, who: str, smaller: str) -> None:
    """Check that there are enough rows to learn from.

    Args:
        rows: How many there are.
        rows_min: How many are needed.
        who: What needs them.
        smaller: The constant that may be set smaller.

    Raises:
        DetectorError: There are too few.
    """
    if rows < rows_min:
        raise DetectorError(
            f"{rows} rows are too few to learn from: {who} needs at least {rows_min}. Load more history, or set a "
            f"smaller {smaller}.",
            rows=rows,
            rows_min=rows_min,
        )


def document(kind: str, form: object, config: Mapping[str, Any], **more: Any) -> bytes:
    """Return the file.

    Args:
        kind: Of the detector.
        form: Its format; another one wherever what is saved changes.
        config: Its constants.
        **more: What the kind adds.
    """
    raw = {"format": form, "kind": kind, "config": config, **more}
    return json.dumps(raw, indent=1, sort_keys=True, allow_nan=False).encode()


def learnt(state: State | None) -> State:
    """Return what a detector has learnt, to be saved.

    Raises:
        DetectorError: It has learnt nothing.
    """
    if state is None:
        raise DetectorError("A detector that has not learnt anything cannot be saved; call learn first.")
    return state


@contextmanager
def read(
    parts: Mapping[str, bytes], kind: str, form: object, *, files: Sequence[str] = (), again: str = "Learn"
) -> Iterator[dict[str, Any]]:
    """Give what the file says; what does not fit inside the `with` is told as damage.

    Args:
        parts: The saved files.
        kind: That is read.
        form: Its format.
        files: That are needed beside it.
        again: What makes a new one.

    Raises:
        DetectorError: A file is missing, is of another kind or format, or damaged.
    """
    missing = [name for name in (JSON, *files) if name not in parts]
    if missing:
        raise DetectorError(f"The saved detector lacks {', '.join(missing)}; it has {sorted(parts)}.")
    try:
        raw = json.loads(parts[JSON])
        if raw["format"] != form or raw["kind"] != kind:
            raise DetectorError(
                f"detector.json holds a {raw['kind']!r} of format {raw['format']!r}; this version reads {kind!r} of "
                f"format {form!r}. {again} again, or use the gridwatch that wrote it."
            )
        yield raw
    except (KeyError, TypeError, ValueError) as error:
        raise DetectorError(f"detector.json is damaged: {error!r}.") from error
