"""The local SendGrid's mails: one JSON file a mail, in one folder."""

from __future__ import annotations

import json
import os
import re
import secrets
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import structlog

from gridwatch.alerts.mail_check import check_mail
from gridwatch.errors import DeliveryError
from gridwatch.folders import make_private

__all__ = ["INBOX_ID", "MAILS_MAX", "Inbox", "Mail"]

log = structlog.get_logger(__name__)

MAILS_MAX = 10_000
"""Most mails that the inbox keeps, and a few more for a while; the oldest go first."""

INBOX_ID = re.compile(r"^[0-9]{13}-[0-9a-f]{12}$")
"""What the ids of its mails look like, which are their receipts."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A kept mail: `request` is the body of `/v3/mail/send` as it came."""

    id: str
    received_ms: int
    request: dict[str, Any]

    @property
    def subject(self) -> str:
        """Subject of the mail, or of its first personalization."""
        return str(self.request.get("subject") or self._first.get("subject") or "")

    @property
    def sender(self) -> str:
        """From address."""
        return str(self.request["from"]["email"])

    @property
    def recipients(self) -> list[str]:
        """All `to` addresses, in order."""
        return [str(person["email"]) for part in self.request["personalizations"] for person in part["to"]]

    @property
    def arguments(self) -> dict[str, str]:
        """The custom arguments, which carry gridwatch's idempotency key."""
        return {**self.request.get("custom_args", {}), **self._first.get("custom_args", {})}

    @property
    def text(self) -> str:
        """The plain-text part, or nothing."""
        return self._part("text/plain")

    @property
    def html(self) -> str:
        """The HTML part with its inline images as data URLs; text in a <pre> when there is no HTML."""
        page = self._part("text/html") or f"<pre>{escape(self.text)}</pre>"
        for part in self.request.get("attachments", []):
            kind = str(part.get("type", "application/octet-stream"))
            # Only pictures are put into the page, and only by a type that is nothing but a type.
            if part.get("content_id") and re.fullmatch(r"image/(png|jpeg|gif|webp)", kind):
                page = page.replace(f"cid:{part['content_id']}", f"data:{kind};base64,{part['content']}")
        return page

    @property
    def _first(self) -> dict[str, Any]:
        part: dict[str, Any] = self.request["personalizations"][0]
        return part

    def _part(self, kind: str) -> str:
        return next((str(part["value"]) for part in self.request.get("content") or [] if part["type"] == kind), "")


class Inbox:
    """The folder of kept mails.

    Args:
        folder: Made when the first mail comes.
        mails_max: Most mails kept.
    """

    def __init__(self, folder: Path, *, mails_max: int = MAILS_MAX) -> None:
        self._folder = folder
        self._mails_max = mails_max
        self._kept = 0

    def keep(self, request: dict[str, Any], *, now_ms: int) -> str:
        """Store a checked mail durably and return its id; a crash leaves the whole file or none.

        Raises:
            DeliveryError: The folder cannot be written.
        """
        name = f"{now_ms:013d}-{secrets.token_hex(6)}"
        path = self._folder / f"{name}.json"
        draft = path.with_suffix(".tmp")
        try:
            make_private(self._folder)
            with draft.open("w", encoding="utf-8") as file:
                # In one piece: `json.dump` would go through the mail in Python.
                file.write(json.dumps({"id": name, "received_ms": now_ms, "request": request}))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except OSError as error:
            raise DeliveryError(f"Cannot keep a mail in {str(self._folder)!r}: {error}.", permanent=False) from error
        # To look through the folder costs more than to keep a mail.
        if self._kept % max(1, self._mails_max // 100) == 0:
            self._prune()
        self._kept += 1
        return name

    def ids(self) -> list[str]:
        """Return the ids of all mails, newest first."""
        return sorted((path.stem for path in self._folder.glob("*.json") if INBOX_ID.match(path.stem)), reverse=True)

    def mails(self, *, limit: int = 200) -> list[Mail]:
        """Return the newest mails, newest first; unreadable files are logged and left out."""
        found = (self.mail(name) for name in self.ids()[:limit])
        return [mail for mail in found if mail is not None]

    def mail(self, name: str) -> Mail | None:
        """Return one mail, or None when there is none with this id (or its file is no mail)."""
        if not INBOX_ID.match(name):
            return None
        try:
            raw = json.loads((self._folder / f"{name}.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.warning("mail_unreadable", id=name, error=str(error))
            return None
        if not isinstance(raw, dict) or check_mail(raw.get("request")) or not isinstance(raw.get("received_ms"), int):
            log.warning("mail_unreadable", id=name, error="not a kept mail")
            return None
        return Mail(name, raw["received_ms"], raw["request"])

    def _prune(self) -> None:
        for name in self.ids()[self._mails_max :]:
            (self._folder / f"{name}.json").unlink(missing_ok=True)
