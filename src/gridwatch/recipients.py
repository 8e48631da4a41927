"""Recipients as dataset files and settings write them: an address, or `severity: address` for that and worse."""

from __future__ import annotations

import re

__all__ = ["wants"]

_RECIPIENT = re.compile(
    r"(?:(?P<least>low|medium|high|critical)\s*:\s*)?(?P<address>[^@\s,;:]+@[^@\s,;:]+)", re.IGNORECASE
)


def wants(recipient: str) -> tuple[str, str | None]:
    """Return the address of a recipient, and the least severity that it wants to hear of, None for all.

    Raises:
        ValueError: It is neither an address nor `severity: address`.

    >>> wants("ops@example.com"), wants("critical: boss@example.com")
    (('ops@example.com', None), ('boss@example.com', 'critical'))
    """
    found = _RECIPIENT.fullmatch(recipient.strip())
    if found is None:
        msg = f"{recipient!r} is no mail address; write one, or `critical: address` for what is critical (or high: ...)"
        raise ValueError(msg)
    least = found["least"]
    return found["address"], least.lower() if least else None
