"""Run as a script by the tests: restores a backup, and dies at one step as a killed process does.

Usage: restore_process.py STEP BACKUP STORE
"""

import os
import sys
from pathlib import Path
from typing import Any

from gridwatch.containers import restore


def main(step: str, backup: Path, target: Path) -> None:
    """Restore, and end without a word as soon as the step begins; a number is how many renamings come before."""

    def die(*_: Any, **__: Any) -> None:
        os._exit(9)

    if step.isdigit():
        replace, left = Path.replace, [int(step)]

        def counting(self: Path, name: Path) -> Path:
            left[0] -= 1
            if left[0] < 0:
                die()
            return replace(self, name)

        Path.replace = counting  # type: ignore[assignment]
    else:
        owner: Any = os if step == "link" else restore
        setattr(owner, step, die)
    restore.restore_store(backup, target)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
