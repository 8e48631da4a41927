"""Who may trigger: holders of the token or of the secret that signs, and GridDB with the token in its address."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from flask import current_app, g, request

from gridwatch.alerts.signing import SIGNATURE_HEADER, Verifier
from gridwatch.server.state import state

if TYPE_CHECKING:
    from gridwatch.settings import Settings

__all__ = ["BODY_MAX", "is_signed", "may_name_token", "signature_problem", "trigger_body"]

BODY_MAX = 64 * 1024
"""Most bytes of a trigger's body."""

_VERIFIER = "gridwatch_trigger_verifier"


def trigger_body() -> bytes | None:
    """Return the body of this request, read once; None where it is longer than `BODY_MAX`."""
    if "trigger_body" not in g:
        too_long = (request.content_length or 0) > BODY_MAX
        body = b"" if too_long else request.stream.read(BODY_MAX + 1)
        g.trigger_body = None if too_long or len(body) > BODY_MAX else body
    found: bytes | None = g.trigger_body
    return found


def is_signed(settings: Settings) -> bool:
    """Tell whether this request brings a signature, where triggers may be signed."""
    return settings.alerts.hmac_secret is not None and SIGNATURE_HEADER in request.headers


def signature_problem(settings: Settings) -> str | None:
    """Return what is wrong with this request's signature; None when it is good."""
    secret = settings.alerts.hmac_secret
    if secret is None:
        return "Signatures are not taken here; GRIDWATCH_ALERTS__HMAC_SECRET is unset."
    verifier = current_app.extensions.get(_VERIFIER)
    if verifier is None:
        # Of two requests that come first at once, both have to meet the same one.
        made = Verifier(secret.get_secret_value(), window_s=settings.alerts.replay_s)
        verifier = current_app.extensions.setdefault(_VERIFIER, made)
    body = trigger_body()
    if body is None:
        # Refused for its length by the view, whoever sent it: nobody reads so much to check it.
        return None
    problem: str | None = verifier.problem(request.headers, body, now_ms=state(current_app).clock())
    return problem


def may_name_token(settings: Settings, *, local: bool) -> bool:
    """Tell whether this caller may give the token in the address, where logs and proxies see it, as GridDB has to."""
    if local:
        return True
    try:
        caller = ip_address(request.remote_addr or "")
    except ValueError:
        return False
    caller = getattr(caller, "ipv4_mapped", None) or caller
    return any(caller in ip_network(network, strict=False) for network in settings.alerts.trigger_addresses)
