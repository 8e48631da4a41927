"""No socket of a client outlives it, whatever the broker does: none is left to the garbage collector."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient
from kafka.errors import KafkaConnectionError
from kafka.net.inet import KafkaNetSocket

from gridwatch.errors import MissingServiceError
from gridwatch.settings import KafkaSettings, Settings
from gridwatch.streaming.clients import client_config, connect
from gridwatch.streaming.first_contact import client


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[socket.socket]:
    """Sockets that kafka-python makes during the test, kept here so that nothing but a `close` closes them."""
    made: list[socket.socket] = []
    genuine = KafkaNetSocket.socket

    def remember(self: Any, *args: Any) -> socket.socket:
        made.append(genuine(self, *args))
        return made[-1]

    monkeypatch.setattr(KafkaNetSocket, "socket", remember)
    return made


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A listener that takes connections and neither reads nor answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        yield listener


def _settings(tmp_path: Path, listener: socket.socket) -> Settings:
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    return Settings(home=tmp_path, kafka=KafkaSettings(bootstrap_servers=address, request_timeout_s=0.3))


def _client(settings: Settings) -> tuple[Any, Any]:
    net, manager = client(**client_config(settings, settings.kafka.bootstrap_servers or ""))
    return net, manager


@pytest.mark.parametrize("full", [False, True], ids=["never answered", "in mid-connect"])
def test_a_client_that_gives_up_closes_its_sockets(
    tmp_path: Path, silent: socket.socket, opened: list[socket.socket], full: bool
) -> None:
    settings = _settings(tmp_path, silent)
    # The kernel lets nobody in once the queue of those that nobody accepts is full: they stay half-connected.
    waiting = [socket.socket() for _ in range(3 if full else 0)]
    try:
        for other in waiting:
            other.setblocking(False)
            other.connect_ex(silent.getsockname())
        with pytest.raises(MissingServiceError, match="does not answer"):
            connect(KafkaAdminClient, settings, settings.kafka.bootstrap_servers or "")
    finally:
        for other in waiting:
            other.close()
    assert opened
    assert [known for known in opened if known.fileno() >= 0] == []


def test_a_refused_connection_is_closed_at_once(
    tmp_path: Path, silent: socket.socket, opened: list[socket.socket]
) -> None:
    silent.close()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        net, manager = _client(_settings(tmp_path, nobody))
        [node] = manager.cluster.bootstrap_brokers()
        with pytest.raises(KafkaConnectionError, match="ECONNREFUSED"):
            manager._net.run(manager._build_transport, node)
        assert [known.fileno() for known in opened] == [-1]
        net.close()


def test_what_was_never_sent_does_not_keep_a_socket_open(
    tmp_path: Path, silent: socket.socket, opened: list[socket.socket]
) -> None:
    net, manager = _client(_settings(tmp_path, silent))
    [node] = manager.cluster.bootstrap_brokers()
    transport = manager._net.run(manager._build_transport, node)
    transport.write(bytes(64 << 20))
    manager._net.poll(timeout_ms=50)
    transport.close()
    assert opened[0].fileno() >= 0, "it waits for the broker to read"
    net.close()
    assert [known.fileno() for known in opened] == [-1]


def test_the_last_words_of_a_broker_are_heard_before_its_end(tmp_path: Path, silent: socket.socket) -> None:
    net, manager = _client(_settings(tmp_path, silent))
    [node] = manager.cluster.bootstrap_brokers()
    transport = manager._net.run(manager._build_transport, node)
    other, _ = silent.accept()
    with other:
        other.sendall(b"refused")
    assert transport._sock_recv() == (b"refused", None)
    data, error = transport._sock_recv()
    assert (data, str(error)) == (b"", "KafkaConnectionError: socket disconnected")
    transport.abort()
    net.close()
