"""The generic webhook: one signed POST an anomaly, with what the mail says as JSON."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import structlog

from gridwatch.alerts.sendgrid import OF_GATEWAYS, is_loopback, retry_after_s
from gridwatch.alerts.signing import signed_headers
from gridwatch.errors import DeliveryError

if TYPE_CHECKING:
    import requests

    from gridwatch.alerts.anomaly import Anomaly
    from gridwatch.settings import Settings
    from gridwatch.sources.dataset import Dataset

__all__ = ["Webhook", "message_of"]

log = structlog.get_logger(__name__)

_RETRIABLE = frozenset({408, 409, 423, 425, 429})
_REASON_BYTES = 2_000
_SECRET_MIN = 8
"""Length from which one part of a path, or one value of a query, may be a secret by itself."""


def message_of(
    anomaly: Anomaly, dataset: Dataset | None, *, key: str, link: str | None, possible_duplicate: bool, now_ms: int
) -> dict[str, Any]:
    """Return what a webhook is told: what it is, the anomaly's row, and where to look."""
    row = {name: getattr(anomaly, name) for name in type(anomaly).__dataclass_fields__}
    return {
        "type": "anomaly",
        "key": key,
        "timestamp_ms": now_ms,
        "possible_duplicate": possible_duplicate,
        "series": dataset.symbol if dataset else anomaly.series,
        "dataset": dataset.name if dataset else None,
        "url": link,
        "anomaly": row,
    }


class Webhook:
    """POSTs to one address.

    Args:
        settings: Address, secret, patience.
        clock: UTC epoch ms.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], int]) -> None:
        import requests

        self._url = str(settings.alerts.webhook_url)
        secret = settings.alerts.webhook_secret
        self._secret = secret.get_secret_value() if secret else None
        self._timeout_s = settings.alerts.webhook_timeout_s
        self._clock = clock
        parts = urlsplit(self._url)
        # Paths and queries of webhooks are often secrets themselves.
        self.name = f"{parts.scheme}://{parts.netloc}"
        self._hidden = _hidden(parts)
        self._session = requests.Session()
        self._session.trust_env = not is_loopback(parts.hostname)

    def send(self, message: dict[str, Any]) -> str:
        """POST a message; return the id that the answer names, if any.

        Raises:
            DeliveryError: It was not taken; `permanent` tells a refusal from a failure that may pass.
        """
        import requests

        body = json.dumps(message, separators=(",", ":"), allow_nan=False, default=str).encode()
        headers = {"Content-Type": "application/json", "User-Agent": "gridwatch", "Idempotency-Key": message["key"]}
        if self._secret:
            headers |= signed_headers(self._secret, message["key"], body, now_ms=self._clock())
        try:
            with self._session.post(
                self._url, data=body, headers=headers, timeout=self._timeout_s, allow_redirects=False, stream=True
            ) as answer:
                said = _beginning(answer)
        except (requests.RequestException, OSError) as error:
            raise self._error(
                f"does not answer ({type(error).__name__}).", permanent=False, maybe_taken=not _is_unsent(error)
            ) from error
        if 200 <= answer.status_code < 300:
            return str(answer.headers.get("X-Message-Id") or "")
        # A redirection is a wrong address, or a login page that may be gone at the next try.
        permanent = 400 <= answer.status_code < 500 and answer.status_code not in _RETRIABLE
        reason = self._without_address(" ".join(said.decode("utf-8", "replace").split()))[:300]
        raise self._error(
            f"answered {answer.status_code}: {reason or 'no reason given'}",
            permanent=permanent,
            wait_s=None if permanent else retry_after_s(answer.headers, now_ms=self._clock()),
            status=answer.status_code,
            maybe_taken=answer.status_code in OF_GATEWAYS,
        )

    def _without_address(self, text: str) -> str:
        """Return an answer without the address: many servers say which one they do not know."""
        for hidden in self._hidden:
            text = text.replace(hidden, "***")
        return text

    def _error(
        self,
        what: str,
        *,
        permanent: bool,
        maybe_taken: bool,
        wait_s: float | None = None,
        status: int | None = None,
    ) -> DeliveryError:
        return DeliveryError(
            f"The webhook at {self.name} {what}",
            permanent=permanent,
            retry_after_s=wait_s,
            status=status,
            maybe_taken=maybe_taken,
        )


def _beginning(answer: requests.Response) -> bytes:
    """Return the first bytes of an answer's page, which may be of any length; its status counts without it as well."""
    import requests

    try:
        return next(answer.iter_content(_REASON_BYTES), b"")
    except (requests.RequestException, OSError) as error:
        log.warning("webhook_answer_cut_off", status=answer.status_code, error=type(error).__name__)
        return b""


def _is_unsent(error: Exception) -> bool:
    """Tell whether there was no connection, so that the other side has seen nothing of the message."""
    import requests
    from urllib3.exceptions import ConnectTimeoutError, SSLError

    if isinstance(error, requests.ConnectTimeout):
        return True
    # What urllib3 found: a connection that is refused, or a certificate that nobody trusts.
    found = getattr(error.args[0] if error.args else None, "reason", None)
    inner = found.args[0] if isinstance(found, SSLError) and found.args else found
    return isinstance(inner, ConnectTimeoutError | ssl.SSLCertVerificationError)


def _hidden(parts: SplitResult) -> list[str]:
    """Return what may not be told of an address, as it stands and as servers write it back, the longest first."""
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    found = {one for one in (target, parts.path, parts.query) if len(one) > 1}
    values = [value for _, value in parse_qsl(parts.query)]
    found |= {one for one in (*parts.path.split("/"), *values) if len(one) >= _SECRET_MIN}
    found |= {unquote(one) for one in found}
    return sorted(found | {escape(one) for one in found}, key=len, reverse=True)
