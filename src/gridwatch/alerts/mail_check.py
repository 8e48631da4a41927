"""What SendGrid's `/v3/mail/send` takes and refuses, so that a mail that the local inbox keeps would go out too."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from typing import Any

__all__ = ["Problem", "check_mail"]

_ADDRESS = re.compile(r"^[^@\s,;<>]+@[^@\s,;<>]+$")
_HELP = "https://www.twilio.com/docs/sendgrid/api-reference/mail-send/errors"
_RESERVED_HEADERS = {
    *("x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding"),
    *("to", "from", "subject", "reply-to", "cc", "bcc"),
}

Problem = dict[str, str | None]


def _problem(field: str, message: str) -> Problem:
    return {"message": message, "field": field, "help": _HELP}


def check_mail(mail: object) -> list[Problem]:
    """Return what SendGrid would refuse in a `/v3/mail/send` request, in the shape of its error list; empty when good.

    Args:
        mail: The decoded JSON body.
    """
    if not isinstance(mail, dict):
        return [{"message": "The body must be a JSON object.", "field": None, "help": None}]
    problems = _check_personalizations(mail)
    if not _address(mail.get("from")):
        problems.append(_problem("from.email", "The from object needs a valid email."))
    if not _text(mail.get("subject")) and not mail.get("template_id"):
        parts = mail.get("personalizations")
        each = [part.get("subject") for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
        if not each or not all(_text(subject) for subject in each):
            problems.append(_problem("subject", "The subject is required, here or in every personalization."))
    return problems + _check_content(mail) + _check_attachments(mail) + _check_extras(mail)


def _check_personalizations(mail: dict[str, Any]) -> list[Problem]:
    parts = mail.get("personalizations")
    if not isinstance(parts, list) or not parts:
        return [_problem("personalizations", "The personalizations field needs at least one personalization.")]
    if len(parts) > 1000:
        return [_problem("personalizations", f"At most 1000 personalizations in a request; there are {len(parts)}.")]
    problems = []
    for number, part in enumerate(parts):
        field = f"personalizations.{number}"
        if not isinstance(part, dict) or not isinstance(part.get("to"), list) or not part["to"]:
            problems.append(_problem(f"{field}.to", "The to array needs at least one email object."))
            continue
        seen: set[str] = set()
        for kind in ("to", "cc", "bcc"):
            people = part.get(kind) or []
            for place, person in enumerate(people if isinstance(people, list) else [None]):
                address = _address(person)
                if not address:
                    problems.append(_problem(f"{field}.{kind}.{place}.email", "This is no valid email address."))
                elif address.lower() in seen:
                    problems.append(_problem(field, f"{address} is there more than once in to, cc and bcc."))
                else:
                    seen.add(address.lower())
        if not _texts(part.get("custom_args", {})):
            problems.append(_problem(f"{field}.custom_args", "The custom_args must be an object of strings."))
    return problems


def _check_content(mail: dict[str, Any]) -> list[Problem]:
    parts = mail.get("content")
    if parts is not None and not isinstance(parts, list):
        return [_problem("content", "The content must be an array.")]
    if not parts:
        return [] if mail.get("template_id") else [_problem("content", "At least one content block is required.")]
    problems = []
    for number, part in enumerate(parts):
        if not isinstance(part, dict) or not _text(part.get("type")):
            problems.append(_problem(f"content.{number}.type", "The content type must be a string."))
        if not isinstance(part, dict) or not _text(part.get("value")):
            problems.append(_problem(f"content.{number}.value", "The content value must be a string with some text."))
    kinds = [part.get("type") for part in parts if isinstance(part, dict)]
    if "text/plain" in kinds and kinds[0] != "text/plain":
        problems.append(_problem("content", "text/plain must be the first content block, text/html the next."))
    return problems


def _check_attachments(mail: dict[str, Any]) -> list[Problem]:
    parts = mail.get("attachments", [])
    if not isinstance(parts, list):
        return [_problem("attachments", "The attachments must be an array.")]
    problems = []
    for number, part in enumerate(parts):
        field = f"attachments.{number}"
        if not isinstance(part, dict) or not _text(part.get("filename")):
            problems.append(_problem(f"{field}.filename", "The attachment needs a filename."))
        try:
            good = isinstance(part, dict) and _text(part.get("content")) and b64decode(part["content"], validate=True)
        except (Base64Error, ValueError):
            good = False
        if not good:
            problems.append(_problem(f"{field}.content", "The attachment's content must be base64 text."))
        if isinstance(part, dict) and part.get("disposition") == "inline" and not _text(part.get("content_id")):
            problems.append(_problem(f"{field}.content_id", "An inline attachment needs a content_id."))
    return problems


def _check_extras(mail: dict[str, Any]) -> list[Problem]:
    problems = []
    categories = mail.get("categories", [])
    if not isinstance(categories, list) or not all(isinstance(word, str) for word in categories):
        problems.append(_problem("categories", "The categories must be an array of strings."))
    elif len(categories) > 10 or len(set(categories)) < len(categories) or any(len(word) > 255 for word in categories):
        problems.append(_problem("categories", "At most 10 categories, all different, of at most 255 characters."))
    headers = mail.get("headers", {})
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        problems.append(_problem("headers", "The headers must be an object of strings."))
    else:
        problems += [
            _problem(f"headers.{name}", "This header is reserved.")
            for name in headers
            if name.lower() in _RESERVED_HEADERS
        ]
    switches = mail.get("mail_settings", {})
    if not isinstance(switches, dict) or not all(isinstance(switch, dict) for switch in switches.values()):
        problems.append(_problem("mail_settings", "The mail_settings must be an object of objects."))
    if not _texts(mail.get("custom_args", {})):
        problems.append(_problem("custom_args", "The custom_args must be an object of strings."))
    return problems


def _address(person: object) -> str | None:
    email = person.get("email") if isinstance(person, dict) else None
    return email if isinstance(email, str) and _ADDRESS.match(email) else None


def _texts(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
