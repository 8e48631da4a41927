"""gridwatch's own broker: one a home folder, found by others, cleaned up by the last of its users."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from gridwatch.errors import JavaError, StreamError
from gridwatch.settings import KafkaSettings, Settings
from gridwatch.streaming import Broker, broker_for
from gridwatch.streaming.broker_files import BrokerState, file_lock, log4j2_xml, read_state, write_state


def test_one_that_was_started_to_stay_is_found_and_left_alone(bootstrap: str, broker_home: Path) -> None:
    settings = Settings(home=broker_home)
    with broker_for(settings) as address:
        assert address == bootstrap
    broker = Broker(settings)
    assert broker.healthy()
    pid = _state(broker).pid
    assert broker.start() == bootstrap, "a second start returns the one that runs"
    assert _state(broker).pid == pid
    assert os.getpgid(pid) != os.getpgid(0), "Ctrl-C in the terminal does not reach it"
    listening = {
        c.laddr.ip.removeprefix("::ffff:") for c in psutil.Process(pid).net_connections() if c.status == "LISTEN"
    }
    assert listening == {"127.0.0.1"}
    assert "Kafka Server started" in broker.log_file.read_text()


def test_one_started_for_the_duration_goes_with_the_last_of_its_users(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    code = (
        "import sys; from pathlib import Path; from gridwatch.settings import Settings; "
        "from gridwatch.streaming import broker_for\n"
        "with broker_for(Settings(home=Path(sys.argv[1]))) as address: print(address, flush=True); sys.stdin.read()"
    )
    with broker_for(settings) as address:
        other = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert other.stdout is not None
        assert other.stdout.readline().strip() == address
    broker = Broker(settings)
    assert broker.healthy(), "the other process still uses it"
    # Killed, so it cannot clean up: the next user that leaves does.
    other.kill()
    other.communicate()
    with broker_for(settings) as again:
        assert again == address
    assert not broker.healthy()
    assert not broker.stop(), "there is nothing left to stop"


def test_a_supervisor_starts_it_by_its_command_and_one_that_hangs_is_killed(tmp_path: Path) -> None:
    broker = Broker(Settings(home=tmp_path))
    broker.prepare()
    argv, environ, folder = broker.command()
    assert "-Xmx256m" in argv
    child = subprocess.Popen(argv, env=environ, cwd=folder, start_new_session=True)
    try:
        broker.adopt(child.pid)
        assert broker.start() == broker.bootstrap_servers, "waits for the one that is coming up"
        child.send_signal(signal.SIGSTOP)
        ends = time.monotonic() + 120.0
        while broker.healthy(timeout_s=0.5):  # its threads are stopped one after another
            assert time.monotonic() < ends
        assert broker.stop(timeout_s=0.5)
    finally:
        child.kill()
        child.wait(120)
    assert not broker.healthy()


def test_a_taken_port_is_replaced_and_a_broker_that_dies_shows_its_last_words(tmp_path: Path) -> None:
    broker = Broker(Settings(home=tmp_path))
    broker.folder.mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        write_state(broker.folder / "state.json", BrokerState("a" * 22, port, port))
        broker.prepare(keep=False)
        state = _state(broker)
        assert port not in {state.port, state.controller_port}
    meta = broker.folder / "data" / "meta.properties"
    assert f"cluster.id={state.cluster_id}" in meta.read_text()
    meta.write_text(meta.read_text().replace("version=1", "version=99"))
    with pytest.raises(
        JavaError, match=r"(?s)Kafka broker died at start.*kafka.log.*No readable meta.properties files found"
    ):
        broker.start()
    assert not broker.healthy()


def test_a_reused_pid_is_not_taken_for_the_broker(tmp_path: Path) -> None:
    broker = Broker(Settings(home=tmp_path))
    broker.folder.mkdir()
    started_s = psutil.Process().create_time()
    write_state(broker.folder / "state.json", BrokerState("a" * 22, 1, 2, pid=os.getpid(), started_s=started_s - 5))
    assert not broker.stop()


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = Settings(home=tmp_path / "file")
    with pytest.raises(StreamError, match=r"Cannot make the broker's folder .*file/kafka"):
        Broker(settings).start()
    with pytest.raises(StreamError, match=r"Cannot make the broker's folder .*file/kafka"), broker_for(settings):
        pass


def test_a_start_that_is_stuck_elsewhere_is_told(tmp_path: Path) -> None:
    with file_lock(tmp_path / "start.lock"):
        with pytest.raises(StreamError, match=r"Another process holds .*start.lock' for more than 0 s"):
            with file_lock(tmp_path / "start.lock", timeout_s=0):
                pass


def test_before_the_first_start_there_is_no_address(tmp_path: Path) -> None:
    broker = Broker(Settings(home=tmp_path, kafka=KafkaSettings(broker_heap_mib=300)))
    with pytest.raises(StreamError, match="No broker has been set up in"):
        _ = broker.bootstrap_servers
    assert not broker.healthy()
    assert not broker.stop()


def test_a_state_file_that_is_garbage_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    for text in ("", "[]", '{"cluster_id": 1}', "\0"):
        path.write_text(text)
        assert read_state(path) is None


def test_the_log_file_of_any_name_is_quoted(tmp_path: Path) -> None:
    from xml.etree import ElementTree

    name = tmp_path / 'a "b" & <c>' / "kafka.log"
    [appender] = ElementTree.fromstring(log4j2_xml(name)).iter("RollingFile")  # noqa: S314 - our own text
    assert appender.get("fileName") == str(name)


def _state(broker: Broker) -> BrokerState:
    state = read_state(broker.folder / "state.json")
    assert state is not None
    return state
