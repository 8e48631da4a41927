"""The relay's end of the trigger: one POST a row, in the shape that GridDB's own REST trigger has."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from gridwatch.alerts.delivery import claim_ms
from gridwatch.alerts.sendgrid import is_loopback, retry_after_s
from gridwatch.alerts.signing import signed_headers
from gridwatch.errors import MissingServiceError

if TYPE_CHECKING:
    from gridwatch.alerts.outbox import Due
    from gridwatch.settings import Settings

__all__ = ["POSTS_MAX", "Answer", "Handler", "HandlerAwayError"]

_CONNECT_S = 3.0
POSTS_MAX = 8
"""Most rows that the relay POSTs at once: SendGrid takes its time for each, and the handler has threads for 24."""
_KNOWN = frozenset(
    {
        *("sent", "already_sent", "in_progress", "pending", "dead", "skipped", "not_found"),
        *("away", "busy", "failed", "ignored"),
    }
)


class HandlerAwayError(MissingServiceError):
    """Nobody takes triggers at the handler's address: it is down, is another program, or refuses this caller."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the handler said about one row."""

    code: int
    status: str
    error: str | None
    wait_s: float = 0.0
    """What `Retry-After` says."""
    digest: int = 0
    """How many anomalies went out in the digest that this one was in."""

    @property
    def recorded(self) -> bool:
        """The handler wrote the outcome into `deliveries`, where the next look finds it."""
        return self.status in {"sent", "already_sent", "in_progress", "pending", "dead", "skipped"}


class Handler:
    """A connection to the trigger handler, kept open over many rows.

    Args:
        url: Where it takes triggers.
        settings: Token or secret to sign with, and the longest time that one delivery can take.
        clock: UTC epoch ms.
    """

    def __init__(self, url: str, settings: Settings, *, clock: Callable[[], int]) -> None:
        import requests
        import requests.adapters

        self.url = url
        self._session = requests.Session()
        # A proxy of the environment is for the way out, not for this machine.
        self._session.trust_env = not is_loopback(urlsplit(url).hostname)
        if settings.alerts.token:
            self._session.headers["X-Gridwatch-Token"] = settings.alerts.token.get_secret_value()
        secret = settings.alerts.hmac_secret
        self._secret = secret.get_secret_value() if secret else None
        self._clock = clock
        adapter = requests.adapters.HTTPAdapter(pool_connections=1, pool_maxsize=POSTS_MAX)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        self._timeout = (_CONNECT_S, claim_ms(settings) / 1000)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    def post(self, rows: Sequence[Due]) -> list[Answer]:
        """POST rows, one or several of a channel, and return what the handler says of each.

        A handler that knows nothing of several takes the first; then there are fewer answers than rows.

        Raises:
            HandlerAwayError: Nobody takes triggers there; what to do about it is in the message.
        """
        import requests

        row, *others = rows
        trigger: dict[str, object] = {
            "container": row.container,
            "event": "put",
            "channel": row.channel,
            "row": {"id": row.id, "ts": row.ts_ms, "actual": row.actual, "score": row.score},
        }
        if others:
            trigger["more"] = [{"container": other.container, "id": other.id} for other in others]
        body = json.dumps(trigger).encode()
        headers = {"Content-Type": "application/json"}
        if self._secret:
            headers |= signed_headers(self._secret, uuid.uuid4().hex, body, now_ms=self._clock())
        try:
            answer = self._session.post(
                self.url, data=body, headers=headers, timeout=self._timeout, allow_redirects=False
            )
        except requests.RequestException as error:
            raise HandlerAwayError(
                f"The trigger handler at {self.url} does not answer ({_cause(error)}); start it with `gridwatch serve` "
                "or `gridwatch up`.",
                url=self.url,
            ) from error
        said = _json(answer)
        status = said.get("status")
        if answer.status_code in {401, 403, 421, 429} and status == "refused":
            raise HandlerAwayError(
                f"The trigger handler at {self.url} refuses the relay: {said.get('error')}", url=self.url
            )
        if status not in _KNOWN:
            raise HandlerAwayError(
                f"What answers at {self.url} ({answer.status_code}) is no gridwatch trigger handler; check "
                "GRIDWATCH_ALERTS__HANDLER_URL.",
                url=self.url,
            )
        wait_s = retry_after_s(answer.headers, now_ms=self._clock()) or 0.0
        more = said.get("more")
        return [_answer(answer.status_code, said, wait_s), *_answers(more if isinstance(more, list) else [])]


def _answer(code: int, said: dict[str, Any], wait_s: float) -> Answer:
    error, digest = said.get("error"), said.get("digest")
    return Answer(
        code, str(said["status"]), str(error) if error else None, wait_s, digest if isinstance(digest, int) else 0
    )


def _answers(more: list[Any]) -> Iterator[Answer]:
    """What is said of further rows, up to the first that is none of our words."""
    for said in more:
        if not isinstance(said, dict) or said.get("status") not in _KNOWN:
            return
        wait_s, code = said.get("retry_after_s"), said.get("code")
        yield _answer(
            code if isinstance(code, int) else 0, said, float(wait_s) if isinstance(wait_s, int | float) else 0.0
        )


def _json(answer: object) -> dict[str, object]:
    try:
        said = answer.json()  # type: ignore[attr-defined]
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _cause(error: Exception) -> str:
    text = str(error).lower()
    if "refused" in text:
        return "connection refused"
    return "timed out" if "timed out" in text or "timeout" in text else type(error).__name__
