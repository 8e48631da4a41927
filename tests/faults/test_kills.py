"""Whatever is killed, and whenever: in the end each container holds exactly the records' rows, nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.flow import Flow, again


@pytest.mark.timeout(900)
def test_kills_of_every_part_lose_and_double_nothing(tmp_path: Path, seed: int) -> None:
    with again(seed, tmp_path), Flow(tmp_path, seed, 20_000) as flow:
        sink = flow.add_sink()
        flow.kill_in_turn([flow.broker, flow.server, sink], 3)
        counts = flow.check()
        print(counts)
        assert [part.kills for part in (flow.broker, flow.server, sink)] == [3, 3, 3]
        assert counts["dead letters"] > 100
