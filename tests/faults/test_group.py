"""Members of a group come, go and die while records flow; and a broker that is away for longer than any time limit."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.faults.flow import Flow, Platform, again
from tests.faults.parts import SinkPart

pytestmark = pytest.mark.timeout(1800)


def test_members_that_join_leave_and_die_share_the_work(platform: Platform, tmp_path: Path, seed: int) -> None:
    with again(seed, tmp_path), Flow(platform, tmp_path, seed, 3_000) as flow:
        limits: dict[str, Any] = {"hold_s": 0.05, "rows_max": 50}
        first = flow.add_sink(name="sink 1", **limits)
        flow.send(500)
        second = flow.add_sink(name="sink 2", **limits)
        flow.send(500)
        third = flow.add_sink(name="sink 3", **limits)
        flow.send(500)
        members = {"1": first, "2": second, "3": third}
        for name in members:
            flow.wait_for(partial(_works, flow, members[name]), f"sink {name} to get its share")
        flow.send(500)
        first.leave()
        flow.send(500)
        flow.chance.choice([second, third]).kill()
        fourth = flow.add_sink(name="sink 4", **limits)
        flow.send_all()
        flow.check()
        assert fourth.process() is not None


@pytest.mark.slow
def test_connect_workers_that_join_leave_and_die_share_the_work(platform: Platform, tmp_path: Path, seed: int) -> None:
    with again(seed, tmp_path), Flow(platform, tmp_path, seed, 20_000) as flow:
        first = flow.add_worker(distributed=True)
        flow.send(3_000)
        second = flow.add_worker(distributed=True, number=2)
        first.wait_ready()
        flow.send(3_000)
        second.wait_ready()
        flow.send(3_000)
        first.kill()
        flow.send(3_000)
        first.wait_ready()
        second.leave()
        flow.send_all()
        flow.check()
        assert [first.kills, second.kills] == [1, 0]


@pytest.mark.slow
def test_a_broker_that_is_away_longer_than_any_time_limit(platform: Platform, tmp_path: Path, seed: int) -> None:
    with again(seed, tmp_path), Flow(platform, tmp_path, seed, 2_000) as flow:
        sink = flow.add_sink(request_timeout_s=2, hold_s=0.2, rows_max=50)
        flow.send(1_000)
        flow.wait_for(sink.work, "the sink to work")
        process = sink.process()
        flow.broker.away()
        # The dead letters' producer gives up after twice the limit for requests; the sink must not give up with it.
        time.sleep(6)
        flow.broker.start()
        flow.send_all()
        flow.check()
        assert sink.process() == process, "the sink that began it ends it"


def _works(flow: Flow, sink: SinkPart) -> bool:
    return sink.work() > 0 or flow.caught_up()
