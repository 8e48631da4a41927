"""The embedded store against recorded answers of a GridDB server: the same answer or a refusal, never another."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import pytest

from gridwatch.containers.sqlite import SqliteStore
from tests.oracle.semantics import (
    AGREEING,
    ANSWERED,
    BOTH_REFUSE,
    DIFFERS,
    NO_EQUAL,
    NOT_FINITE,
    REFUSED,
    SAME,
    Outcome,
    folder,
    load,
    replay,
)

# The share of cases that must agree, by area.
FLOORS = dict.fromkeys(
    [
        *("types", "names", "keys", "range", "dml", "ddl", "parameters", "group_by", "range_group", "aggregates"),
        *("native_aggregate", "time_functions", "datafeed", "tql"),
    ],
    0.95,
)
FLOOR = 0.80

_FOLDER = folder()
_KINDS = (SAME, BOTH_REFUSE, REFUSED, DIFFERS, ANSWERED, NOT_FINITE, NO_EQUAL)


def _table(outcomes: dict[str, list[tuple[str, Outcome]]]) -> str:
    lines = [f"{'area':<18}" + "".join(f"{kind:>13}" for kind in _KINDS) + f"{'agree':>8}"]
    for area, found in sorted(outcomes.items()):
        counts = Counter(outcome.kind for _, outcome in found)
        lines.append(f"{area:<18}" + "".join(f"{counts[kind]:>13}" for kind in _KINDS) + f"{_share(found):>8.1%}")
    return "\n".join(lines)


def _share(found: list[tuple[str, Outcome]]) -> float:
    counted = [outcome.kind in AGREEING for _, outcome in found if outcome.kind not in {NOT_FINITE, NO_EQUAL}]
    return sum(counted) / max(1, len(counted))


@pytest.mark.skipif(_FOLDER is None, reason="no recorded answers")
def test_no_case_is_answered_differently(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _FOLDER is not None
    outcomes: dict[str, list[tuple[str, Outcome]]] = defaultdict(list)
    with SqliteStore(tmp_path / "oracle.db") as store:
        for case in load(_FOLDER):
            outcomes[case["area"]].append((case["name"], replay(store, case)))
    with capsys.disabled():
        print(f"\n{_table(outcomes)}")
    wrong = [
        f"{name}: {outcome.kind} {outcome.detail[:200]}"
        for found in outcomes.values()
        for name, outcome in found
        if outcome.kind in {DIFFERS, ANSWERED}
    ]
    assert not wrong, "\n".join(wrong)
    low = {area: f"{_share(found):.1%}" for area, found in outcomes.items() if _share(found) < FLOORS.get(area, FLOOR)}
    assert not low
