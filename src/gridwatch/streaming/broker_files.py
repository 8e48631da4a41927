"""What gridwatch's own broker keeps in its folder: ports, configuration, state."""

from __future__ import annotations

import fcntl
import json
import random
import re
import socket
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from gridwatch.errors import StreamError

__all__ = [
    "BrokerState",
    "cluster_id",
    "file_lock",
    "free_ports",
    "gets_free",
    "last_lines",
    "log4j2_xml",
    "port_is_free",
    "read_state",
    "server_properties",
    "write_state",
]

_PORTS = (15_000, 32_000)
_PORT_ATTEMPTS = 1_000


@dataclass(frozen=True, slots=True)
class BrokerState:
    """The broker's state file.

    Args:
        cluster_id: Kafka's 22 characters; tells our broker from a stranger on the same port.
        port: Clients' port on loopback.
        controller_port: The quorum's port on loopback.
        pid: Process id of the broker last started, 0 for none.
        started_s: When that process started, epoch seconds, so that a reused pid is not taken for it.
        keep: It was started to stay, not for the duration of one command.
    """

    cluster_id: str
    port: int
    controller_port: int
    pid: int = 0
    started_s: float = 0.0
    keep: bool = False


def read_state(path: Path) -> BrokerState | None:
    """Return the state, or None when there is none or it is unreadable (it can always be made anew)."""
    try:
        return BrokerState(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write_state(path: Path, state: BrokerState, **changes: object) -> BrokerState:
    """Write the state with `changes`, all at once, and return it."""
    state = replace(state, **changes)  # type: ignore[arg-type]
    new = path.with_suffix(".new")
    new.write_text(json.dumps(asdict(state), indent=1), encoding="utf-8")
    new.replace(path)
    return state


def port_is_free(port: int) -> bool:
    """Tell whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def gets_free(*ports: int, timeout_s: float = 3.0) -> bool:
    """Tell whether the ports can be bound, waiting a little for what a process that was killed left behind."""
    deadline = time.monotonic() + timeout_s
    while not all(map(port_is_free, ports)):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.1)
    return True


def free_ports(count: int) -> list[int]:
    """Return different loopback ports that are free now, and that a service can have again after it was away."""
    # Below the range that Linux takes ports of outgoing connections from. One of those might be this one meanwhile, and
    # a client that tries it again and again in the service's absence might even be connected to itself.
    found: set[int] = set()
    for _ in range(_PORT_ATTEMPTS):
        port = random.randint(*_PORTS)  # noqa: S311 - no secret
        if port_is_free(port):
            found.add(port)
        if len(found) == count:
            return list(found)
    raise StreamError(f"There are no {count} free ports from {_PORTS[0]} to {_PORTS[1]} on loopback.")


def cluster_id(data: Path) -> str:
    """Return the cluster id of a data folder, or a new one."""
    try:
        meta = (data / "meta.properties").read_text(encoding="utf-8")
    except OSError:
        meta = ""
    found = re.search(r"^cluster\.id=(\S+)$", meta, re.MULTILINE)
    # Kafka's own shape: 16 random bytes in url-safe base64 without padding, not starting with a dash.
    return found.group(1) if found else urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "a")


def last_lines(*files: Path, lines_max: int = 12) -> str:
    """Return the last lines of each of the files that exist."""
    lines: list[str] = []
    for path in files:
        try:
            lines += path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines_max:]
        except OSError:
            continue
    return "\n".join(lines)


@contextmanager
def file_lock(path: Path, *, shared: bool = False, timeout_s: float = 120.0) -> Iterator[None]:
    """Hold an advisory lock on a file; the kernel lets go of it when the process dies.

    Raises:
        StreamError: Another process holds it for too long, or the file cannot be made.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    deadline = time.monotonic() + timeout_s
    try:
        file = path.open("a")
    except OSError as error:
        raise StreamError(f"Cannot write to the folder {str(path.parent)!r}: {error}.") from error
    with file:
        while True:
            try:
                fcntl.flock(file, kind | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise StreamError(
                        f"Another process holds {str(path)!r} for more than {timeout_s:g} s; is a start stuck?"
                    ) from None
                time.sleep(0.05)
        yield


def server_properties(state: BrokerState, data: Path, message_bytes_max: int) -> str:
    """Return Kafka's configuration for one KRaft node that is broker and controller, on loopback only."""
    client, controller = f"127.0.0.1:{state.port}", f"127.0.0.1:{state.controller_port}"
    values = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{controller}",
        "listeners": f"CLIENT://{client},CONTROLLER://{controller}",
        "advertised.listeners": f"CLIENT://{client}",
        "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "CLIENT",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": data,
        "auto.create.topics.enable": "false",
        "num.partitions": 1,
        "default.replication.factor": 1,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 1,
        # Nobody else is about to join: the first member of a group need not wait for more.
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        # After a kill -9 the controller waits this long for the old process before it lets the new one in.
        "broker.session.timeout.ms": 5000,
        "broker.heartbeat.interval.ms": 500,
        "log.retention.hours": 24 * 7,
        # A sink that was away for longer than the rows are kept would begin anew, so keep its place longer.
        "offsets.retention.minutes": 60 * 24 * 60,
        "log.segment.bytes": max(64 << 20, 2 * message_bytes_max),
        "message.max.bytes": message_bytes_max,
        # The default of 128 MiB is half of the heap.
        "log.cleaner.dedupe.buffer.size": 8 << 20,
        "num.network.threads": 2,
        "num.io.threads": 2,
        "background.threads": 2,
        "num.recovery.threads.per.data.dir": 2,
    }
    # Backslash is the one character of a path that Java's properties format takes for something else.
    return "".join(f"{key}={str(value).replace(chr(92), chr(92) * 2)}\n" for key, value in values.items())


def log4j2_xml(log_file: Path) -> str:
    """Return the logging configuration: one file, rotated at 10 MiB, three old ones kept."""
    from xml.sax.saxutils import quoteattr

    name, old = quoteattr(str(log_file)), quoteattr(f"{log_file}.%i")
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="WARN" shutdownHook="disable">
  <Appenders>
    <RollingFile name="file" fileName={name} filePattern={old}>
      <PatternLayout pattern="%d{{yyyy-MM-dd'T'HH:mm:ss.SSSXXX}}{{UTC}} %p %c{{1}} %m%n"/>
      <Policies><SizeBasedTriggeringPolicy size="10 MB"/></Policies>
      <DefaultRolloverStrategy max="3"/>
    </RollingFile>
  </Appenders>
  <Loggers><Root level="INFO"><AppenderRef ref="file"/></Root></Loggers>
</Configuration>
"""
