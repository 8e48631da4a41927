"""Dead letters for the pages: the newest of every topic, read from Kafka now and then, without what is in them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gridwatch.errors import GridwatchError, MissingServiceError
from gridwatch.streaming.dead_letters import Place

if TYPE_CHECKING:
    from gridwatch.settings import Settings

__all__ = ["NEWEST_MAX", "Letter", "Letters", "Seen"]

NEWEST_MAX = 2_000
"""Newest records of each partition that are looked at."""

_KEPT_MS = 15_000
_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter as a list shows it; `origin` is where the record itself came in, None where nobody says."""

    place: str
    dead_topic: str
    topic: str
    origin: str | None
    time_ms: int
    sink: str
    replayed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What Kafka had: the letters, newest first, and when it was asked, UTC epoch ms; or why there is no answer.

    `older` are how many lie before those that were looked at, about: Kafka counts what is no record of ours too.
    """

    read_ms: int
    topics: tuple[str, ...] = ()
    letters: tuple[Letter, ...] = ()
    older: int = 0
    problem: str | None = None


class Letters:
    """Reads the dead letters for all who ask within some seconds, one at a time.

    Args:
        settings: Where Kafka is.
        clock: UTC epoch ms.
    """

    def __init__(self, settings: Settings, clock: Callable[[], int]) -> None:
        kafka = settings.kafka
        # Somebody waits for the page.
        limited = kafka.model_copy(update={"request_timeout_s": min(kafka.request_timeout_s, _TIMEOUT_S)})
        self._settings = settings.model_copy(update={"kafka": limited})
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: Seen | None = None

    def read(self) -> Seen:
        """Return what there is, as of some seconds ago at most; a Kafka that is away is no error but an answer."""
        with self._lock:
            now_ms = self._clock()
            if self._seen is None or not 0 <= now_ms - self._seen.read_ms < _KEPT_MS:
                try:
                    self._seen = self._read(now_ms)
                except GridwatchError as error:
                    self._seen = Seen(now_ms, problem=str(error))
            return self._seen

    def _read(self, now_ms: int) -> Seen:
        from gridwatch.streaming.dead_letter_marks import read_marks
        from gridwatch.streaming.dead_letter_reader import Repeats, dead_letter_topics, read_letters

        bootstrap = self._bootstrap()
        topics = dead_letter_topics(self._settings, bootstrap)
        replayed, repeats, found = read_marks(self._settings, bootstrap), Repeats(), []
        left: dict[str, int] = {}
        for one in read_letters(self._settings, bootstrap, topics, newest=NEWEST_MAX, older=left.__setitem__):
            if repeats.first(one) is None:
                origin: Place | None = one.origin
                place = (str(one.place), one.place.topic, one.topic, str(origin) if origin else None)
                found.append(Letter(*place, one.written_ms, one.sink, one.place in replayed, one.reason))
        found.sort(key=lambda letter: (letter.time_ms, letter.place), reverse=True)
        return Seen(now_ms, tuple(topics), tuple(found), sum(left.values()))

    def _bootstrap(self) -> str:
        """Return where Kafka is: the cluster of the settings, or gridwatch's own broker, which is never started here.

        Raises:
            MissingServiceError: No cluster is set and no broker runs.
        """
        if self._settings.kafka.bootstrap_servers:
            return self._settings.kafka.bootstrap_servers
        from gridwatch.streaming.broker import Broker

        broker = Broker(self._settings)
        if not broker.healthy():
            raise MissingServiceError(
                "No Kafka broker runs: the letters are kept, and are seen here when it does. `gridwatch up` starts it, "
                "`gridwatch dlq list` starts one for itself."
            )
        return broker.bootstrap_servers
