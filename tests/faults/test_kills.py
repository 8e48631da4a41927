"""Whatever is killed, and whenever: in the end each container holds exactly the records' rows, nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.flow import Flow, Platform, again


@pytest.mark.timeout(900)
def test_kills_of_every_part_lose_and_double_nothing(tmp_path: Path, seed: int) -> None:
    with again(seed, tmp_path), Platform(tmp_path) as platform, Flow(platform, tmp_path, seed, 20_000) as flow:
        sink, worker = flow.add_sink(), flow.add_worker()
        parts = [flow.broker, flow.server, sink, worker]
        flow.storm(parts, 3)
        counts = flow.check()
        print(counts, sink.rows_written(), [(part.name, part.kills, part.starts, part.deaths) for part in parts])
        assert [part.kills for part in parts] == [3, 3, 3, 3]
        assert counts["dead letters"] > 100
