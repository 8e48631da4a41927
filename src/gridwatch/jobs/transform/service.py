"""The life of transforms: made, changed, started, stopped, deleted, over one store; REST, CLI and flows call this."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gridwatch.errors import JobsConflictError, JobsRequestError, JobsValueError
from gridwatch.jobs.transform.config import parse_transform, updated_transform
from gridwatch.jobs.transform.destination import is_there
from gridwatch.jobs.transform.resources import Transform
from gridwatch.jobs.transform.runs import TransformRuns
from gridwatch.jobs.transform.stats import stats_json
from gridwatch.jobs.transform.work import Work

__all__ = ["TransformService"]


class TransformService(TransformRuns):
    """All that can be done with transforms.

    Args:
        store: Any backend.
        now_ms: The clock, UTC epoch ms.
    """

    def put(self, raw: object, *, transform_id: str | None = None, defer_validation: bool = False) -> Transform:
        """Make a transform, stopped.

        Args:
            raw: Its JSON.
            transform_id: The id in the URL.
            defer_validation: Whether containers and fields are looked at no sooner than at the start.

        Raises:
            JobsError: The JSON is wrong, the id is taken, or a container or field is missing.
        """
        now_ms = self.now_ms()
        # What a GET has answered can be put again: `create_time` and `version` are ours to say.
        made = {"create_time": now_ms, "version": None}
        config = parse_transform(raw, transform_id=transform_id).model_copy(update=made)
        if not defer_validation:
            Work(self.store, config, now_ms=now_ms)
        transform = Transform(config, "stopped", now_ms)
        self.transforms.add(transform)
        return transform

    def update(self, transform_id: str, raw: object, *, defer_validation: bool = False) -> Transform:
        """Change a transform; what it groups by and works out stays. What is done goes on, what runs keeps running.

        Raises:
            JobsNotFoundError: There is none.
            JobsError: The JSON is wrong, or a container or field is missing.
        """
        transform = self.transforms.get(transform_id)
        config = updated_transform(transform.config, raw)
        if not defer_validation:
            Work(self.store, config, now_ms=self.now_ms())
        return self._changed(self.transforms.change(transform, config=config), transform_id)

    def delete(self, transform_id: str, *, force: bool = False, delete_dest_index: bool = False) -> None:
        """Delete a transform that does not run.

        Args:
            transform_id: Which.
            force: Also one that runs.
            delete_dest_index: Also the container that it wrote, where it has made it.

        Raises:
            JobsNotFoundError: There is none.
            JobsConflictError: It runs, and that is not forced; or the container was there before it.
        """
        transform = self.transforms.get(transform_id)
        if transform.state != "stopped" and not force:
            raise JobsConflictError(
                f"Cannot delete transform [{transform_id}] as the task is running. Stop the transform first",
                transform_id=transform_id,
            )
        dest = transform.config.dest.index
        if delete_dest_index and not transform.made_dest and is_there(self.store, dest):
            raise JobsConflictError(
                f"Cannot delete the container {dest!r} with transform [{transform_id}], which has not made it: it was "
                "there before. Delete the transform alone, and drop the container where it is of no use to anybody.",
                transform_id=transform_id,
                container=dest,
            )
        self.transforms.drop(transform_id)
        if delete_dest_index and transform.made_dest:
            self.store.drop_container(dest)

    def preview(self, raw: Mapping[str, Any] | None = None, *, transform_id: str | None = None) -> dict[str, Any]:
        """Return what a transform would write: `preview`, documents, and `generated_dest_index`, their fields.

        Args:
            raw: The JSON of one.
            transform_id: Of one that is stored.

        Raises:
            JobsRequestError: Neither or both are given.
            JobsError: The JSON is wrong, or a container or field is missing.
        """
        if (raw is None) == (transform_id is None):
            raise JobsRequestError("a preview needs the id of a transform or its JSON, not both.")
        config = (
            parse_transform(raw, preview=True) if transform_id is None else self.transforms.get(transform_id).config
        )
        work = Work(self.store, config, now_ms=self.now_ms())
        return {
            "preview": work.preview(),
            "generated_dest_index": {"mappings": work.destination.mappings(), "settings": {}, "aliases": {}},
        }

    def start(self, transform_id: str, *, from_ms: int | None = None) -> Transform:
        """Start a transform; `run` or `run_due` does its work.

        Args:
            transform_id: Which.
            from_ms: Of a continuous one, first instant of its sync field that is read, UTC epoch ms.

        Raises:
            JobsNotFoundError: There is none, or no container of its source.
            JobsConflictError: It runs, or has failed.
            JobsValueError: A batch transform is to start from somewhere, or it has been there already.
        """
        transform = self.transforms.get(transform_id)
        if transform.state == "failed":
            raise JobsConflictError(
                f"Unable to start transform [{transform_id}] as it is in a failed state. Use force stop and then "
                "restart the transform once error is resolved.",
                transform_id=transform_id,
            )
        if transform.state != "stopped":
            raise JobsConflictError(
                f"Cannot start transform [{transform_id}] as it is already started.", transform_id=transform_id
            )
        if from_ms is not None:
            if not transform.config.continuous:
                raise JobsValueError("goes with a continuous transform only.", path="from")
            if transform.checkpoint:
                raise JobsValueError("the transform has been started before; reset it first.", path="from")
        # Containers, fields, query and scripts are looked at now, when somebody is there to read what is wrong.
        work = Work(self.store, transform.config, now_ms=self.now_ms())
        _, transform = self._made(transform, work)
        stats = {**transform.stats, "failures": 0, "searched_ms": None}
        if from_ms is not None:
            stats["from_ms"] = from_ms
        changed = self.transforms.change(transform, states=("stopped",), state="started", reason=None, stats=stats)
        return self._changed(changed, transform_id)

    def stop(self, pattern: str, *, force: bool = False, allow_no_match: bool = True) -> list[Transform]:
        """Stop transforms after the piece at hand; those that are stopped stay so.

        Args:
            pattern: Ids, several by comma, `*` allowed, `_all` for all.
            force: Also those that have failed.
            allow_no_match: Whether a pattern may match nothing.

        Raises:
            JobsNotFoundError: An id names none.
            JobsConflictError: One has failed, and that is not forced.
        """
        found = self.transforms.find(pattern, allow_no_match=allow_no_match)
        for transform in found:
            if transform.state == "failed" and not force:
                raise JobsConflictError(
                    f"Unable to stop transform [{transform.id}] as it is in a failed state. Use force stop to stop the "
                    "transform.",
                    transform_id=transform.id,
                )
        return [self.transforms.change(one, state="stopped", reason=None) or one for one in found]

    def reset(self, transform_id: str, *, force: bool = False) -> Transform:
        """Bring a stopped transform back to its beginning, and drop the container that it wrote, where it has made it.

        Raises:
            JobsNotFoundError: There is none.
            JobsConflictError: It runs, and that is not forced.
        """
        transform = self.transforms.get(transform_id)
        if transform.state != "stopped" and not force:
            raise JobsConflictError(
                f"Cannot reset transform [{transform_id}] as the task is running. Stop the transform first",
                transform_id=transform_id,
            )
        if transform.made_dest:
            self.store.drop_container(transform.config.dest.index)
        changed = self.transforms.change(
            transform, state="stopped", reason=None, checkpoint=0, checkpoint_ms=None, done_to_ms=None, stats={}
        )
        return self._changed(changed, transform_id)

    def stats(self, pattern: str = "_all", *, allow_no_match: bool = True) -> list[dict[str, Any]]:
        """Return how transforms are, as `_stats` answers it.

        Raises:
            JobsNotFoundError: An id names none.
        """
        return [stats_json(one) for one in self.transforms.find(pattern, allow_no_match=allow_no_match)]

    def _changed(self, changed: Transform | None, transform_id: str) -> Transform:
        if changed is None:
            raise JobsConflictError(f"Transform [{transform_id}] was changed by somebody else; try again.")
        return changed
