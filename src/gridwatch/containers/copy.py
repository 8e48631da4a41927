"""Containers copied from one store to another, whatever their backends: resumable, and verified on both sides.

A container is copied block by block, in the order of its key. What the target holds already is read and compared, so a
copy that was killed goes on where it was without any notes of its own, and a row that differs is found before anything
is put over it. At the end the whole target is read again: its count and checksum must be those of the rows that the
source gave.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import structlog

from gridwatch.containers._fingerprint import Fingerprint, row_hashes
from gridwatch.containers._literals import name_sql
from gridwatch.containers.catalog import ARTIFACTS
from gridwatch.containers.copy_blocks import blocks_of
from gridwatch.containers.schema import ContainerInfo
from gridwatch.containers.store import Store
from gridwatch.errors import ConfigError, ContainerExistsError, ContainerNotFoundError, StoreError

__all__ = ["Copied", "copy_container", "copy_store"]

log = structlog.get_logger(__name__)

Progress = Callable[[int, "int | None"], None]


@dataclass(frozen=True, slots=True)
class Copied:
    """What became of one container.

    Args:
        container: Its name.
        rows: How many there are, on both sides.
        copied: How many of them were put by this run; the others were there.
        checksum: 32 hex digits over all rows, the same on both sides.
        made: Whether this run made the container in the target.
    """

    container: str
    rows: int
    copied: int
    checksum: str
    made: bool


def copy_store(
    source: Store,
    target: Store,
    names: Sequence[str] | None = None,
    *,
    overwrite: bool = False,
    progress: Progress = lambda _done, _total: None,
    on_copied: Callable[[Copied], None] = lambda _copied: None,
) -> list[Copied]:
    """Copy containers, all or the named ones, with their indexes and partitioning.

    The manifests of stored objects come last, so that nobody sees an object whose bytes are not all there.

    Args:
        source: Stays as it is.
        target: May hold other containers, and parts of these.
        names: Compared without case; None for all.
        overwrite: Put rows over ones of the same key that differ, instead of refusing.
        progress: Told rows done and rows in all.
        on_copied: Called when a container is copied and verified.

    Raises:
        ConfigError: Both stores are the same.
        ContainerNotFoundError: The source has no container of a name; nothing was copied.
        ContainerExistsError: The target has one with another schema, or with rows of its own.
        StoreError: The sides differ after all, because somebody wrote meanwhile.
    """
    if source.url == target.url:
        raise ConfigError(f"Source and target are the same store, {source.url!r}.")
    infos = [_info(source, name) for name in (names if names is not None else source.containers())]
    infos.sort(key=lambda info: (info.name.lower() == ARTIFACTS.name, info.name))
    for info in infos:
        _refuse_other_schema(info, target)
    counts = {info.name: _count(source, info) for info in infos}
    total, done = sum(counts.values()), 0
    progress(0, total)
    found = []
    for info in infos:
        before = done
        copied = copy_container(
            source,
            target,
            info,
            overwrite=overwrite,
            progress=lambda rows, _all, before=before: progress(min(before + rows, total), total),  # type: ignore[misc]
        )
        done += counts[info.name]
        progress(done, total)
        found.append(copied)
        on_copied(copied)
    log.info(
        "store_copied", source=source.url, target=target.url, containers=len(found), rows=total,
        copied=sum(one.copied for one in found),
    )  # fmt: skip
    return found


def copy_container(
    source: Store,
    target: Store,
    info: ContainerInfo,
    *,
    overwrite: bool = False,
    progress: Progress = lambda _done, _total: None,
) -> Copied:
    """Copy one container and verify it; see `copy_store`.

    Raises:
        ContainerExistsError: The target has it with another schema, or with rows of its own.
        StoreError: The sides differ afterwards.
    """
    made = target.container(info.name) is None
    there = target.put_container(info)
    held = 0 if made else _count(target, there)
    ours, copied = Fingerprint(), 0
    for block in blocks_of(source, info):
        rows = block.rows()
        ours += Fingerprint.of(rows)
        missing = rows
        if held:
            there_now = block.same_of(target, there)
            missing = _missing(rows, there_now, there, overwrite=overwrite, target=target)
        if missing.num_rows:
            target.put(there.name, missing)
        copied += missing.num_rows
        progress(ours.rows, None)
    theirs = _fingerprint(target, there)
    if theirs != ours:
        raise StoreError(_difference(info, ours, theirs, source, target), container=info.name)
    log.debug("container_copied", container=info.name, rows=ours.rows, copied=copied, checksum=ours.checksum)
    return Copied(info.name, ours.rows, copied, ours.checksum, made)


def _info(source: Store, name: str) -> ContainerInfo:
    info = source.container(name)
    if info is None:
        raise ContainerNotFoundError(f"No container {name!r} in store {source.url!r}.", container=name)
    return info


def _refuse_other_schema(info: ContainerInfo, target: Store) -> None:
    there = target.container(info.name)
    if there is None:
        return
    for what, ours, theirs in (
        ("type", info.type, there.type),
        ("columns", _columns(info), _columns(there)),
        ("row key", [name.lower() for name in info.row_key], [name.lower() for name in there.row_key]),
        ("partitioning", info.partitioning, there.partitioning),
    ):
        if ours != theirs:
            raise ContainerExistsError(
                f"Container {info.name!r} is in the target {target.url!r} with another {what} ({theirs}, not {ours}); "
                "rename or drop it there, or leave it out.",
                container=info.name,
            )


def _columns(info: ContainerInfo) -> list[str]:
    return [f"{column.name.lower()} {column.type}{'' if column.nullable else ' NOT NULL'}" for column in info.columns]


def _count(store: Store, info: ContainerInfo) -> int:
    rows = store.sql(f"SELECT COUNT(*) FROM {name_sql(info.name)}")
    return int(rows.column(0)[0].as_py())


def _missing(rows: pa.Table, held: pa.Table, info: ContainerInfo, *, overwrite: bool, target: Store) -> pa.Table:
    """Return the rows that the target does not hold, or all that differ when they may be put over the target's."""
    if not held.num_rows:
        return rows
    ours, theirs = _as_keys(row_hashes(rows)), _as_keys(row_hashes(held))
    if not info.row_key:
        # Without a key, rows are told apart by their place alone, and nothing can be put over anything.
        if len(theirs) <= len(ours) and (ours[: len(theirs)] == theirs).all():
            return rows.slice(len(theirs))
        raise _other_rows(info, target, "the rows there are not the first of the source's", "drop it there")
    other = ~np.isin(theirs, ours)
    if other.any() and not overwrite:
        key = held.slice(int(np.flatnonzero(other)[0]), 1).select(list(info.row_key)).to_pylist()[0]
        what = f"such as {', '.join(f'{name} = {value}' for name, value in key.items())}, which may be newer"
        hint = "pass --overwrite to put the source's over them, or drop it there"
        raise _other_rows(info, target, what, hint)
    return rows.filter(pa.array(~np.isin(ours, theirs)))


def _other_rows(info: ContainerInfo, target: Store, what: str, hint: str) -> ContainerExistsError:
    return ContainerExistsError(
        f"Container {info.name!r} of the target {target.url!r} has rows that differ from the source's, {what}; {hint}.",
        container=info.name,
    )


def _as_keys(hashes: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(hashes).view([("low", np.uint64), ("high", np.uint64)]).reshape(-1)


def _fingerprint(store: Store, info: ContainerInfo) -> Fingerprint:
    found = Fingerprint()
    for block in blocks_of(store, info):
        found += Fingerprint.of(block.rows())
    return found


def _difference(info: ContainerInfo, ours: Fingerprint, theirs: Fingerprint, source: Store, target: Store) -> str:
    if ours.rows == theirs.rows:
        what = f"its {ours.rows} rows have checksum {theirs.checksum} there and {ours.checksum} in the source"
    else:
        what = f"it has {theirs.rows} rows there and {ours.rows} in the source"
    return (
        f"Container {info.name!r} differs after the copy from {source.url!r} to {target.url!r}: {what}. Somebody wrote "
        "to one of them meanwhile, or the target had rows of its own; stop what writes (`gridwatch down`) and copy "
        "again."
    )
