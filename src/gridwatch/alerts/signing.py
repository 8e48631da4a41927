"""Signatures of requests, in the way of Standard Webhooks: HMAC-SHA256 over `<id>.<time>.<body>`.

https://www.standardwebhooks.com names the headers `webhook-id`, `webhook-timestamp` (epoch seconds) and
`webhook-signature` (`v1,<base64>`, several with spaces between), so receivers find libraries for most languages.
"""

from __future__ import annotations

import binascii
import hmac
import threading
from base64 import b64decode, b64encode
from collections.abc import Mapping

__all__ = ["SIGNATURE_HEADER", "Verifier", "signed_headers"]

ID_HEADER, TIME_HEADER, SIGNATURE_HEADER = "webhook-id", "webhook-timestamp", "webhook-signature"

_ID_MAX = 200
_SEEN_MAX = 100_000


def signed_headers(secret: str, message_id: str, body: bytes, *, now_ms: int) -> dict[str, str]:
    """Return the three headers that sign a request.

    Args:
        secret: `whsec_` and base64, or any other text, which then is the key as it stands.
        message_id: Of this request; a receiver may refuse it a second time.
        body: As it is sent.
        now_ms: UTC epoch ms.
    """
    seconds = str(now_ms // 1000)
    signature = f"v1,{_sign(secret, message_id, seconds, body)}"
    return {ID_HEADER: message_id, TIME_HEADER: seconds, SIGNATURE_HEADER: signature}


class Verifier:
    """Checks signed requests, each taken once.

    Args:
        secret: As the sender has it.
        window_s: How far the sender's time may be from ours, in seconds.
    """

    def __init__(self, secret: str, *, window_s: float) -> None:
        self._secret = secret
        self._window_s = window_s
        self._seen: dict[str, float] = {}
        self._lock = threading.Lock()

    def problem(self, headers: Mapping[str, str], body: bytes, *, now_ms: int) -> str | None:
        """Return what is wrong with a request, for the sender to read; None when it is good, and then only once."""
        message_id, seconds = headers.get(ID_HEADER, ""), headers.get(TIME_HEADER, "")
        if not message_id or len(message_id) > _ID_MAX or not (seconds.isascii() and seconds.isdecimal()):
            return f"A signed request needs {ID_HEADER}, {TIME_HEADER} (epoch seconds) and {SIGNATURE_HEADER}."
        wanted = _sign(self._secret, message_id, seconds, body).encode()
        given = [part[3:] for part in headers.get(SIGNATURE_HEADER, "").split(" ") if part.startswith("v1,")]
        # All of them are compared, each in constant time.
        good = [hmac.compare_digest(one.encode("utf-8", "surrogateescape"), wanted) for one in given[:10]]
        if not any(good):
            return "The signature is wrong."
        if abs(int(seconds[:15]) - now_ms / 1000) > self._window_s:
            return (
                f"The signed time is more than {self._window_s:g} s off; set the clocks, or GRIDWATCH_ALERTS__REPLAY_S."
            )
        return None if self._first_time(message_id, now_ms / 1000) else "This signed request was here before."

    def _first_time(self, message_id: str, now_s: float) -> bool:
        with self._lock:
            if message_id in self._seen:
                return False
            self._seen[message_id] = now_s
            # Older ones fail by their time; they are in the order in which they came.
            while len(self._seen) > _SEEN_MAX or next(iter(self._seen.values())) < now_s - 2 * self._window_s:
                del self._seen[next(iter(self._seen))]
            return True


def _sign(secret: str, message_id: str, seconds: str, body: bytes) -> str:
    text = f"{message_id}.{seconds}.".encode("utf-8", "surrogateescape")
    return b64encode(hmac.digest(_key(secret), text + body, "sha256")).decode("ascii")


def _key(secret: str) -> bytes:
    if secret.startswith("whsec_"):
        try:
            return b64decode(secret.removeprefix("whsec_"), validate=True)
        except (binascii.Error, ValueError):
            # Then it is a text that begins so.
            return secret.encode()
    return secret.encode()
