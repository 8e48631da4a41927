"""Addresses in mails and webhooks: an anomaly's page, and the links that label it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridwatch.alerts.links import LINK_SECRET, LabelRight, label_url, token_of
from gridwatch.secrets import secret

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridwatch.alerts.anomaly import Anomaly
    from gridwatch.settings import Settings

__all__ = ["LABELS_OF_LINKS", "anomaly_url", "label_links"]

LABELS_OF_LINKS = (("true", "It was right"), ("false", "False alarm"), ("expected", "Expected"))
"""What a mail offers to say, and its words on the button."""

_DAY_MS = 86_400_000


def anomaly_url(settings: Settings, anomaly: Anomaly) -> str | None:
    """Return the address of the anomaly's page; None where nobody said how readers reach the pages."""
    base = settings.alerts.public_url
    return f"{base.rstrip('/')}/anomalies/{anomaly.container}/{anomaly.id}" if base else None


def label_links(
    settings: Settings, anomaly: Anomaly, recipients: Sequence[str], *, now_ms: int
) -> list[tuple[str, str]]:
    """Return the label links of a mail as (words, address); none without a public address, or where they are off.

    Raises:
        ConfigError: The secret that signs them can be neither read nor made.
    """
    base, days = settings.alerts.public_url, settings.alerts.label_links_days
    if not base or not days:
        return []
    # With several readers nobody knows which one follows it.
    author = recipients[0] if len(recipients) == 1 else "a reader of the mail"
    right = LabelRight(anomaly.container, anomaly.id, author, now_ms + round(days * _DAY_MS))
    token = token_of(secret(settings.home, LINK_SECRET), right)
    return [(words, label_url(base, token, verdict)) for verdict, words in LABELS_OF_LINKS]
