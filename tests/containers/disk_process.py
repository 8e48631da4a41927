"""Run as a script by the tests, in a mount namespace of its own: a small disk that gets full, then read-only.

Usage: disk_process.py EMPTY_FOLDER BACKUP

Prints what was said, one line of JSON a step; ends with the number of rows and objects that are there afterwards.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from gridwatch.alerts.inbox import Inbox
from gridwatch.containers.catalog import series_info
from gridwatch.containers.objects import ObjectStore
from gridwatch.containers.restore import restore_store
from gridwatch.containers.sqlite import SqliteStore
from gridwatch.errors import GridwatchError

MAIL = {
    "personalizations": [{"to": [{"email": "me@example.com"}]}],
    "from": {"email": "gridwatch@example.com"},
    "subject": "s",
    "content": [{"type": "text/plain", "value": "t"}],
}
LARGE = bytes(9 << 20)


def rows(first: int, many: int) -> pa.Table:
    """Return rows of so many milliseconds."""
    return pa.table({"ts": pa.array(range(first, first + many), pa.timestamp("ms", "UTC")), "close": [1.5] * many})


def say(step: str, work: Callable[[], object]) -> None:
    """Do one step and print the error that it ends with, or null."""
    try:
        work()
        said = None
    except GridwatchError as error:
        said = str(error)
    print(json.dumps([step, said]), flush=True)


def mount(*options: str) -> None:
    """Mount the small disk, or change it."""
    subprocess.run(["/bin/mount", *options], check=True)


def fill(file: Path) -> None:
    """Write until there is no space left."""
    with file.open("wb", buffering=0) as out, suppress(OSError):
        while True:
            out.write(bytes(4096))


def main(folder: Path, backup: Path) -> None:
    """Go through everything."""
    mount("-t", "tmpfs", "-o", "size=24m", "small", str(folder))
    path, filling = folder / "store.db", folder / "filling"
    inbox = Inbox(folder / "inbox")
    with SqliteStore(path) as store:
        objects = ObjectStore(store)
        store.put_container(series_info("bars"))
        store.put("bars", rows(0, 1_000))
        objects.put("before", LARGE)
        fill(filling)
        say("full: rows", lambda: store.put("bars", rows(1_000, 100_000)))
        say("full: large object", lambda: objects.put("after", LARGE))
        say("full: backup", lambda: store.backup(folder / "backup.db"))
        say("full: backup elsewhere", lambda: store.backup(backup))
        say("full: mail", lambda: inbox.keep(MAIL, now_ms=1))
        say("full: read", lambda: store.read("bars"))
        say("full: compact", store.compact)
    filling.unlink()
    with SqliteStore(path) as store:
        say("again", lambda: store.put("bars", rows(1_000, 1_000)))
    fill(filling)
    say("full: open", lambda: SqliteStore(path))
    filling.unlink()
    # Not while a file is open for writing: no disk can be made read-only then.
    mount("-o", "remount,ro", str(folder))
    # Whether it opens at all depends on which of SQLite's files were left.
    say("read-only: rows", lambda: SqliteStore(path).put("bars", rows(9_000, 1)))
    say("read-only: new", lambda: SqliteStore(folder / "new.db"))
    say("read-only: mail", lambda: inbox.keep(MAIL, now_ms=1))
    say("read-only: backup", lambda: SqliteStore(backup).backup(folder / "backup.db"))
    say("read-only: restore", lambda: restore_store(backup, path))
    mount("-o", "remount,rw", str(folder))
    with SqliteStore(path) as store:
        whole = store.read("bars").num_rows, ObjectStore(store).check().broken, sorted(store.files.sizes())
        left = sorted(one.name for one in folder.iterdir())
        print(json.dumps([*whole, left, len(ObjectStore(store).read("before"))]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
