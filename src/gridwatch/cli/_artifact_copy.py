"""What `artifacts cp` copies, and how one file is copied."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridwatch.containers.object_uri import uri_of
from gridwatch.errors import ConfigError

if TYPE_CHECKING:
    from gridwatch.containers.objects import ObjectStore

__all__ = ["Job", "download", "plan_download", "plan_upload", "upload"]


@dataclass(frozen=True, slots=True)
class Job:
    """One file, or an empty folder, to be copied; `size` in bytes."""

    local: Path
    path: str
    size: int
    is_folder: bool = False


def plan_upload(objects: ObjectStore, source: Path, path: str, *, folder: bool, recursive: bool) -> list[Job]:
    """Return the files to upload.

    Args:
        objects: Where to.
        source: A file, or with `recursive` a folder.
        path: The object or folder it becomes.
        folder: Whether `path` is meant as a folder.
        recursive: Whether a folder may be copied.

    Raises:
        ConfigError: There is nothing to copy, or it is a folder without `recursive`.
    """
    if source.is_dir():
        if not recursive:
            raise ConfigError(f"{source} is a folder; copy it with -r.")
        jobs = []
        for place, folders, names in os.walk(source, followlinks=False):
            here = Path(place)
            below = "/".join(part for part in (path, *here.relative_to(source).parts) if part)
            for name in sorted(names):
                file = here / name
                jobs.append(Job(file, f"{below}/{name}".lstrip("/"), file.stat().st_size))
            if not folders and not names and below:
                jobs.append(Job(here, below, 0, is_folder=True))
        return jobs
    if not source.is_file():
        raise ConfigError(f"There is no file {source}.")
    if folder or not path or objects.is_folder(path):
        path = f"{path}/{source.name}".lstrip("/")
    return [Job(source, path, source.stat().st_size)]


def plan_download(objects: ObjectStore, path: str, target: str, *, recursive: bool) -> list[Job]:
    """Return the objects to download.

    Args:
        objects: Where from.
        path: An object, or with `recursive` a folder.
        target: The local file or folder it becomes.
        recursive: Whether a folder may be copied.

    Raises:
        ConfigError: There is nothing to copy, or it is a folder without `recursive`.
        ValueRefusedError: An object in it has a path that could leave the target; nothing is copied.
    """
    from gridwatch.containers.objects import check_path

    local = Path(target)
    found = objects.list(path, folders=True)
    for info in found:
        # Rows may have been put into the container by others than gridwatch.
        check_path(info.path.removesuffix("/"))
    if not found:
        raise ConfigError(f"There is nothing at {uri_of(path)}; `gridwatch artifacts ls` shows what there is.")
    if found[0].path == path:
        into = local.is_dir() or target.endswith(("/", os.sep))
        return [Job(local / path.rpartition("/")[2] if into else local, path, found[0].size)]
    if not recursive:
        raise ConfigError(f"{uri_of(path)} is a folder; copy it with -r.")
    return [Job(local / info.path[len(path) :].strip("/"), info.path, info.size, info.is_folder) for info in found]


def upload(objects: ObjectStore, job: Job, progress: Callable[[int], None]) -> dict[str, Any] | None:
    """Copy one file into the store; return what it has become."""
    if job.is_folder:
        objects.put_folder(job.path)
        return None
    with job.local.open("rb", buffering=0) as source:
        info = objects.put(job.path, source, progress=progress)
    return {"uri": uri_of(info.path), "local": str(job.local), "size": info.size, "sha256": info.sha256}


def download(objects: ObjectStore, job: Job, progress: Callable[[int], None]) -> dict[str, Any] | None:
    """Copy one object out of the store; return what was copied."""
    if job.is_folder:
        job.local.mkdir(parents=True, exist_ok=True)
        return None
    job.local.parent.mkdir(parents=True, exist_ok=True)
    info = objects.download(job.path, job.local, progress=progress)
    return {"uri": uri_of(info.path), "local": str(job.local), "size": info.size, "sha256": info.sha256}
