"""The relay's end of the trigger: one POST a row, in the shape that GridDB's own REST trigger has."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from gridwatch.alerts.delivery import claim_ms
from gridwatch.alerts.sendgrid import is_loopback
from gridwatch.errors import MissingServiceError

if TYPE_CHECKING:
    from gridwatch.alerts.outbox import Due
    from gridwatch.settings import Settings

__all__ = ["Answer", "Handler", "HandlerAwayError"]

_CONNECT_S = 3.0
_KNOWN = frozenset({"sent", "already_sent", "in_progress", "pending", "dead", "not_found", "busy", "failed", "ignored"})


class HandlerAwayError(MissingServiceError):
    """Nobody takes triggers at the handler's address: it is down, is another program, or refuses this caller."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the handler said about one row."""

    code: int
    status: str
    error: str | None

    @property
    def recorded(self) -> bool:
        """The handler wrote the outcome into `deliveries`, where the next look finds it."""
        return self.status in {"sent", "already_sent", "in_progress", "pending", "dead"}


class Handler:
    """A connection to the trigger handler, kept open over many rows.

    Args:
        url: Where it takes triggers.
        settings: Token, and the longest time that one delivery can take.
    """

    def __init__(self, url: str, settings: Settings) -> None:
        import requests

        self.url = url
        self._session = requests.Session()
        # A proxy of the environment is for the way out, not for this machine.
        self._session.trust_env = not is_loopback(urlsplit(url).hostname)
        if settings.alerts.token:
            self._session.headers["X-Gridwatch-Token"] = settings.alerts.token.get_secret_value()
        self._timeout = (_CONNECT_S, claim_ms(settings) / 1000)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    def post(self, row: Due) -> Answer:
        """POST one row and return what the handler says.

        Raises:
            HandlerAwayError: Nobody takes triggers there; what to do about it is in the message.
        """
        import requests

        body = {
            "container": row.container,
            "event": "put",
            "row": {"id": row.id, "ts": row.ts_ms, "actual": row.actual, "score": row.score},
        }
        try:
            answer = self._session.post(self.url, json=body, timeout=self._timeout, allow_redirects=False)
        except requests.RequestException as error:
            raise HandlerAwayError(
                f"The trigger handler at {self.url} does not answer ({_cause(error)}); start it with `gridwatch serve` "
                "or `gridwatch up`.",
                url=self.url,
            ) from error
        said = _json(answer)
        status, error_text = said.get("status"), said.get("error")
        if answer.status_code in {401, 403, 421} and status == "refused":
            raise HandlerAwayError(f"The trigger handler at {self.url} refuses the relay: {error_text}", url=self.url)
        if status not in _KNOWN:
            raise HandlerAwayError(
                f"What answers at {self.url} ({answer.status_code}) is no gridwatch trigger handler; check "
                "GRIDWATCH_ALERTS__HANDLER_URL.",
                url=self.url,
            )
        return Answer(answer.status_code, str(status), str(error_text) if error_text else None)


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
