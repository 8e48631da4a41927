"""A member of a consumer group that has stopped for ever is noticed: it gets nothing, and its group does not list it.

librdkafka joins its group anew after whatever happens to the cluster, with rare exceptions that end in silence. The
group's coordinator knows better: a member that waits for its turn is listed, and one that has stopped is not.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import structlog

from gridwatch.errors import MissingServiceError, StreamError
from gridwatch.streaming.clients import admin

if TYPE_CHECKING:
    from gridwatch.settings import Settings

__all__ = ["SESSION_S", "Watch", "close_in_time", "is_listed"]

log = structlog.get_logger(__name__)

SESSION_S = 6.0
"""A member that was killed holds its partitions until so many seconds are over."""

_PATIENCE_S = 5 * SESSION_S
_AGAIN_S = 2 * SESSION_S
_ANSWER_S = 10.0
_CLOSE_S = 20.0


class Watch:
    """Tells when a member is lost.

    It is when nothing has come for the whole of `patience_s` and the group's coordinator says twice, `again_s` apart,
    that it does not know it. A cluster that does not answer is no reason: then it is asked again later.

    Args:
        listed: Asks the cluster whether the group lists the member, or has no need to; None when it cannot tell.
        patience_s: Silence in seconds after which the cluster is asked; an idle member's are no more frequent.
        again_s: Seconds until it is asked again after a no.
        clock: Seconds, from any beginning.
    """

    def __init__(
        self,
        listed: Callable[[], bool | None],
        *,
        patience_s: float = _PATIENCE_S,
        again_s: float = _AGAIN_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._listed = listed
        self._patience_s = patience_s
        self._again_s = again_s
        self._clock = clock
        self.sound()

    def sound(self) -> None:
        """Take note that something came."""
        self._ask_at = self._clock() + self._patience_s
        self._missed = False

    def lost(self) -> bool:
        """Tell whether the member is lost; asks the cluster when it is time to."""
        if self._clock() < self._ask_at:
            return False
        listed = self._listed()
        if listed is not False:
            self.sound()
        elif not self._missed:
            # It may be about to join.
            self._missed = True
            self._ask_at = self._clock() + self._again_s
        else:
            return True
        return False


def is_listed(settings: Settings, bootstrap: str, topics: Collection[str], member_id: str | None) -> bool | None:
    """Ask the cluster whether a member is in the settings' group; None when it gives no answer now.

    A member of which no topic exists yet has no reason to be there: then it is True as well.
    """
    from kafka import errors

    group = settings.kafka.group_id
    try:
        with admin(settings, bootstrap, timeout_s=min(_ANSWER_S, settings.kafka.request_timeout_s)) as client:
            if all(topic["error_code"] for topic in client.describe_topics(list(topics))):
                return True
            try:
                members = client.describe_groups([group])[group]["members"]
            except errors.GroupIdNotFoundError:
                return False
            return any(member["member_id"] == member_id for member in members)
    except (MissingServiceError, StreamError) as error:
        log.debug("sink_group_unknown", group=group, error=str(error))
        return None


def close_in_time(client: Any, *, timeout_s: float = _CLOSE_S) -> bool:
    """Close a consumer of librdkafka's, which leaves its group; one that does not come to its end is left behind.

    Returns:
        Whether it is closed.
    """
    thread = threading.Thread(target=_close, args=(client,), name="closes a consumer", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if thread.is_alive():
        log.warning("sink_close_hangs", seconds=timeout_s)
    return not thread.is_alive()


def _close(client: Any) -> None:
    from confluent_kafka import KafkaException

    try:
        client.close()
    except (KafkaException, RuntimeError) as error:
        # RuntimeError is a client that is closed already.
        log.debug("sink_close_failed", error=str(error))
