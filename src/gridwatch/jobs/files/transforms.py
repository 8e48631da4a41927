"""Transforms in files: what has to be done about each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gridwatch.errors import JobsError, JobsNotFoundError
from gridwatch.jobs.files.steps import Change, Step, changes, top_of
from gridwatch.jobs.transform import TransformService, parse_transform
from gridwatch.jobs.transform.config import updated_transform
from gridwatch.jobs.transform.destination import is_there
from gridwatch.jobs.transform.work import Work

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.jobs.files.known import Known
    from gridwatch.jobs.files.reading import Resource
    from gridwatch.jobs.service import JobsService
    from gridwatch.jobs.transform import Transform, TransformConfig

__all__ = ["apply", "plan"]

_OURS = ("create_time", "version")


def plan(known: Known, one: Resource, *, recreate: bool) -> Step:
    """Return what has to be done about a transform."""
    try:
        config = parse_transform(one.body, transform_id=one.id)
    except JobsError as error:
        return Step("transform", one.id, "refuse", one.file, reason=str(error))
    stored = known.transforms.get(one.id)
    found = () if stored is None else changes(_told(stored.config), _told(config))
    if stored is not None and not found:
        return Step("transform", one.id, "none", one.file)
    warnings: tuple[str, ...] = ()
    try:
        Work(known.service.store, config, now_ms=known.service.now_ms())
    except JobsNotFoundError as error:
        # Rows may come later; a start tells it again.
        warnings = (str(error),)
    except JobsError as error:
        return Step("transform", one.id, "refuse", one.file, found, str(error))
    if stored is None:
        return Step("transform", one.id, "create", one.file, warnings=warnings, body=one.body)
    return _changed(known.service.store, one, stored, config, found, warnings, recreate=recreate)


def _changed(
    store: Store,
    one: Resource,
    stored: Transform,
    config: TransformConfig,
    found: tuple[Change, ...],
    warnings: tuple[str, ...],
    *,
    recreate: bool,
) -> Step:
    fixed = [each.path for each in found if top_of(each.path) in {"pivot", "latest"}]
    if stored.config.continuous != config.continuous:
        fixed.append("sync")
    if stored.config.dest.index != config.dest.index:
        fixed.append("dest.index")
    if fixed:
        reason = f"[{fixed[0]}] never changes in a transform that is there"
        dest = f"the container {stored.config.dest.index!r}"
        if not recreate:
            also = f" and {dest}" if stored.made_dest else ""
            reason += f"; --recreate deletes it{also}, and makes it anew"
            return Step("transform", one.id, "refuse", one.file, found, reason)
        if stored.made_dest:
            warnings = (*warnings, f"{dest} is dropped, and written anew once the transform is started")
        elif is_there(store, stored.config.dest.index):
            warnings = (*warnings, f"{dest}, which it has not made, stays as it is")
        return Step("transform", one.id, "recreate", one.file, found, reason, warnings, one.body)
    given = config.model_dump(exclude_unset=True, exclude_none=True, by_alias=True)
    body: dict[str, Any] = {top: given.get(top) for top in dict.fromkeys(top_of(each.path) for each in found)}
    if "settings" in body:
        # An update adds to the settings that are there, so what is to go is said.
        body["settings"] = {**dict.fromkeys(stored.config.settings.model_fields_set), **(body["settings"] or {})}
    try:
        updated_transform(stored.config, body)
    except JobsError as error:
        return Step("transform", one.id, "refuse", one.file, found, str(error))
    return Step("transform", one.id, "update", one.file, found, warnings=warnings, body=body)


def _told(config: TransformConfig) -> dict[str, Any]:
    return {name: value for name, value in config.to_json().items() if name not in _OURS}


def apply(service: JobsService, step: Step) -> None:
    """Do a step.

    Raises:
        JobsError: The store is no longer as it was planned for.
    """
    if step.action == "none":
        return
    transforms = TransformService(service.store, now_ms=service.now_ms)
    if step.action in {"delete", "recreate"}:
        again = step.action == "recreate"
        transforms.delete(
            step.id, force=again, delete_dest_index=again and transforms.transforms.get(step.id).made_dest
        )
    if step.action in {"create", "recreate"}:
        transforms.put(step.body, transform_id=step.id, defer_validation=True)
    if step.action == "update":
        transforms.update(step.id, step.body, defer_validation=True)
