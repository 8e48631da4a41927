"""Signed links of a mail, with which its reader may label one anomaly until they expire.

A link is a right and no act: it opens a page that asks, since mail scanners follow every link.
"""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from urllib.parse import quote

__all__ = ["LINK_SECRET", "LabelRight", "label_url", "open_token", "token_of"]

LINK_SECRET = "label_links"  # noqa: S105 - the name of a secret
_TOKEN_MAX = 1000
_SIGNATURE_BYTES = 32


@dataclass(frozen=True, slots=True)
class LabelRight:
    """The right to label one anomaly.

    `author` is who the mail went to, where that is one; the end is UTC epoch ms.
    """

    container: str
    anomaly_id: str
    author: str
    until_ms: int


def token_of(key: bytes, right: LabelRight) -> str:
    """Return a right as text for an address, signed with HMAC-SHA256.

    >>> right = LabelRight("ANOMALY_X", "ab", "me@example.com", 9)
    >>> open_token(b"key", token_of(b"key", right)) == right, open_token(b"other", token_of(b"key", right))
    (True, None)
    """
    fields = [right.container, right.anomaly_id, right.author, right.until_ms]
    payload = json.dumps(fields, separators=(",", ":")).encode()
    return urlsafe_b64encode(_signature(key, payload) + payload).decode("ascii").rstrip("=")


def open_token(key: bytes, token: str) -> LabelRight | None:
    """Return the right in a token, None where this key did not sign it; whether it has expired is the caller's."""
    if not token.isascii() or len(token) > _TOKEN_MAX:
        return None
    try:
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except ValueError:
        return None
    signature, payload = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _signature(key, payload)):
        return None
    container, anomaly_id, author, until_ms = json.loads(payload)
    return LabelRight(container, anomaly_id, author, until_ms)


def label_url(base: str, token: str, verdict: str) -> str:
    """Return the address of the page that asks whether to label."""
    return f"{base.rstrip('/')}/label/{token}?say={quote(verdict)}"


def _signature(key: bytes, payload: bytes) -> bytes:
    # The purpose is signed too: no other signature of this key can be taken for a link.
    return hmac.digest(key, b"gridwatch label link\0" + payload, "sha256")
