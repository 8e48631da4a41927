"""The local SendGrid and the pages that show what it kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from flask import Blueprint, Response, abort, current_app, jsonify, render_template, request

from gridwatch.alerts.inbox import Mail
from gridwatch.alerts.mail_check import check_mail
from gridwatch.errors import DeliveryError
from gridwatch.server.state import state

__all__ = ["MAIL_MAX", "blueprint"]

blueprint = Blueprint("inbox", __name__)

MAIL_MAX = 30 * 1024 * 1024
"""Most bytes of a mail, SendGrid's own limit."""

_SHOWN_MAX = 200

# A mail's page may show itself and the pictures inside it, and nothing else: no script, no form, no request anywhere.
MAIL_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'self'; base-uri 'none'; "
    "form-action 'none'; sandbox allow-popups allow-popups-to-escape-sandbox"
)


@blueprint.post("/v3/mail/send")
def send() -> Response:
    """Take a mail as SendGrid does: 202 with `X-Message-Id`, or an error list."""
    authorization = request.authorization
    if authorization is None or authorization.type != "bearer" or not authorization.token:
        return _errors(401, [_error("The authorization header needs a Bearer API key.")])
    if request.mimetype != "application/json":
        return _errors(415, [_error("The Content-Type must be application/json.")])
    if (request.content_length or 0) > MAIL_MAX:
        return _errors(413, [_error(f"The mail is larger than {MAIL_MAX} bytes.")])
    body = request.stream.read(MAIL_MAX + 1)
    if len(body) > MAIL_MAX:
        return _errors(413, [_error(f"The mail is larger than {MAIL_MAX} bytes.")])
    try:
        mail = current_app.json.loads(body)
        # Half of a surrogate pair is JSON and no text: the pages could not show it.
        json.dumps(mail, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return _errors(400, [_error("The body holds text that is not Unicode.")])
    except (ValueError, RecursionError):
        return _errors(400, [_error("The body is no JSON.")])
    problems = check_mail(mail)
    if problems:
        return _errors(400, problems)
    sandbox = mail.get("mail_settings", {}).get("sandbox_mode", {}).get("enable") is True
    if sandbox:
        return Response(status=200)
    parts = state(current_app)
    try:
        message_id = parts.inbox.keep(mail, now_ms=parts.clock())
    except DeliveryError as error:
        return _errors(500, [_error(str(error))])
    return Response(status=202, headers={"X-Message-Id": message_id})


@blueprint.get("/inbox")
def page() -> str:
    """Show the newest mails."""
    mails = state(current_app).inbox.mails(limit=_SHOWN_MAX)
    return render_template("inbox.html", mails=[_shown(mail) for mail in mails], most=_SHOWN_MAX)


@blueprint.get("/inbox.json")
def listing() -> Response:
    """Give the newest mails to a script, without their bodies."""
    return jsonify([_shown(mail) for mail in state(current_app).inbox.mails(limit=_SHOWN_MAX)])


@blueprint.get("/inbox/<name>")
def mail_page(name: str) -> str:
    """Show one mail: its head, and its HTML in a frame that can do nothing."""
    return render_template("mail.html", mail=_shown(_mail(name)), text=_mail(name).text)


@blueprint.get("/inbox/<name>.json")
def mail_json(name: str) -> Response:
    """Give one mail to a script, as it was sent."""
    mail = _mail(name)
    return jsonify(_shown(mail) | {"request": mail.request})


@blueprint.get("/inbox/<name>/html")
def mail_html(name: str) -> Response:
    """Give the mail's own HTML, locked in."""
    answer = Response(_mail(name).html, mimetype="text/html")
    answer.headers["Content-Security-Policy"] = MAIL_POLICY
    return answer


def _mail(name: str) -> Mail:
    mail = state(current_app).inbox.mail(name)
    if mail is None:
        abort(404, f"The inbox has no mail {name[:60]!r}.")
    return mail


def _shown(mail: Mail) -> dict[str, object]:
    received = datetime.fromtimestamp(mail.received_ms / 1000, UTC)
    return {
        "id": mail.id,
        "received": f"{received:%Y-%m-%d %H:%M:%S} UTC",
        "received_ms": mail.received_ms,
        "subject": mail.subject,
        "from": mail.sender,
        "to": mail.recipients,
        "custom_args": mail.arguments,
        "categories": mail.request.get("categories", []),
    }


def _error(message: str) -> dict[str, str | None]:
    return {"message": message, "field": None, "help": None}


def _errors(status: int, errors: list[dict[str, str | None]]) -> Response:
    answer = jsonify({"errors": errors})
    answer.status_code = status
    return answer
