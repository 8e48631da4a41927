"""docs/jobs.md says what the code says of its containers, functions and scores."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from gridwatch.containers.schema import ContainerInfo
from gridwatch.jobs.analysis.scoring import score_of
from gridwatch.jobs.functions import FUNCTIONS
from gridwatch.jobs.tables import TABLES

TEXT = (Path(__file__).parents[2] / "docs" / "jobs.md").read_text(encoding="utf-8")


def part(heading: str) -> str:
    """Return the text below a heading."""
    found = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^##|\Z)", TEXT, flags=re.MULTILINE | re.DOTALL)
    assert found is not None, heading
    return found[1]


@pytest.mark.parametrize("info", TABLES, ids=lambda info: info.name)
def test_containers_are_documented(info: ContainerInfo) -> None:
    text = part(f"### `{info.name}`")
    columns = re.findall(r"^\| `(\w+)` \| (\w+) \| \S.* \|$", text, flags=re.MULTILINE)
    assert columns == [(column.name, column.type.value) for column in info.columns]
    head = f"{info.type}, key {', '.join(f'`{column}`' for column in info.row_key)}"
    if info.indexes:
        head += f"; indexes: {', '.join(f'`{column}`' for column in info.indexes)}"
    assert f"\n{head}.\n" in text


def test_functions_are_documented() -> None:
    text = part("## Analysis")
    for function in FUNCTIONS.values():
        assert f"`{function.name.removeprefix('high_').removeprefix('low_')}`" in text
    zero = re.search(r"^\| (.*) \| .* \| 0, from", text, flags=re.MULTILINE)
    assert zero is not None
    named = {name.strip("`") for name in zero[1].split(", ")}
    assert named == {one.name for one in FUNCTIONS.values() if one.empty_is_zero and one.side == "both"}


def test_scores_are_documented() -> None:
    text = part("## Results")
    cells = [
        [cell.split(",")[0].strip() for cell in line.strip("|").split("|")[1:]]
        for line in text.splitlines()
        if line.startswith(("| p |", "| score |"))
    ]
    probabilities, scores = ([float(cell) for cell in line] for line in cells)
    assert score_of(np.array(probabilities)).tolist() == pytest.approx(scores)
