"""The project files that gridwatch ships: in the wheel's package data, or in the source tree of an editable install."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gridwatch.errors import ConfigError

__all__ = ["project_files", "shipped"]

_PARTS = (
    "flows",
    "expectations",
    "grafana",
    "kafka_connect/connectors",
    "kafka_connect/griddb-sink.json",
    "prefect.yaml",
)


def shipped() -> Path:
    """Return the folder of gridwatch's own `flows/`, `expectations/`, `grafana/`, `kafka_connect/` and `prefect.yaml`.

    Raises:
        ConfigError: The installation lacks them.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_project", package.parents[1]):
        if (folder / "prefect.yaml").is_file() and (folder / "flows").is_dir():
            return folder
    raise ConfigError(f"This installation of gridwatch in {str(package)!r} lacks its project files; install it again.")


def project_files() -> Iterator[tuple[Path, Path]]:
    """Give each shipped file and its path in a project, sorted."""
    root = shipped()
    for part in _PARTS:
        top = root / part
        found = [top] if top.is_file() else sorted(path for path in top.rglob("*") if path.is_file())
        for path in found:
            if "__pycache__" not in path.parts and path.suffix != ".pyc":
                yield path, path.relative_to(root)
