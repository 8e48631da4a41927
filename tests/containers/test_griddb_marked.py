"""A GridDB server that was asked for and is not there makes the tests fail; they are never skipped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (None, "Tests marked griddb need GRIDWATCH_TEST_GRIDDB_URL=griddb://host:port/cluster/database "),
        ("griddb://127.0.0.1:9/c/db", "GridDB cluster 'c' does not answer, transaction service: 127.0.0.1:9"),
    ],
)
def test_a_server_that_is_asked_for_and_not_there_is_a_failure(url: str | None, told: str) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GRIDWATCH_")}
    environ["GRIDWATCH_GRIDDB__PASSWORD"] = "p"
    if url is not None:
        environ["GRIDWATCH_TEST_GRIDDB_URL"] = url
    words = ["-m", "griddb", "-q", "-p", "no:cacheprovider", "tests/containers/test_griddb.py", "-k", "threads"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stdout
    assert told in done.stdout
    assert "skipped" not in done.stdout
