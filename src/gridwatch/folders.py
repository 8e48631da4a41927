"""Folders that hold gridwatch's data, which are for their owner alone."""

from __future__ import annotations

from pathlib import Path

__all__ = ["make_private"]


def make_private(folder: Path) -> None:
    """Make a folder and those above it that are missing, mode 0700; one that is there already stays as it is.

    Raises:
        OSError: It cannot be made, or there is a file of this name.
    """
    # Not `mkdir(parents=True)`: it gives the mode to the last one only, and the home folder is seldom that.
    missing = [one for one in (folder, *folder.parents) if not one.is_dir()]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)
