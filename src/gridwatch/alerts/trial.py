"""A test of the ways out: one mail that says so, and one message to the webhook, without any anomaly."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gridwatch.alerts.email import envelope
from gridwatch.alerts.sendgrid import Mailer
from gridwatch.alerts.webhook import Webhook
from gridwatch.errors import DeliveryError

if TYPE_CHECKING:
    from gridwatch.settings import Settings

__all__ = ["try_channels"]


def try_channels(
    settings: Settings, recipients: list[str], *, inbox_url: str, clock: Callable[[], int]
) -> list[dict[str, Any]]:
    """Send a test through every channel that is set up, once each.

    Args:
        settings: Where mails and webhooks go.
        recipients: Who gets the mail.
        inbox_url: Address of the local inbox, for where no SendGrid key is set.
        clock: UTC epoch ms.

    Returns:
        A dict a channel: `channel`, `to`, `through`, `ok`, `message_id` and `error`.

    Raises:
        ConfigError: An address is wrong.
    """
    key = f"test-{uuid.uuid4().hex}"
    mailer = Mailer.from_settings(settings, inbox_url=inbox_url, clock=clock)
    mail = envelope(
        "trial",
        {"link": settings.alerts.public_url},
        settings,
        recipients=recipients,
        key=key,
        possible_duplicate=False,
    )
    mail |= {"subject": "[gridwatch] A test: nothing is wrong", "categories": ["gridwatch", "test"]}
    found = [_tried("email", ", ".join(recipients), mailer.url, lambda: mailer.send(mail))]
    if settings.alerts.webhook_url:
        webhook = Webhook(settings, clock=clock)
        message = {"type": "test", "key": key, "timestamp_ms": clock()}
        found.append(_tried("webhook", webhook.name, webhook.name, lambda: webhook.send(message)))
    return found


def _tried(channel: str, to: str, through: str, send: Callable[[], str]) -> dict[str, Any]:
    told: dict[str, Any] = {"channel": channel, "to": to, "through": through}
    try:
        return told | {"ok": True, "message_id": send(), "error": None}
    except DeliveryError as error:
        return told | {"ok": False, "message_id": None, "error": str(error)}
