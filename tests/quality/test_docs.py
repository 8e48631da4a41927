"""The folder of the Data Docs: its lock and its bound."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from gridwatch.errors import QualityError
from gridwatch.quality.docs import one_at_a_time, prune


def test_a_second_writer_is_told_who_holds_it(tmp_path: Path) -> None:
    told: list[str] = []

    def second(folder: Path | None) -> None:
        try:
            with one_at_a_time(folder, wait_s=0.1):
                told.append("in")
        except QualityError as error:
            told.append(str(error))

    with one_at_a_time(tmp_path):
        thread = threading.Thread(target=second, args=(tmp_path,))
        thread.start()
        thread.join()
    assert told == ["Another validation of this process has been running for 0.1 s."]
    second(tmp_path)
    second(None)
    assert told[1:] == ["in", "in"]


def test_another_process_is_waited_for_with_a_bound(tmp_path: Path) -> None:
    import fcntl

    with (tmp_path / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(QualityError, match=r"Another validation holds '.*\.lock' for 0\.1 s; is one stuck\?"):
            with one_at_a_time(tmp_path, wait_s=0.1):
                pass


def test_only_the_newest_runs_keep_their_pages(tmp_path: Path) -> None:
    for place in ("validations", "data_docs/local_site/validations"):
        for number in range(5):
            run = tmp_path / "gx/uncommitted" / place / "ohlcv" / f"run-{number}"
            run.mkdir(parents=True)
            (run / "page").write_text("x")
            os.utime(run, (number, number))
    assert prune(tmp_path, runs_max=2) == 6
    assert sorted({path.parent.name for path in tmp_path.rglob("page")}) == ["run-3", "run-4"]
    assert prune(tmp_path / "nothing") == 0
