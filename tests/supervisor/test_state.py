"""What is written down: the state file, the lock, the ports."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from gridwatch.errors import ConfigError
from gridwatch.supervisor.state import PlatformState, ServiceState, State, free_port, hold, ports, read_state, run_dir


def test_the_state_comes_back_as_it_was_written(tmp_path: Path) -> None:
    state = PlatformState(1, 2.0, [ServiceState("a", State.BACKOFF, pid=3, started=4.0)], {"kafka": "h:1"})
    state.write(run_dir(tmp_path))
    assert read_state(tmp_path) == state
    assert [path.name for path in run_dir(tmp_path).iterdir()] == ["state.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"pid": 1, "started": 2, "services": [{"x": 1}]}'])
def test_a_damaged_state_is_none(tmp_path: Path, text: str) -> None:
    run_dir(tmp_path).mkdir()
    (run_dir(tmp_path) / "state.json").write_text(text, encoding="utf-8")
    assert read_state(tmp_path) is None


def test_no_state_is_none(tmp_path: Path) -> None:
    assert read_state(tmp_path) is None


def test_one_supervisor_a_home(tmp_path: Path) -> None:
    PlatformState(77, 2.0).write(run_dir(tmp_path))
    with hold(tmp_path), pytest.raises(ConfigError, match=r"already runs in .*\(process 77\).*gridwatch down"):
        with hold(tmp_path):
            pass
    with hold(tmp_path):
        pass


def test_ports_are_kept_from_one_time_to_the_next(tmp_path: Path) -> None:
    first = ports(tmp_path, {"a": 0, "b": 0})
    assert ports(tmp_path, {"a": 0, "b": 0}) == first
    assert len(set(first.values())) == 2


def test_a_port_that_is_taken_is_given_up(tmp_path: Path) -> None:
    first = ports(tmp_path, {"a": 0})["a"]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first))
        taken.listen()
        assert ports(tmp_path, {"a": 0})["a"] != first
        assert free_port(first) != first


def test_a_wished_port_is_taken_when_free(tmp_path: Path) -> None:
    wish = free_port()
    assert ports(tmp_path, {"a": wish}) == {"a": wish}
    (run_dir(tmp_path) / "ports.json").write_text("no json", encoding="utf-8")
    assert ports(tmp_path, {"a": wish}) == {"a": wish}
    assert json.loads((run_dir(tmp_path) / "ports.json").read_text(encoding="utf-8")) == {"a": wish}


def test_a_port_is_looked_for_on_the_address_that_is_bound(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.2", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert ports(tmp_path, {"a": port}, {"a": "127.0.0.2"})["a"] != port
    with pytest.raises(ConfigError, match=r"No port can be bound on 192\.0\.2\.1: .*assign requested address"):
        ports(tmp_path, {"a": 0}, {"a": "192.0.2.1"})
