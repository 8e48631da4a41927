"""docs/containers.md says what the code says, and what it shows runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gridwatch.containers import catalog
from gridwatch.containers.schema import ContainerInfo

DOCS = Path(__file__).parents[2] / "docs" / "containers.md"

KEPT: dict[str, ContainerInfo] = {
    "INTRADAY_<S>": catalog.series_info("INTRADAY_X"),
    "SCORE_<S>": catalog.score_info("X"),
    "ANOMALY_<S>": catalog.anomaly_info("X"),
    **{info.name: info for info in catalog.FIXED},
}


def sections() -> dict[str, str]:
    parts = re.split(r"^### `(.+)`$", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_container_is_documented() -> None:
    assert set(sections()) == set(KEPT)


@pytest.mark.parametrize("name", KEPT)
def test_columns_keys_and_indexes_are_documented(name: str) -> None:
    info, text = KEPT[name], sections()[name]
    columns = re.findall(r"^\| `(\w+)` \| (\w+) \| \S.* \|$", text, flags=re.MULTILINE)
    assert columns == [(column.name, column.type.value) for column in info.columns]
    head = f"{info.type}, key {', '.join(f'`{column}`' for column in info.row_key)}"
    if info.indexes:
        head += f"; indexes: {', '.join(f'`{column}`' for column in info.indexes)}"
    assert f"\n{head}.\n" in text


def test_what_it_shows_runs(tmp_path: Path) -> None:
    shown = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(shown) == 3
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(shown)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "[{'n': 1, 'm': 2.5}]" in done.stdout
    assert (tmp_path / "backup.db").exists()
