"""Objects as a tree of folders and files."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from gridwatch.cli._output import moment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.tree import Tree

    from gridwatch.containers.objects import ObjectInfo

__all__ = ["bytes_text", "print_tree"]


def bytes_text(size: int) -> str:
    """Return a number of bytes for people.

    >>> bytes_text(0), bytes_text(1023), bytes_text(1536), bytes_text(3 * 1024**3)
    ('0 B', '1023 B', '1.5 KiB', '3.0 GiB')
    """
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def print_tree(title: str, root: str, infos: Iterable[ObjectInfo], *, long: bool) -> None:
    """Print objects below `root`; each line has the size, a folder's the sum of what is in it."""
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    infos = list(infos)
    sums: dict[str, int] = {}
    for info in infos:
        parts = info.path.rstrip("/").split("/")
        for depth in range(len(parts) + info.is_folder):
            folder = "/".join(parts[:depth])
            sums[folder] = sums.get(folder, 0) + (info.size or 0)
    top = Tree(Text(f"{title}  {bytes_text(sum(info.size or 0 for info in infos))}"))
    branches: dict[str, Tree] = {root: top}

    def branch(folder: str) -> Tree:
        if folder not in branches:
            above, _, name = folder.rpartition("/")
            # Text, not markup: a name may hold brackets.
            branches[folder] = branch(above).add(Text(f"{name}/  {bytes_text(sums.get(folder, 0))}"))
        return branches[folder]

    for info in infos:
        if info.is_folder:
            branch(info.path.rstrip("/"))
            continue
        folder, _, name = info.path.rpartition("/")
        line = f"{name}  {bytes_text(info.size or 0)}"
        if long:
            line += f"  {moment(info.stored_ms)}  {info.sha256}"
        (top if info.path == root else branch(folder)).add(Text(line))
    # Off a terminal nothing may be cut at 80 columns.
    Console(width=None if sys.stdout.isatty() else 500).print(top, soft_wrap=True)
