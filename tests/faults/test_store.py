"""A store that is slow, silent, away or full: both sinks wait, and go on by themselves when it is well again."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from tests.faults.flow import Flow, Platform, again
from tests.faults.proxy import Proxy

pytestmark = pytest.mark.timeout(1800)


def test_a_store_that_is_slow_silent_away_or_full_is_waited_for(platform: Platform, tmp_path: Path, seed: int) -> None:
    server = platform.server
    with again(seed, tmp_path), Proxy(server.port) as proxy, Flow(platform, tmp_path, seed, 1_500) as flow:
        url = server.url.replace(str(server.port), str(proxy.port))
        sink = flow.add_sink(url=url, hold_s=0, rows_max=100, store_timeout_s=2)
        worker = flow.add_worker(url=url)
        flow.send(250)
        flow.wait_caught_up()
        first = sink.process()

        proxy.delay_s = 0.5
        flow.send(250)
        flow.wait_caught_up()
        proxy.delay_s = 0

        proxy.fall_silent()
        flow.send(250)
        flow.wait_for(lambda: sink.said("sink_batch_failed"), "the sink to notice that the store is silent")
        proxy.speak()
        flow.wait_caught_up()

        failures = sink.said("sink_batch_failed")
        server.away()
        flow.send(250)
        flow.wait_for(lambda: sink.said("sink_batch_failed") > failures, "the sink to notice that the store is away")
        server.start()
        flow.wait_caught_up()

        failures = sink.said("sink_batch_failed")
        process = server.process()
        assert process is not None
        # No file may grow any more, as on a disk that is full.
        process.rlimit(psutil.RLIMIT_FSIZE, (4096, psutil.RLIM_INFINITY))
        flow.send(250)
        flow.wait_for(lambda: sink.said("sink_batch_failed") > failures, "the sink to notice that the disk is full")
        process.rlimit(psutil.RLIMIT_FSIZE, (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY))
        flow.send_all()
        flow.check()
        assert sink.process() == first, "the sink that began it ends it"
        assert worker.starts == 1
        assert worker.task_restarts() == 0, "no task has failed"
