"""What the supervisor writes down: who runs where, so that any later command finds it, also after a kill -9."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from gridwatch.errors import ConfigError
from gridwatch.folders import make_private
from gridwatch.supervisor.process import is_same

__all__ = ["PlatformState", "ServiceState", "State", "free_port", "hold", "ports", "read_state", "run_dir"]


class State(StrEnum):
    """Where a service is in its life; `blocked` waits for one that was given up."""

    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    BACKOFF = "backoff"
    DONE = "done"
    FAILED = "failed"
    BLOCKED = "blocked"
    STOPPED = "stopped"


@dataclass
class ServiceState:
    """One service, as `status` shows it; `started` is the process's start in epoch seconds."""

    name: str
    state: State = State.WAITING
    address: str | None = None
    pid: int | None = None
    started: float | None = None
    restarts: int = 0
    log: str = ""
    error: str = ""

    @property
    def alive(self) -> bool:
        """Whether its process is there, by number and start time."""
        return is_same(self.pid, self.started)


@dataclass
class PlatformState:
    """The supervisor and its services; `addresses` are what other commands use (kafka, mlflow, prefect, handler)."""

    pid: int
    started: float
    services: list[ServiceState] = field(default_factory=list)
    addresses: dict[str, str] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        """Whether the supervisor itself is there."""
        return is_same(self.pid, self.started)

    def write(self, folder: Path) -> None:
        """Replace the state file as a whole, so that a reader never sees half of it."""
        _replace(folder / "state.json", asdict(self))


def _replace(path: Path, value: Any) -> None:
    make_private(path.parent)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(json.dumps(value, indent=1), encoding="utf-8")
    part.replace(path)


def run_dir(home: Path) -> Path:
    """Return the folder of the state file, the lock and the ports."""
    return home / "run"


def read_state(home: Path) -> PlatformState | None:
    """Return the last state written in this home, or None; one that is damaged counts as none."""
    try:
        raw = json.loads((run_dir(home) / "state.json").read_text(encoding="utf-8"))
        services = [ServiceState(**{**item, "state": State(item["state"])}) for item in raw.pop("services")]
        return PlatformState(**raw, services=services)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError):
        return None


@contextmanager
def hold(home: Path) -> Iterator[None]:
    """Hold this home for one supervisor; the lock goes with the process, however that ends.

    Raises:
        ConfigError: Another supervisor holds it.
    """
    folder = run_dir(home)
    make_private(folder)
    with (folder / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            state = read_state(home)
            who = f" (process {state.pid})" if state else ""
            raise ConfigError(
                f"gridwatch already runs in {str(home)!r}{who}; `gridwatch status` shows it, `gridwatch down` stops it."
            ) from None
        yield


def free_port(preferred: int = 0, host: str = "127.0.0.1") -> int:
    """Return `preferred` when it can be bound, else a free port chosen by the system.

    Raises:
        ConfigError: Nothing can be bound on this host, which may be no address of this machine.
    """
    reason = ""
    for port in (preferred, 0):
        try:
            family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                return int(probe.getsockname()[1])
        except OSError as error:
            reason = str(error)
    raise ConfigError(f"No port can be bound on {host}: {reason}.")


def ports(home: Path, preferred: dict[str, int], hosts: Mapping[str, str] | None = None) -> dict[str, int]:
    """Return a free port for each name: the one it had last time, else the preferred one (0: any), else any.

    They are kept in `run/ports.json`, so that addresses stay the same from one `up` to the next.

    Args:
        home: Of the platform.
        preferred: Name and wish.
        hosts: The address that a name binds; loopback by default.

    Raises:
        ConfigError: An address is none of this machine's.
    """
    path = run_dir(home) / "ports.json"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        kept = {}
    chosen: dict[str, int] = {}
    for name, wish in preferred.items():
        host = (hosts or {}).get(name, "127.0.0.1")
        port = free_port(wish or int(kept.get(name, 0)), host)
        while port in chosen.values():
            port = free_port(0, host)
        chosen[name] = port
    _replace(path, {**kept, **chosen})
    return chosen
