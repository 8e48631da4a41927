"""More records than a store takes: the sink holds a bounded part of them, and keeps its place in the group."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest

from gridwatch.streaming import Producer
from gridwatch.streaming.envelope import connect_schema
from tests.faults.flow import Flow, Platform, again
from tests.faults.parts import SinkPart
from tests.faults.proxy import Proxy
from tests.faults.records import info_of

pytestmark = pytest.mark.timeout(1800)


def test_ten_times_the_records_take_no_more_memory(platform: Platform, tmp_path: Path, seed: int) -> None:
    port = platform.server.port
    with again(seed, tmp_path), Proxy(port) as proxy, Flow(platform, tmp_path, seed, 0) as flow:
        url = platform.server.url.replace(str(port), str(proxy.port))
        first = _send(flow, 0, 1_000)
        sink = flow.add_sink(url=url, hold_s=0, rows_max=200, store_timeout_s=600)
        flow.wait_caught_up()
        before = _peak_mib(sink)
        # However long it takes to send them: the sink does not get on with them meanwhile.
        proxy.fall_silent()
        sent = _send(flow, 1_000, 11_000)
        assert sent >= 9 * first
        work = sink.work()
        proxy.delay_s = 0.5
        proxy.speak()
        # It is at work, with far more waiting than it may hold.
        flow.wait_for(lambda: sink.work() >= work + 5, "the sink to write")
        assert not flow.caught_up()
        grown = _peak_mib(sink) - before
        assert grown < sent / 2, f"{sent} MiB in the topics made the sink grow from {before} MiB by {grown} MiB"


def test_a_store_slower_than_the_sessions_of_the_group(platform: Platform, tmp_path: Path, seed: int) -> None:
    port = platform.server.port
    with again(seed, tmp_path), Proxy(port) as proxy, Flow(platform, tmp_path, seed, 1_000) as flow:
        url = platform.server.url.replace(str(port), str(proxy.port))
        flow.add_sink(url=url, hold_s=0, rows_max=2_000, store_timeout_s=60)
        flow.send(500)
        flow.wait_caught_up()
        before = _rebalances(flow)
        proxy.fall_silent()
        flow.send(500)
        # Six seconds without a heartbeat are the end of a session.
        time.sleep(9)
        proxy.speak()
        flow.check()
        assert _rebalances(flow) == before


def _send(flow: Flow, begin: int, end: int) -> int:
    """Send large rows; return their MiB."""
    topic, size = flow.topics[0], 0
    head = json.dumps({"schema": connect_schema(info_of(topic))})[:-1]
    with Producer(flow.settings, flow.bootstrap) as producer:
        for number in range(begin, end):
            # Compresses to half, as rows of numbers may; what is fetched ahead is counted compressed.
            note = random.Random(number).randbytes(10_000).hex()
            payload = f'{{"ts": {1_700_000_000_000 + number}, "number": {number}, "price": null, "note": "{note}"}}'
            value = f'{head}, "payload": {payload}}}'.encode()
            size += len(value)
            producer.repeat(topic, value, key=str(number).encode(), headers=[])
            if number % 500 == 0:
                producer.flush()
    return size >> 20


def _peak_mib(sink: SinkPart) -> int:
    """Return the most memory that the sink has ever had, in MiB."""
    process = sink.process()
    assert process is not None
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) >> 10


def _rebalances(flow: Flow) -> int:
    """Return how often the broker has shared out the partitions of the sink's group."""
    log = flow.broker.broker.log_file.read_text(encoding="utf-8", errors="replace")
    return sum("Preparing to rebalance" in line and flow.groups[0] in line for line in log.splitlines())
