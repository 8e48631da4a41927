"""The loop that starts services in order, watches their health, restarts them with back-off and stops them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from gridwatch.errors import GridwatchError
from gridwatch.supervisor.process import Child, Command, started_s
from gridwatch.supervisor.state import PlatformState, ServiceState, State, run_dir

__all__ = ["BackOff", "Service", "Supervisor"]

log = structlog.get_logger(__name__)

_TICK_S = 0.1
_HEALTH_EVERY_S = 2.0
_HEALTH_FAILURES_MAX = 5
_STEADY_S = 60.0
_ALIVE_S = 0.5


@dataclass(frozen=True)
class BackOff:
    """How often and how fast a service is started again before it is given up."""

    first_s: float = 1.0
    most_s: float = 30.0
    restarts_max: int = 5

    def pause_s(self, failures: int) -> float:
        """Return the pause before the restart that follows this many failures in a row."""
        return min(self.first_s * 2.0 ** max(0, failures - 1), self.most_s)


@dataclass(frozen=True)
class Service:
    """Something to keep running.

    Args:
        name: Short name, also of its log file.
        command: Gives what to run; called at every start.
        healthy: Whether it answers; None: being alive is enough.
        needs: Services that must run before this one starts, and stop after it.
        spawned: Told the process number of every start.
        once: It runs to its end; exit 0 is success.
    """

    name: str
    command: Callable[[], Command]
    address: str | None = None
    healthy: Callable[[], bool] | None = None
    needs: tuple[str, ...] = ()
    spawned: Callable[[int], None] | None = None
    once: bool = False
    start_timeout_s: float = 300.0
    stop_timeout_s: float = 8.0


@dataclass
class _Slot:
    """A service with what the loop knows of it; times are of the monotonic clock."""

    service: Service
    shown: ServiceState
    child: Child | None = None
    since_s: float = 0.0
    resume_s: float = 0.0
    looked_s: float = 0.0
    unanswered: int = 0
    failures: int = 0
    held: bool = False


class Supervisor:
    """Keeps services running until told to stop, and writes down what it does.

    Args:
        services: In the order to start; `needs` must name earlier ones.
        home: Folder for `run/` and `logs/`.
        addresses: What other commands use, kept in the state file.
        hold_back: Services that wait until `release` is called.
    """

    def __init__(
        self,
        services: Sequence[Service],
        home: Path,
        addresses: dict[str, str],
        *,
        back_off: BackOff | None = None,
        hold_back: Sequence[str] = (),
    ) -> None:
        self.home = home
        self._back_off = back_off or BackOff()
        self._lock = threading.Lock()
        self._slots = {
            service.name: _Slot(
                service,
                ServiceState(service.name, address=service.address, log=str(home / "logs" / f"{service.name}.log")),
                held=service.name in hold_back,
            )
            for service in services
        }
        for name, slot in self._slots.items():
            unknown = set(slot.service.needs) - set(self._slots)
            if unknown:
                raise ValueError(f"Service {name!r} needs {sorted(unknown)}, which there are not.")
        self.state = PlatformState(
            os.getpid(), started_s(os.getpid()) or 0.0, [slot.shown for slot in self._slots.values()], addresses
        )

    def run(self, stop: threading.Event) -> None:
        """Start everything and watch it until `stop` is set; then stop it in reverse order."""
        self._write()
        try:
            while not stop.wait(_TICK_S):
                self.step()
        finally:
            self.stop()

    def release(self, *names: str) -> None:
        """Let services that were held back start."""
        with self._lock:
            for name in names:
                self._slots[name].held = False

    def service(self, name: str) -> ServiceState:
        """Return what is known of a service."""
        return self._slots[name].shown

    @property
    def settled(self) -> bool:
        """Whether every service that is not held back runs, is done, or was given up."""
        return all(
            slot.held or slot.shown.state in {State.RUNNING, State.DONE, State.FAILED, State.BLOCKED}
            for slot in self._slots.values()
        )

    def step(self) -> None:
        """Look at each service once and do what is due."""
        before = [(slot.shown.state, slot.shown.pid) for slot in self._slots.values()]
        for slot in list(self._slots.values()):
            self._advance(slot, time.monotonic())
        if before != [(slot.shown.state, slot.shown.pid) for slot in self._slots.values()]:
            self._write()

    def stop(self) -> None:
        """Stop all services, those that others need last; each gets its time, then SIGKILL."""
        running = {name for name, slot in self._slots.items() if slot.child is not None}
        while running:
            needed = {need for name in running for need in self._slots[name].service.needs}
            # Never empty: `needs` names known services, and a cycle could not have been started.
            layer = sorted(running - needed) or sorted(running)
            threads = [threading.Thread(target=self._stop_one, args=(self._slots[name],)) for name in layer]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            running -= set(layer)
        for slot in self._slots.values():
            if slot.shown.state is not State.FAILED:
                slot.shown.state = State.STOPPED
        self._write()

    def _stop_one(self, slot: _Slot) -> None:
        if slot.child is None:
            return
        clean = slot.child.stop(slot.service.stop_timeout_s)
        log.info("service_stopped", service=slot.service.name, clean=clean)
        slot.child, slot.shown.pid, slot.shown.started = None, None, None

    def _advance(self, slot: _Slot, now_s: float) -> None:
        if slot.held:
            return
        state = slot.shown.state
        needs = {name: self._slots[name].shown.state for name in slot.service.needs}
        ready = all(need in {State.RUNNING, State.DONE} for need in needs.values())
        if state is State.WAITING:
            gone = [name for name, need in needs.items() if need in {State.FAILED, State.BLOCKED}]
            if gone:
                slot.shown.state, slot.shown.error = State.BLOCKED, f"needs {' and '.join(gone)}"
                return
        if (state is State.WAITING and ready) or (state is State.BACKOFF and ready and now_s >= slot.resume_s):
            self._start(slot, now_s)
        elif state in {State.STARTING, State.RUNNING} and slot.child is not None:
            code = slot.child.exit_code()
            if code is not None:
                self._ended(slot, code, now_s)
            elif now_s - slot.looked_s >= (_TICK_S if state is State.STARTING else _HEALTH_EVERY_S):
                self._look(slot, time.monotonic())

    def _start(self, slot: _Slot, now_s: float) -> None:
        try:
            slot.child = Child.spawn(slot.service.command(), Path(slot.shown.log), marker=str(run_dir(self.home)))
        except (OSError, GridwatchError) as error:
            self._fail(slot, f"cannot be started: {error}", now_s)
            return
        slot.shown.state, slot.shown.pid, slot.shown.started = State.STARTING, slot.child.pid, slot.child.started
        slot.since_s, slot.looked_s, slot.unanswered = now_s, now_s, 0
        # At once: a kill -9 between here and the next step must leave a trace of this child.
        self._write()
        if slot.service.spawned:
            slot.service.spawned(slot.child.pid)
        log.info("service_started", service=slot.service.name, pid=slot.child.pid, address=slot.service.address)

    def _look(self, slot: _Slot, now_s: float) -> None:
        slot.looked_s = now_s
        if slot.service.once:
            return
        healthy = slot.service.healthy
        answers = now_s - slot.since_s >= _ALIVE_S if healthy is None else healthy()
        if answers:
            if slot.shown.state is State.STARTING:
                log.info("service_running", service=slot.service.name, seconds=round(now_s - slot.since_s, 1))
                slot.shown.state, slot.shown.error = State.RUNNING, ""
            slot.unanswered = 0
            if now_s - slot.since_s >= _STEADY_S:
                slot.failures = 0
        elif slot.shown.state is State.STARTING:
            if now_s - slot.since_s > slot.service.start_timeout_s:
                self._kill(slot, f"did not answer within {slot.service.start_timeout_s:g} s", now_s)
        else:
            slot.unanswered += 1
            if slot.unanswered >= _HEALTH_FAILURES_MAX:
                self._kill(slot, f"stopped answering {slot.unanswered} times in a row", now_s)

    def _kill(self, slot: _Slot, reason: str, now_s: float) -> None:
        self._stop_one(slot)
        self._fail(slot, reason, now_s)

    def _ended(self, slot: _Slot, code: int, now_s: float) -> None:
        self._stop_one(slot)  # what it may have left behind in its group
        if slot.service.once and code == 0:
            slot.shown.state, slot.shown.error = State.DONE, ""
            return
        self._fail(slot, f"ended with signal {-code}" if code < 0 else f"ended with status {code}", now_s)

    def _fail(self, slot: _Slot, reason: str, now_s: float) -> None:
        slot.failures += 1
        slot.shown.error = reason
        if slot.failures > self._back_off.restarts_max:
            slot.shown.state = State.FAILED
            log.error("service_given_up", service=slot.service.name, reason=reason, log=slot.shown.log)
            return
        slot.shown.restarts += 1
        slot.shown.state = State.BACKOFF
        slot.resume_s = now_s + self._back_off.pause_s(slot.failures)
        log.warning("service_restarts", service=slot.service.name, reason=reason, failures=slot.failures)

    def _write(self) -> None:
        with self._lock:
            self.state.write(run_dir(self.home))
