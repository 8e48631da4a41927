"""The examples of docs/webapi.md: each curl command runs, and answers what the page shows."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gridwatch.containers import Store
from gridwatch.server.griddb_webapi import limits
from gridwatch.server.run import CONNECTIONS_MAX
from gridwatch.server.state import API_REQUESTS_MAX, STATEMENTS_MAX
from gridwatch.settings import Settings

PAGE = (Path(__file__).parents[3] / "docs" / "webapi.md").read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_example_answers_as_shown(serving: Callable[..., str], settings: Settings, store: Store) -> None:
    url = serving(settings)
    examples = re.findall(r"^```sh\n(.*?)^```\n(?:```json\n(.*?)^```)?", PAGE, re.DOTALL | re.MULTILINE)
    assert len(examples) >= 7
    address = "DB=" + url + "/griddb/v2/gridwatch/dbs/public\n"
    for command, shown in examples:
        script = address + re.sub(r"^DB=.*\n", "", command)
        done = subprocess.run(["/bin/sh", "-ec", script], capture_output=True, text=True, timeout=60, check=True)
        if not shown:
            assert done.stdout == "", done.stdout
            continue
        wanted, answer = json.loads(shown), json.loads(done.stdout)
        if isinstance(wanted, dict) and wanted.get("errorMessage") == "...":
            wanted["errorMessage"] = answer["errorMessage"]
        assert answer == wanted


def test_the_limits_are_those_shown() -> None:
    assert limits.REQUEST_BYTES_MAX == limits.RESPONSE_BYTES_MAX == 20 * 1024 * 1024
    assert limits.BODY_BYTES_MAX == 40 * 1024 * 1024
    at_once = f"| {API_REQUESTS_MAX}, of them {STATEMENTS_MAX} "
    for shown in (at_once, f"| {CONNECTIONS_MAX}; ", f"| {limits.LIMIT_MAX:,};", f"| {limits.QUERIES_MAX} |"):
        assert shown in PAGE
