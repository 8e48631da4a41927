"""What every command shares: settings read once at the edge, the clock, and where a crash is written down."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gridwatch.cli._logging import configure
from gridwatch.folders import make_private

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.settings import Settings
    from gridwatch.sources import Dataset

__all__ = ["artifacts_of", "datasets", "now_ms", "project_dir", "settings", "state", "store"]


@dataclass
class _State:
    verbose: bool = False

    def crash_log(self, text: str) -> Path | None:
        """Append a traceback to `logs/cli.log` of the home folder; None where that cannot be written."""
        path = Path(os.environ.get("GRIDWATCH_HOME", ".gridwatch")).absolute() / "logs" / "cli.log"
        try:
            make_private(path.parent)
            with path.open("a", encoding="utf-8") as out:
                out.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}\n{text}\n")
        except OSError:
            return None
        return path


state = _State()


def now_ms() -> int:
    """Return the time, UTC epoch ms; the library never asks for it itself."""
    return time.time_ns() // 1_000_000


def settings(*, running: bool = True, demo: bool = False) -> Settings:
    """Return the settings, with the addresses of a running `gridwatch up` where they name none; logs as they say.

    Args:
        running: Whether to fill those in.
        demo: Show what the demo left when there are no data of one's own yet, and say so on stderr.

    Raises:
        ConfigError: A value is wrong.
    """
    from gridwatch.settings import load_settings

    found = load_settings()
    # Anew, for only now a level of `.env` is known; `--verbose` wins.
    configure("DEBUG" if state.verbose else found.log_level)
    if demo and found.store_url is None and not _has_data(found):
        home = found.home / "demo"
        if (home / "store.db").exists():
            sys.stderr.write(f"No data of your own in {found.home} yet: these are the demo's.\n")
            found = found.model_copy(update={"home": home, "datasets_dir": home / "datasets"})
    if not running:
        return found
    from gridwatch.supervisor.platform import with_addresses
    from gridwatch.supervisor.state import read_state

    up = read_state(found.home)
    return with_addresses(found, up.addresses) if up and up.alive else found


def _has_data(found: Settings) -> bool:
    """Tell whether the embedded store has more than the files of MLflow's runs, as an evaluation leaves them."""
    from gridwatch.containers.catalog import ARTIFACT_CHUNKS, ARTIFACTS

    if not (found.home / "store.db").exists():
        return False
    with store(found) as opened:
        return not set(opened.containers()) <= {ARTIFACTS.name, ARTIFACT_CHUNKS.name}


def datasets(found: Settings, names: list[str] | None) -> list[Dataset]:
    """Return the named datasets, or all that are enabled.

    Raises:
        DatasetError: A file is missing or wrong.
    """
    from gridwatch.sources import load_datasets

    return load_datasets(found.datasets_dir, names, disabled=False)


@contextmanager
def artifacts_of(found: Settings) -> Iterator[None]:
    """Have MLflow's artifacts at `griddb:///` read from the store of these settings: its plugin asks the environment.

    They are another's than the environment names where the demo's data are shown.
    """
    before = os.environ.get("GRIDWATCH_HOME")
    os.environ["GRIDWATCH_HOME"] = str(found.home)
    try:
        yield
    finally:
        if before is None:
            del os.environ["GRIDWATCH_HOME"]
        else:
            os.environ["GRIDWATCH_HOME"] = before


def store(found: Settings) -> Store:
    """Open the container store of these settings."""
    from gridwatch.containers import open_store

    return open_store(found.store, settings=found)


def project_dir() -> Path:
    """Return the folder to work from: the current one."""
    return Path.cwd()
