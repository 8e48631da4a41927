"""Whatever is killed, and whenever: in the end each container holds exactly the records' rows, nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.flow import Flow, Platform, again
from tests.faults.parts import Part

VICTIMS: dict[str, Callable[[Flow], Part]] = {
    "broker": lambda flow: flow.broker,
    "store server": lambda flow: flow.server,
    "Python sink": lambda flow: flow.sinks[0],
    "Connect worker": lambda flow: flow.sinks[1],
}

HEAD = "| killed | kills | restarts | records | dead letters | written again | time | usual recovery | longest |"


@pytest.mark.timeout(1800)
def test_kills_of_every_part_lose_and_double_nothing(tmp_path: Path, seed: int) -> None:
    with again(seed, tmp_path), Platform(tmp_path) as platform, Flow(platform, tmp_path, seed, 10_000) as flow:
        flow.add_sink()
        flow.add_worker()
        victims = [victim(flow) for victim in VICTIMS.values()]
        flow.storm(victims, 2)
        counts = flow.check()
        assert [victim.kills for victim in victims] == [2] * len(VICTIMS)
        assert counts["dead letters"] > 100


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", VICTIMS)
def test_twenty_kills_of_one_part(name: str, tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    with again(seed, tmp_path), Platform(tmp_path) as platform, Flow(platform, tmp_path, seed, 200_000) as flow:
        flow.add_sink(rows_max=500)
        flow.add_worker()
        victim = VICTIMS[name](flow)
        flow.kill_in_turn(victim, 20)
        counts = flow.check()
        assert victim.kills == 20
        seconds, longest, usual = time.monotonic() - began, max(flow.recoveries_s), sorted(flow.recoveries_s)[10]
        line = (
            f"| {name} | {victim.kills} | {victim.starts - 1} | {counts['records']:,} | {counts['dead letters']:,} | "
            f"{counts['letters again']} | {seconds:.0f} s | {usual:.1f} s | {longest:.1f} s |"
        )
    with capsys.disabled():
        print(f"\n{HEAD}\n{line}", flush=True)
