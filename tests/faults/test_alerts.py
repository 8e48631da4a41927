"""The handler's death between any two steps, and services that are away: nothing lost, one mail a key."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gridwatch.alerts.address_book import AddressBook
from gridwatch.alerts.batch import BATCH_MAX
from gridwatch.alerts.delivery import Delivery
from gridwatch.alerts.outbox import Outbox
from gridwatch.containers import Store, open_store
from gridwatch.containers.catalog import DELIVERIES, LEASES, anomaly_id, anomaly_info
from gridwatch.errors import DeliveryError
from gridwatch.settings import Settings

NOW_MS = 1_760_000_000_000
HOUR_MS = 3_600_000
SEVERITIES = ("low", "critical", "medium", "high")


class Killed(BaseException):
    """The process is gone: nothing it would have done comes about."""


class Life:
    """What one process does to the world: it dies instead of its n-th step (from 0), and does nothing more.

    To die before a step is to die after the one before: nothing in the world happens in between.
    """

    def __init__(self, steps: int | None = None) -> None:
        self.left = steps
        self._counting = threading.Lock()

    def step(self, do: Callable[[], Any]) -> Any:
        if self.left is not None:
            with self._counting:
                if self.left <= 0:
                    raise Killed
                self.left -= 1
        return do()


class Mortal:
    """A part whose every method is a step of a life."""

    def __init__(self, part: Any, life: Life) -> None:
        self._part, self._life = part, life

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        return (lambda *a, **k: self._life.step(lambda: found(*a, **k))) if callable(found) else found


class Post:
    """A mail service in this process: keeps what it accepts, refuses while it is away."""

    def __init__(self) -> None:
        self.mails: list[dict[str, Any]] = []
        self.asked = 0
        self.away: DeliveryError | None = None

    def send(self, mail: dict[str, Any]) -> str:
        self.asked += 1
        if self.away is not None:
            raise self.away
        self.mails.append(mail)
        return f"mail-{len(self.mails)}"

    def told(self) -> Iterator[tuple[str, bool]]:
        """Yield the id of each anomaly that each mail told of, and whether the mail says that it may be a second."""
        for mail in self.mails:
            text = mail["content"][0]["value"].rpartition("\n\n")[0]
            for key in set(re.findall(r"\b[0-9a-f]{32}\b", text)):
                yield key, mail["custom_args"].get("possible_duplicate") == "true"


class World:
    """A store, a mail service and a clock, which outlive every process."""

    def __init__(self, folder: Path, **alerts: Any) -> None:
        alerts = {"recipients": ["ops@example.com"], "mails_per_hour": 2} | alerts
        self.settings = Settings(_env_file=None, home=folder, datasets_dir=folder / "none", alerts=alerts)
        self.store: Store = open_store(self.settings.store)
        for info in (DELIVERIES, LEASES, anomaly_info("X")):
            self.store.put_container(info)
        self.post = Post()
        self.now_ms = NOW_MS

    def put(self, count: int, *, first: int = 0) -> list[str]:
        times = [NOW_MS + first + at for at in range(count)]
        keys = [anomaly_id("INTRADAY_X", "lstm", "", at_ms) for at_ms in times]
        frame = pd.DataFrame(
            {
                "id": keys,
                "ts": pd.to_datetime(times, unit="ms", utc=True),
                "severity": [SEVERITIES[at % 4] for at in range(count)],
                "actual": 2.0,
                "expected": 1.0,
                "detected_ms": self.now_ms,
            }
        )
        self.store.put("ANOMALY_X", frame)
        return keys

    def handler(self, life: Life | None = None) -> Delivery:
        life = life or Life()
        return Delivery(
            Mortal(self.store, life),
            self.settings,
            mailer=Mortal(self.post, life),  # type: ignore[arg-type]
            address_book=AddressBook(self.settings),
            clock=lambda: self.now_ms,
        )

    def relay(self, handler: Delivery, *, until_ms: int) -> None:
        """Do as the relay does until nothing is unfinished, or the time is over; the clock goes to what is due next."""
        outbox, was_away = Outbox(self.store, self.settings), True
        while self.now_ms <= until_ms:
            rows = outbox.unfinished(now_ms=self.now_ms)
            if not rows:
                return
            away_ms = 0
            for row in rows:
                if row.next_ms > self.now_ms:
                    continue
                outcome = handler.deliver(row.container, row.id, row.channel)
                if outcome.status == "away":
                    away_ms, was_away = outcome.next_ms or 0, True
                back = was_away and outcome.status == "sent"
                if away_ms or back or outcome.digest > 1:
                    was_away = was_away and not back
                    break
            due_ms = [row.next_ms for row in outbox.unfinished(now_ms=self.now_ms)]
            self.now_ms = max(self.now_ms + 250, away_ms, min(due_ms, default=0))
        assert until_ms < self.now_ms

    def relay_together(self, handler: Delivery) -> None:
        """Do as the relay does with many rows: several in one piece, until nothing is unfinished."""
        outbox, ends_ms = Outbox(self.store, self.settings), self.now_ms + HOUR_MS
        while rows := outbox.unfinished(now_ms=self.now_ms):
            assert self.now_ms <= ends_ms
            due = [(row.container, row.id) for row in rows if row.next_ms <= self.now_ms]
            if due:
                handler.deliver_all(due[:BATCH_MAX])
            due_ms = [row.next_ms for row in outbox.unfinished(now_ms=self.now_ms)]
            self.now_ms = max(self.now_ms + 250, min(due_ms, default=0))


def check(world: World, keys: list[str], *, doubles_max: int) -> None:
    """Every anomaly is sent and told; who is told twice is told that it may be so."""
    rows = world.store.get("deliveries", [f"{key}:email" for key in keys]).to_pylist()
    assert [row["anomaly_id"] for row in rows] == keys
    assert {row["status"] for row in rows} == {"sent"}
    count = Counter(key for key, _ in world.post.told())
    assert set(count) == set(keys), "lost, or no anomaly's"
    doubled = {key for key, times in count.items() if times > 1}
    assert len(doubled) <= doubles_max
    for key in doubled:
        marks = [marked for told, marked in world.post.told() if told == key]
        assert marks == [False, True], "only the second mail says that it may be one"


def die_at_each_step(
    world: World, count: int, first: Callable[[Delivery], object], then: Callable[[Delivery], object], *, doubles: int
) -> int:
    """Let a handler die at its first step, its second and so on, until it dies no more; return how many steps it has.

    Args:
        world: Gets `count` anomalies each time.
        count: How many.
        first: Relays to the one that dies.
        then: Relays to the next one, which brings all to its end.
        doubles: Most mails that come twice.
    """
    steps, survived = 0, False
    while not survived:
        keys = world.put(count, first=10 * steps)
        world.post.mails.clear()
        try:
            first(world.handler(Life(steps)))
            survived = True
        except Killed:
            then(world.handler())
        check(world, keys, doubles_max=0 if survived else doubles)
        # The next one finds nobody's hour used up.
        world.now_ms += 2 * HOUR_MS
        steps += 1
    return steps


def test_a_handler_may_die_at_any_step(tmp_path: Path) -> None:
    """A mail and a digest of two: the handler dies at each step; the next one brings it to its end."""
    world = World(tmp_path, mails_per_hour=1)
    steps = die_at_each_step(
        world,
        3,
        lambda handler: world.relay(handler, until_ms=world.now_ms + HOUR_MS // 2),
        lambda handler: world.relay(handler, until_ms=world.now_ms + HOUR_MS),
        doubles=2,
    )
    assert steps > 25


def test_a_handler_may_die_at_any_step_of_several(tmp_path: Path) -> None:
    """Three mails and a digest of two, from one call: the handler dies at each step; the next one ends it."""
    world = World(tmp_path, mails_per_hour=3)
    assert die_at_each_step(world, 5, world.relay_together, world.relay_together, doubles=3) > 15


@pytest.mark.parametrize("count", [70, pytest.param(1_000, marks=pytest.mark.slow)])
def test_many_in_a_minute_while_sendgrid_is_away_for_an_hour(tmp_path: Path, count: int) -> None:
    world = World(tmp_path, mails_per_hour=20)
    keys = world.put(count)
    world.post.away = DeliveryError("connection refused", permanent=False, retry_after_s=None, status=None)
    handler = world.handler()
    world.relay(handler, until_ms=NOW_MS + HOUR_MS)
    # One call a minute found out that it is away: the mails have not lost their tries to that.
    assert 50 <= world.post.asked <= 80
    assert world.post.mails == []
    attempts = world.store.sql("SELECT MAX(attempts) most FROM deliveries").column("most")[0].as_py()
    assert attempts < 10
    world.post.away = None
    back_ms = world.now_ms
    world.relay(handler, until_ms=back_ms + HOUR_MS)
    check(world, keys, doubles_max=0)
    # Twenty mails and then digests of up to 200; what is critical is told before anything else.
    digests = [mail for mail in world.post.mails if "digest" in mail["categories"]]
    assert len(world.post.mails) - len(digests) == 20
    assert len(digests) == -(-(count - 20) // 200)
    first = ["critical" in mail["categories"] for mail in world.post.mails[: min(20, count // 4)]]
    # But for the one that found out that the service is back.
    assert first.count(False) <= 1
    # All of it within the pauses between digests.
    assert world.now_ms - back_ms < 300_000 * len(digests)


def test_a_service_that_asks_for_a_pause_gets_it(tmp_path: Path) -> None:
    world = World(tmp_path, mails_per_hour=0)
    keys = world.put(30)
    world.post.away = DeliveryError("429: slow down", permanent=False, retry_after_s=600.0, status=429)
    handler = world.handler()
    world.relay(handler, until_ms=NOW_MS + 599_000)
    assert world.post.asked == 1
    world.post.away = None
    world.relay(handler, until_ms=NOW_MS + HOUR_MS)
    check(world, keys, doubles_max=0)
    assert len(world.post.mails) == 30
