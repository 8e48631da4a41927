"""What SendGrid's `/v3/mail/send` takes and refuses, so that a mail that the local inbox keeps would go out too."""

from __future__ import annotations

import json
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

_KINDS = ("to", "cc", "bcc")
_ARGUMENT_BYTES = 10_000

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
    problems += _check_people(mail)
    return problems + _check_content(mail) + _check_attachments(mail) + _check_extras(mail) + _check_switches(mail)


def _check_people(mail: dict[str, Any]) -> list[Problem]:
    """What is said of sender and answers, and of all recipients together."""
    problems = []
    sender = mail.get("from")
    name = sender.get("name") if isinstance(sender, dict) else None
    if _address(sender) and not (isinstance(sender, dict) and str(sender["email"]).isascii()):
        problems.append(_problem("from.email", "The from email must be ASCII."))
    if name is not None and not isinstance(name, str):
        problems.append(_problem("from.name", "The from name must be a string."))
    if "reply_to" in mail and not _address(mail["reply_to"]):
        problems.append(_problem("reply_to.email", "The reply_to object needs a valid email."))
    if "reply_to_list" in mail:
        answers = mail["reply_to_list"]
        if "reply_to" in mail:
            problems.append(_problem("reply_to_list", "Give reply_to or reply_to_list, not both."))
        if not isinstance(answers, list) or not 0 < len(answers) <= 1000 or not all(map(_address, answers)):
            problems.append(_problem("reply_to_list", "The reply_to_list needs 1 to 1000 email objects."))
    parts = mail.get("personalizations")
    kinds = (
        [part.get(kind) for part in parts if isinstance(part, dict) for kind in _KINDS]
        if isinstance(parts, list)
        else []
    )
    count = sum(len(people) for people in kinds if isinstance(people, list))
    if count > 1000:
        problems.append(_problem("personalizations", f"At most 1000 recipients in a request; there are {count}."))
    return problems


def _check_switches(mail: dict[str, Any]) -> list[Problem]:
    """Tracking, mail settings, groups, pool and time."""
    problems = []
    for group in ("tracking_settings", "mail_settings"):
        switches = mail.get(group, {})
        if not isinstance(switches, dict) or not all(isinstance(switch, dict) for switch in switches.values()):
            problems.append(_problem(group, f"The {group} must be an object of objects."))
            continue
        problems += [
            _problem(f"{group}.{name}.enable", "The enable switch must be true or false.")
            for name, switch in switches.items()
            if not isinstance(switch.get("enable", False), bool)
        ]
    groups = mail.get("asm")
    if groups is not None and not (isinstance(groups, dict) and _number(groups.get("group_id"))):
        problems.append(_problem("asm.group_id", "The asm object needs a group_id, an integer."))
    pool = mail.get("ip_pool_name")
    if pool is not None and not (isinstance(pool, str) and 2 <= len(pool) <= 64):
        problems.append(_problem("ip_pool_name", "The ip_pool_name has 2 to 64 characters."))
    if "send_at" in mail and not _number(mail["send_at"]):
        problems.append(_problem("send_at", "The send_at must be an integer, epoch seconds."))
    return problems


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
        for kind in _KINDS:
            people = part.get(kind) or []
            for place, person in enumerate(people if isinstance(people, list) else [None]):
                address = _address(person)
                if not address:
                    problems.append(_problem(f"{field}.{kind}.{place}.email", "This is no valid email address."))
                elif address.lower() in seen:
                    problems.append(_problem(field, f"{address} is there more than once in to, cc and bcc."))
                else:
                    seen.add(address.lower())
                name = person.get("name") if isinstance(person, dict) else None
                if name is not None and (not isinstance(name, str) or set(name) & set(";,")):
                    problems.append(_problem(f"{field}.{kind}.{place}.name", "A name is a string without ; and ,."))
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
        if not isinstance(part, dict) or not _text(part.get("type")) or set(part["type"]) & set(";\r\n"):
            problems.append(
                _problem(f"content.{number}.type", "The content type must be a string without ; and breaks.")
            )
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
        if not isinstance(part, dict):
            continue
        if part.get("disposition", "attachment") not in {"inline", "attachment"}:
            problems.append(_problem(f"{field}.disposition", "The disposition is inline or attachment."))
        if part.get("disposition") == "inline" and not _text(part.get("content_id")):
            problems.append(_problem(f"{field}.content_id", "An inline attachment needs a content_id."))
        problems += [
            _problem(f"{field}.{name}", f"This must be a string without any of {sorted(wrong)}.")
            for name, wrong in (("type", ";\r\n"), ("filename", "\r\n"), ("content_id", "\r\n"))
            if part.get(name) is not None and (not isinstance(part[name], str) or set(part[name]) & set(wrong))
        ]
    return problems


def _check_extras(mail: dict[str, Any]) -> list[Problem]:
    problems = []
    categories = mail.get("categories", [])
    if not isinstance(categories, list) or not all(isinstance(word, str) for word in categories):
        problems.append(_problem("categories", "The categories must be an array of strings."))
    elif len(categories) > 10 or len(set(categories)) < len(categories) or any(len(word) > 255 for word in categories):
        problems.append(_problem("categories", "At most 10 categories, all different, of at most 255 characters."))
    headers = mail.get("headers", {})
    if not _texts(headers):
        problems.append(_problem("headers", "The headers must be an object of strings."))
    elif not all(
        f"{name}{value}".isascii() and not set(f"{name}{value}") & set("\r\n") for name, value in headers.items()
    ):
        problems.append(_problem("headers", "Headers are ASCII and have no breaks."))
    else:
        problems += [
            _problem(f"headers.{name}", "This header is reserved.")
            for name in headers
            if name.lower() in _RESERVED_HEADERS
        ]
    if not _texts(mail.get("custom_args", {})):
        problems.append(_problem("custom_args", "The custom_args must be an object of strings."))
    elif len(json.dumps(mail.get("custom_args", {})).encode()) >= _ARGUMENT_BYTES:
        problems.append(_problem("custom_args", f"The custom_args must have less than {_ARGUMENT_BYTES} bytes."))
    return problems


def _address(person: object) -> str | None:
    email = person.get("email") if isinstance(person, dict) else None
    return email if isinstance(email, str) and _ADDRESS.match(email) else None


def _number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _texts(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
