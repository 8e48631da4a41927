"""Hands a mail to SendGrid, or to anything that speaks its `/v3/mail/send`, and says whether a failure may pass."""

from __future__ import annotations

import http
import http.client
import json
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.parse import urlsplit

import structlog

from gridwatch.alerts.sendgrid_client import NotConnectedError, is_loopback, sendgrid_client
from gridwatch.errors import ConfigError, DeliveryError

if TYPE_CHECKING:
    from tenacity import RetryCallState

    from gridwatch.settings import Settings

__all__ = ["OF_GATEWAYS", "SENDGRID_URL", "WAIT_MAX_S", "Mailer", "is_loopback", "retry_after_s"]

log = structlog.get_logger(__name__)

SENDGRID_URL = "https://api.sendgrid.com"

WAIT_MAX_S = 8.0
"""Longest pause between two tries of one call; a server that asks for more gets the mail again later."""

_FIRST_WAIT_S = 0.5
_RETRIABLE = frozenset({408, 425, 429})
OF_GATEWAYS = frozenset({502, 504})
"""Said by what stands before a server, which may have done its work."""


class Mailer:
    """Sends mails over the sendgrid library, with timeouts and bounded retries.

    Args:
        api_key: The Bearer token; any word does for the local inbox.
        url: Address of the API, without `/v3`.
        timeout_s: Longest wait for the connection and for each read, in seconds.
        attempts: Most tries in one `send`.
        clock: UTC epoch ms, to read the limits that the server names as a moment.
        sleep: Waits the given seconds; tests pass their own.
    """

    def __init__(
        self,
        api_key: str,
        url: str = SENDGRID_URL,
        *,
        timeout_s: float,
        attempts: int,
        clock: Callable[[], int],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
            raise ConfigError(
                f"The mail API's address {url!r} is no http(s) URL; set GRIDWATCH_SENDGRID__BASE_URL to one such as "
                f"{SENDGRID_URL}."
            )
        self.url = url.rstrip("/")
        self._attempts = attempts
        self._clock = clock
        self._sleep = sleep
        self._api = sendgrid_client(api_key, self.url, timeout_s)

    @classmethod
    def from_settings(cls, settings: Settings, *, inbox_url: str, clock: Callable[[], int]) -> Mailer:
        """Make the mailer that the settings ask for: SendGrid with a key, else the local inbox at `inbox_url`."""
        key = settings.sendgrid.api_key
        url = settings.sendgrid.base_url or (SENDGRID_URL if key else inbox_url)
        return cls(
            key.get_secret_value() if key else "local-inbox",
            url,
            timeout_s=settings.sendgrid.timeout_s,
            attempts=settings.sendgrid.attempts,
            clock=clock,
        )

    def send(self, mail: Mapping[str, Any]) -> str:
        """Send one mail and return the message id (empty when the server named none).

        Args:
            mail: Body of `/v3/mail/send`.

        Raises:
            DeliveryError: It was not accepted. `error.permanent` tells a refusal that no retry cures from a failure
                that may pass; `error.retry_after_s` is the pause the server asked for, or None; `error.maybe_taken`
                tells that it may have been accepted all the same, as the answer is missing. That is not tried again
                here: the next mail must say that it may be the second.
        """
        from tenacity import Retrying, retry_if_exception, stop_after_attempt

        tries = Retrying(
            stop=stop_after_attempt(self._attempts),
            wait=_pause,
            retry=retry_if_exception(_worth_a_try),
            sleep=self._sleep,
            before_sleep=_log_retry,
            reraise=True,
        )
        message_id: str = tries(self._once, mail)
        return message_id

    def _once(self, mail: Mapping[str, Any]) -> str:
        from python_http_client.exceptions import HTTPError

        try:
            answer = self._api.send(dict(mail))
        except HTTPError as error:
            raise self._refusal(error) from error
        except ValueError:
            # What cannot be written as a header, the key for one, is not told: nor by what led here.
            raise DeliveryError(
                f"No request to the mail API at {self.url} can be made; check GRIDWATCH_SENDGRID__API_KEY, which may "
                "hold printable ASCII alone.",
                permanent=False,
                retry_after_s=None,
                status=None,
                maybe_taken=False,
            ) from None
        except (OSError, http.client.HTTPException) as error:
            # A server that hangs up in mid-answer raises an HTTPException; a URLError comes before any answer.
            reason = getattr(error, "reason", None) or error
            raise DeliveryError(
                f"The mail API at {self.url} does not answer: {reason or type(error).__name__}.",
                permanent=False,
                retry_after_s=None,
                status=None,
                maybe_taken=not isinstance(error, NotConnectedError | URLError),
            ) from error
        if answer.status_code != http.HTTPStatus.ACCEPTED:
            raise DeliveryError(
                f"The mail API at {self.url} answered {answer.status_code} where 202 is due; is this SendGrid?",
                permanent=False,
                retry_after_s=None,
                status=answer.status_code,
                maybe_taken=True,
            )
        return str(answer.headers.get("X-Message-Id") or "")

    def _refusal(self, error: Any) -> DeliveryError:
        status = int(error.status_code)
        # A redirection is a wrong address or a network's login page, which may be gone at the next try.
        permanent = 400 <= status < 500 and status not in _RETRIABLE
        hint = {401: " Check GRIDWATCH_SENDGRID__API_KEY.", 403: " Check the key's rights and the sender."}
        return DeliveryError(
            f"The mail API at {self.url} answered {status}: {_reason(error.body)}{hint.get(status, '')}",
            permanent=permanent,
            retry_after_s=None if permanent else retry_after_s(error.headers or {}, now_ms=self._clock()),
            status=status,
            maybe_taken=status in OF_GATEWAYS,
        )


def _reason(body: bytes | str | None) -> str:
    """What the server said, as one line; its JSON error list where it is one."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body or "")
    try:
        errors = json.loads(text)["errors"]
        said = "; ".join(f"{item['message']}" + (f" ({item['field']})" if item.get("field") else "") for item in errors)
    except (ValueError, TypeError, KeyError, AttributeError):
        said = " ".join(text.split())
    return (said or "no reason given")[:500]


def retry_after_s(headers: Mapping[str, str], *, now_ms: int) -> float | None:
    """Seconds to wait by `Retry-After` (seconds or a date) or SendGrid's `X-RateLimit-Reset` (epoch seconds)."""
    asked = headers.get("Retry-After")
    if asked and asked.strip().isdecimal():
        return float(asked)
    if asked:
        try:
            return max(0.0, parsedate_to_datetime(asked).timestamp() - now_ms / 1000)
        except ValueError:
            log.warning("retry_after_unreadable", value=asked[:100])
    reset = headers.get("X-RateLimit-Reset")
    if reset and reset.strip().isdecimal():
        return max(0.0, int(reset) - now_ms / 1000)
    return None


def _worth_a_try(error: BaseException) -> bool:
    """A failure that may pass within this call: for certain one, not permanent, and not asked to stay away for long."""
    if not isinstance(error, DeliveryError) or error.permanent or error.maybe_taken:
        return False
    return (error.retry_after_s or 0.0) <= WAIT_MAX_S


def _pause(state: RetryCallState) -> float:
    """Seconds before the next try: what the server asked for, or 0.5 s doubling to the longest pause."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_s if isinstance(error, DeliveryError) else None
    return float(asked) if asked is not None else min(WAIT_MAX_S, _FIRST_WAIT_S * 2 ** (state.attempt_number - 1))


def _log_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("mail_retried", attempt=state.attempt_number, error=str(error))
