"""Run as a script by the tests: a process that has used the repository forks, and both go on."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mlflow_griddb import GridDBArtifactRepository


def log(repository: GridDBArtifactRepository, folder: Path, name: str) -> None:
    """Store a file of this name."""
    (folder / name).write_text(name)
    repository.log_artifact(str(folder / name))


def main(folder: Path) -> None:
    """Store `parent`, and after a fork `child` there and `parent again` here."""
    repository = GridDBArtifactRepository("griddb:///root")
    log(repository, folder, "parent")
    child = os.fork()
    if child == 0:
        try:
            log(repository, folder, "child")
        except BaseException:  # noqa: BLE001  # a child must not go on with the rest
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    log(repository, folder, "parent again")
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert len(repository.list_artifacts()) == 3


if __name__ == "__main__":
    main(Path(sys.argv[1]))
