"""A real disk, small and one's own, that gets full and read-only: everything says so, and nothing is damaged."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gridwatch.containers.sqlite import SqliteStore

SCRIPT = Path(__file__).with_name("disk_process.py")


def unshare() -> str | None:
    """Return the command that runs another among mounts that nobody else sees; None where this user may not mount."""
    found = shutil.which("unshare")
    if found is None:
        return None
    command = [found, "--mount", "/bin/mount", "-t", "tmpfs", "-o", "size=1m", "small", "/mnt"]
    return found if subprocess.run(command, capture_output=True, check=False).returncode == 0 else None


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str | None], list[object], Path]:
    """What each step said, what was there in the end, and a backup that was made on another disk."""
    alone = unshare()
    if alone is None:
        pytest.skip("mounting a small disk in a namespace of one's own wants root and unshare")
    folder = tmp_path_factory.mktemp("small")
    backup = tmp_path_factory.mktemp("large") / "backup.db"
    done = subprocess.run(
        [alone, "--mount", sys.executable, str(SCRIPT), str(folder), str(backup)],
        capture_output=True, check=False, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *steps, end = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    return dict(steps), end, backup


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (
            "full: rows",
            "small0/store.db': the disk is full; free some space and run this again, nothing was half written.",
        ),
        ("full: large object", "No space left on device; free some space and run this again."),
        ("full: backup", "No space left on device"),
        ("full: mail", "No space left on device"),
        ("full: compact", "the disk is full"),
        ("full: open", "the disk is full; free some space and run this again"),
        ("read-only: rows", "the disk is read-only; mount it so that it can be written to, and run this again."),
        ("read-only: new", "the disk is read-only; mount it so that it can be written to, and run this again."),
        ("read-only: mail", "Read-only file system"),
        ("read-only: backup", "Read-only file system"),
        ("read-only: restore", "Read-only file system"),
    ],
)
def test_what_cannot_be_written_is_told(
    said: tuple[dict[str, str | None], list[object], Path], step: str, message: str
) -> None:
    assert message in (said[0][step] or "no error")


def test_what_needs_no_space_goes_on(said: tuple[dict[str, str | None], list[object], Path]) -> None:
    steps, _, backup = said
    fine = ("full: read", "full: backup elsewhere", "again")
    assert {step: steps[step] for step in fine} == dict.fromkeys(fine)
    with SqliteStore(backup) as store:
        assert store.read("bars").num_rows == 1_000


def test_nothing_is_damaged_and_nothing_is_left_behind(said: tuple[dict[str, str | None], list[object], Path]) -> None:
    rows, broken, files, left, size = said[1]
    assert rows == 2_000
    assert broken == {}
    assert size == 9 << 20
    assert len(files) == 1  # type: ignore[arg-type]
    assert set(left) - {"inbox", "store.db-shm", "store.db-wal"} == {"store.db", "store.db.objects"}  # type: ignore[call-overload]
