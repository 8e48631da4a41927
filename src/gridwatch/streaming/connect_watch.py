"""Keeps connectors going: applies what a worker forgot, restarts failed tasks with pauses, and gives up in the end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from gridwatch.errors import ConfigError
from gridwatch.folders import make_private

if TYPE_CHECKING:
    from gridwatch.streaming.connect_api import ConnectorStatus
    from gridwatch.streaming.connect_apply import Connect, Connector

__all__ = ["ConnectWatch", "TaskWatch", "read_watch"]

log = structlog.get_logger(__name__)

_PAUSE_FIRST_S = 1.0
_PAUSE_MAX_S = 60.0
_STEADY_S = 120.0


@dataclass(slots=True)
class TaskWatch:
    """What the watch has done about one task, or about a connector itself (`task` -1).

    Args:
        connector: Name.
        task: Number.
        restarts: In a row; begins anew once it has run for two minutes.
        given_up: It fails for ever, and is left alone until somebody restarts it or changes its configuration.
        reason: Why it failed last, in one line.
    """

    connector: str
    task: int
    restarts: int = 0
    given_up: bool = False
    reason: str = ""


class ConnectWatch:
    """Looks after the connectors of one worker or cluster. One instance serves one thread.

    Args:
        connect: Where they are.
        folder: Gets `watch.json`, which tells others what the watch has done.
        restarts_max: Most restarts of one task in a row.
        wanted: Connectors to apply, asked for until Connect has taken them.
        clock: Seconds that only go forward.
    """

    def __init__(
        self,
        connect: Connect,
        folder: Path,
        *,
        restarts_max: int,
        wanted: Callable[[], Sequence[Connector]] = tuple,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.connect = connect
        """Where the connectors are; a worker that was started again may have another address."""
        self._path = folder / "watch.json"
        self._restarts_max = restarts_max
        self._wanted: Callable[[], Sequence[Connector]] | None = wanted
        self._clock = clock
        self._slots: dict[tuple[str, int], _Slot] = {}
        self._written: list[dict[str, object]] | None = None
        make_private(folder)

    def step(self) -> None:
        """Look once and do what is due.

        Raises:
            ConfigError: A connector that is to be applied is wrong.
            MissingServiceError: Connect does not answer.
            StreamError: It answers an error.
        """
        from gridwatch.streaming.connect_apply import apply

        if self._wanted is not None:
            apply(self.connect, self._wanted())
            self._wanted = None
        there = {status.name: status for status in self.connect.api.statuses()}
        for connector in self.connect.remembered():
            if connector.name not in there:
                self._remind(connector)
        for status in there.values():
            self._look(status)
        gone = [key for key in self._slots if key[0] not in there]
        for key in gone:
            del self._slots[key]
        self._write()

    def _remind(self, connector: Connector) -> None:
        """Apply a connector again that a standalone worker forgot at its end."""
        self.connect.api.put_config(connector.name, connector.config)
        log.info("connector_applied_again", connector=connector.name)

    def _look(self, status: ConnectorStatus) -> None:
        now_s = self._clock()
        for task in (status.connector, *status.tasks):
            key = (status.name, task.number)
            slot = self._slots.get(key)
            if task.state != "FAILED":
                if slot is not None and task.state == "RUNNING":
                    self._recovered(key, slot, now_s)
                continue
            if slot is None:
                slot = self._slots[key] = _Slot(TaskWatch(status.name, task.number))
            slot.shown.reason = task.reason
            if slot.ran_s is not None or slot.resume_s is None:
                # It has failed since the last look.
                slot.ran_s = None
                slot.resume_s = now_s + min(_PAUSE_FIRST_S * 2.0**slot.shown.restarts, _PAUSE_MAX_S)
                log.warning("task_failed", connector=status.name, task=task.number, reason=task.reason)
            if slot.shown.restarts >= self._restarts_max:
                if not slot.shown.given_up:
                    slot.shown.given_up = True
                    log.error("task_given_up", connector=status.name, task=task.number, reason=task.reason)
            elif now_s >= slot.resume_s:
                self._restart(status.name, task.number, slot)

    def _restart(self, name: str, number: int, slot: _Slot) -> None:
        slot.shown.restarts += 1
        slot.resume_s = None
        if number < 0:
            self.connect.api.restart(name)
        else:
            self.connect.api.restart_task(name, number)
        log.info("task_restarted", connector=name, task=number, restarts=slot.shown.restarts)

    def _recovered(self, key: tuple[str, int], slot: _Slot, now_s: float) -> None:
        if slot.shown.given_up:
            # Not by us: somebody restarted it, and it gets all its chances again.
            slot.shown.given_up, slot.shown.restarts = False, 0
        if slot.ran_s is None:
            slot.ran_s = now_s
        elif now_s - slot.ran_s >= _STEADY_S:
            log.info("task_steady", connector=key[0], task=key[1], restarts=slot.shown.restarts)
            del self._slots[key]

    def _write(self) -> None:
        found = [asdict(slot.shown) for _, slot in sorted(self._slots.items())]
        if found == self._written:
            return
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(found, indent=1), encoding="utf-8")
        new.replace(self._path)
        self._written = found


@dataclass(slots=True)
class _Slot:
    """A task that has failed; times are of the watch's clock.

    Args:
        shown: What others are told.
        resume_s: When it is restarted; None when that has been done.
        ran_s: Since when it runs again; None while it does not.
    """

    shown: TaskWatch
    resume_s: float | None = None
    ran_s: float | None = None


def read_watch(folder: Path) -> list[TaskWatch]:
    """Return what the watch has last told of the tasks that failed; none when it never ran.

    Raises:
        ConfigError: The file is none of ours.
    """
    path = folder / "watch.json"
    try:
        return [TaskWatch(**one) for one in json.loads(path.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"Cannot read {str(path)!r} ({error}); delete it, it is made anew.") from error
