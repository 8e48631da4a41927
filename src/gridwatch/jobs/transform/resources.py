"""Transforms as rows of the store: who is there, in which state, and how far."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from gridwatch.errors import JobsExistsError, JobsNotFoundError
from gridwatch.jobs.keyed import KeyedRows, matching
from gridwatch.jobs.tables import TRANSFORMS
from gridwatch.jobs.transform.config import TransformConfig, parse_transform

if TYPE_CHECKING:
    from gridwatch.containers import Store

__all__ = ["State", "Transform", "Transforms"]

State: TypeAlias = Literal["stopped", "started", "failed"]


@dataclass(frozen=True, slots=True)
class Transform:
    """A transform as it is stored; times are UTC epoch ms.

    Attributes:
        config: What it does.
        state: Where it is in its life.
        created_ms: When it was made.
        reason: Why it failed.
        checkpoint: How often it has come to an end.
        checkpoint_ms: When it did last.
        done_to_ms: First instant of the sync field that is not in the summary, None before the first checkpoint.
        stats: Counters, and when it last looked.
    """

    config: TransformConfig
    state: State
    created_ms: int
    reason: str | None = None
    checkpoint: int = 0
    checkpoint_ms: int | None = None
    done_to_ms: int | None = None
    stats: dict[str, Any] = field(default_factory=dict)

    @property
    def made_dest(self) -> bool:
        """Whether it has made the container that it writes; one that was there before is never dropped with it."""
        return self.stats.get("made") == self.config.dest.index

    @property
    def id(self) -> str:
        """Its id."""
        return self.config.id


class Transforms:
    """Rows of `ml_transforms`, which is made when missing.

    Args:
        store: Any backend.
        make: Whether it is; without it, a store that lacks it has no transforms.
    """

    def __init__(self, store: Store, *, make: bool = True) -> None:
        self._rows = KeyedRows(store, TRANSFORMS, make=make)

    def get(self, transform_id: str) -> Transform:
        """Return a transform.

        Raises:
            JobsNotFoundError: There is none.
        """
        row = self._rows.get(transform_id)
        if row is None:
            raise _unknown(transform_id)
        return _transform(row)

    def find(self, pattern: str = "_all", *, allow_no_match: bool = True) -> list[Transform]:
        """Return transforms by id, sorted: several by comma, `*` allowed, `_all` for all.

        Raises:
            JobsNotFoundError: An id names none, or nothing matches and that is not allowed.
        """
        rows = self._rows.all()
        names = {row["id"]: (row["id"],) for row in rows}
        chosen = matching(pattern, names, allow_no_match=allow_no_match, unknown=_unknown)
        return [_transform(row) for row in rows if row["id"] in chosen]

    def add(self, transform: Transform) -> None:
        """Store a new transform.

        Raises:
            JobsExistsError: Its id is taken.
        """
        if self._rows.get(transform.id) is not None:
            raise JobsExistsError(f"Transform with id [{transform.id}] already exists", transform_id=transform.id)
        self._rows.put(transform.id, _columns(transform))

    def change(self, transform: Transform, *, states: Sequence[State] = (), **changes: Any) -> Transform | None:
        """Change some columns of a transform, and leave alone what others change at the same time.

        Args:
            transform: As it was.
            states: Only in one of these; empty for any.
            **changes: Attributes and their new values.

        Returns:
            The transform as it is now, None where it is in another state or gone.
        """
        changed = replace(transform, **changes)
        columns = _columns(changed)
        done = self._rows.change(transform.id, {name: columns[name] for name in changes}, states=states)
        return changed if done else None

    def drop(self, transform_id: str) -> None:
        """Delete the row of a transform."""
        self._rows.drop(transform_id)


def _unknown(transform_id: str) -> JobsNotFoundError:
    return JobsNotFoundError(f"Transform with id [{transform_id}] could not be found", transform_id=transform_id)


def _columns(one: Transform) -> dict[str, Any]:
    return {
        "config": json.dumps(one.config.to_json()),
        "state": one.state,
        "reason": one.reason,
        "created_ms": one.created_ms,
        "checkpoint": one.checkpoint,
        "checkpoint_ms": one.checkpoint_ms,
        "done_to_ms": one.done_to_ms,
        "stats": json.dumps(one.stats),
    }


def _transform(row: dict[str, Any]) -> Transform:
    return Transform(
        config=parse_transform(json.loads(row["config"])),
        stats=json.loads(row["stats"]),
        **{name: row[name] for name in ("state", "created_ms", "reason", "checkpoint", "checkpoint_ms", "done_to_ms")},
    )
