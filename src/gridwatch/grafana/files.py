"""All files below `grafana/`: made from the datasets, written, and compared with what is there."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from gridwatch.errors import ConfigError
from gridwatch.grafana.alerting import rules
from gridwatch.grafana.dashboards import overview, series_dashboard
from gridwatch.grafana.griddb_plugin import GridDBPlugin
from gridwatch.grafana.infinity import Infinity
from gridwatch.grafana.panels import Source
from gridwatch.grafana.provisioning import VARIABLES, data_sources, providers

if TYPE_CHECKING:
    from gridwatch.sources import Dataset

__all__ = ["PAGES", "Drift", "build", "compare", "write"]

PAGES = "http://127.0.0.1:8090"
"""Where gridwatch's own pages are unless told otherwise."""

_HEAD = "# Written by `gridwatch grafana build`; docs/grafana.md says how Grafana is told of it.\n"


@dataclass(frozen=True, slots=True)
class Drift:
    """How a folder differs from what would be built.

    Attributes:
        missing: Files that are not there.
        changed: Files with other content.
        stale: Files that are there, but would not be built.
    """

    missing: list[str]
    changed: list[str]
    stale: list[str]

    def __bool__(self) -> bool:
        return bool(self.missing or self.changed or self.stale)


def build(datasets: Sequence[Dataset], *, pages: str = PAGES) -> dict[str, str]:
    """Return the text of every file, by its path below `grafana/`.

    Args:
        datasets: What is watched; a dashboard each and data source.
        pages: Address of gridwatch's own pages, as those who look at Grafana reach it.

    Raises:
        ConfigError: The address is none of http or https, or has characters that belong into no address.
    """
    # It ends up in links and in a string of SQL.
    if not re.fullmatch(r"https?://[A-Za-z0-9.:\[\]_~%/-]+", pages):
        raise ConfigError(f"{pages!r} is no address of gridwatch's pages; use one such as {PAGES}.")
    pages = pages.rstrip("/")
    sources: list[Source] = [Infinity(), GridDBPlugin()]
    ordered = sorted(datasets, key=lambda dataset: dataset.name)
    found: dict[str, str] = {
        "provisioning/datasources/gridwatch.yaml": _yaml(data_sources()),
        "provisioning/dashboards/gridwatch.yaml": _yaml(providers(sources)),
        "provisioning/alerting/gridwatch.yaml": _yaml(rules(ordered)),
        "grafana.env.example": _example(),
    }
    for source in sources:
        folder = f"dashboards/{source.folder}"
        # No dataset can be called so: names begin with a letter or a digit.
        found[f"{folder}/_overview.json"] = _json(overview(ordered, source, pages=pages))
        for dataset in ordered:
            found[f"{folder}/{dataset.name}.json"] = _json(series_dashboard(dataset, source, pages=pages))
    return found


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _yaml(value: dict[str, Any]) -> str:
    import yaml

    class Plain(yaml.SafeDumper):  # type: ignore[misc]  # PyYAML has no types
        """Writes a value again where it is used again, rather than a reference to it."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    text: str = yaml.dump(value, Dumper=Plain, sort_keys=False, allow_unicode=True, width=110)
    return _HEAD + text


def _example() -> str:
    lines = [f"#{name}=  # {told}" for name, told in VARIABLES.items()]
    head = "# Variables of Grafana's own environment that the files here name; keep the password out of Git."
    return "\n".join([head, *lines]) + "\n"


def write(files: dict[str, str], folder: Path) -> list[Path]:
    """Write the files and delete dashboards that would not be built any more; return what was touched.

    Raises:
        ConfigError: A file cannot be written.
    """
    drift = compare(files, folder)
    touched = [folder / name for name in [*drift.missing, *drift.changed]]
    try:
        for path, name in zip(touched, [*drift.missing, *drift.changed], strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[name], encoding="utf-8")
        for name in drift.stale:
            (folder / name).unlink()
    except OSError as error:
        raise ConfigError(f"Cannot write {str(error.filename or folder)!r}: {error.strerror}.") from error
    return [*touched, *(folder / name for name in drift.stale)]


def compare(files: dict[str, str], folder: Path) -> Drift:
    """Compare a folder with what would be built; only dashboards count as stale, all else may be someone's own.

    Raises:
        ConfigError: A file cannot be read.
    """
    missing, changed = [], []
    for name, text in files.items():
        path = folder / name
        if not path.is_file():
            missing.append(name)
        elif path.read_bytes() != text.encode():
            changed.append(name)
    built = [str(PurePosixPath(path.relative_to(folder))) for path in sorted(folder.glob("dashboards/*/*.json"))]
    return Drift(missing, changed, [name for name in built if name not in files])
