"""What the requests of one application share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gridwatch.alerts.address import url_of
from gridwatch.containers.catalog import DELIVERIES, LEASES
from gridwatch.jobs.tables import JOBS, TRANSFORMS
from gridwatch.server.throttle import Throttle

if TYPE_CHECKING:
    from flask import Flask

    from gridwatch.alerts.address_book import AddressBook
    from gridwatch.alerts.delivery import Delivery
    from gridwatch.alerts.inbox import Inbox
    from gridwatch.containers import Store
    from gridwatch.jobs.service import JobsService
    from gridwatch.jobs.transform.service import TransformService
    from gridwatch.server.metrics import Metrics
    from gridwatch.server.users import Users
    from gridwatch.settings import Settings

__all__ = ["API_REQUESTS_MAX", "STATEMENTS_MAX", "THREADS", "TRIGGERS_MAX", "State", "state"]

THREADS = 80
"""Threads of the server: most of them wait for a client or the store."""

API_REQUESTS_MAX = 48
"""Most requests of the Web API at work at once; one more is asked to come again."""

STATEMENTS_MAX = 16
"""Most of them that run SQL or TQL. A statement may run for hours and cannot be cancelled; puts and the rest go on."""

TRIGGERS_MAX = 24
"""Most triggers at work at once. The rest of the threads answers the local inbox, which the triggers themselves call:
were every thread a trigger, all would wait for an inbox that none is left to serve."""


@dataclass
class State:
    """Parts that are made once for an application.

    `base_url` is set when the server is bound; until then it is the address of the settings.
    """

    settings: Settings
    store: Store
    clock: Callable[[], int]
    inbox: Inbox
    address_book: AddressBook
    users: Users
    metrics: Metrics
    base_url: str = ""
    guesses: Throttle = field(default_factory=Throttle)
    api_requests: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(API_REQUESTS_MAX)
    )
    statements: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(STATEMENTS_MAX))
    triggers: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(TRIGGERS_MAX))
    _delivery: Delivery | None = None
    _jobs: JobsService | None = None
    _transforms: TransformService | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.base_url = self.base_url or url_of(self.settings.server.host, self.settings.server.port)

    @property
    def delivery(self) -> Delivery:
        """Made on first use, when the address of the local inbox is known.

        Raises:
            StoreError: The container of deliveries can neither be found nor made.
        """
        from gridwatch.alerts.delivery import Delivery
        from gridwatch.alerts.sendgrid import Mailer

        with self._lock:
            if self._delivery is None:
                self.store.put_container(DELIVERIES, modifiable=True)
                self.store.put_container(LEASES)
                self._delivery = Delivery(
                    self.store,
                    self.settings,
                    mailer=Mailer.from_settings(self.settings, inbox_url=self.base_url, clock=self.clock),
                    address_book=self.address_book,
                    clock=self.clock,
                )
            return self._delivery

    @property
    def has_jobs(self) -> bool:
        """Whether the store is known to have containers of jobs."""
        return self._jobs is not None

    def jobs(self, *, make: bool = True) -> JobsService:
        """Return the jobs, made on first use: what they are analysed with takes time to load.

        Args:
            make: Whether their containers are made when missing: a store that is only served gets none of ours.

        Raises:
            StoreError: The containers of jobs can neither be found nor made.
        """
        from gridwatch.jobs.service import JobsService

        with self._lock:
            if self._jobs is None:
                if not make and self.store.container(JOBS.name) is None:
                    return JobsService(self.store, now_ms=self.clock, make=False)
                threads = self.settings.jobs.analysis_threads
                self._jobs = JobsService(self.store, now_ms=self.clock, threads=threads, settings=self.settings)
            return self._jobs

    @property
    def has_transforms(self) -> bool:
        """Whether the store is known to have the container of transforms."""
        return self._transforms is not None

    def transforms(self, *, make: bool = True) -> TransformService:
        """Return the transforms; see `jobs`."""
        from gridwatch.jobs.transform.service import TransformService

        with self._lock:
            if self._transforms is None:
                if not make and self.store.container(TRANSFORMS.name) is None:
                    return TransformService(self.store, now_ms=self.clock, make=False)
                self._transforms = TransformService(self.store, now_ms=self.clock)
            return self._transforms


def state(app: Flask) -> State:
    """Return the shared parts of an application."""
    found: State = app.extensions["gridwatch"]
    return found
