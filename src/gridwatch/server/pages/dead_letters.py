"""Dead letters: the records that could not become rows, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import abort, current_app, render_template

from gridwatch.server.pages.asked import range_of, text_of
from gridwatch.server.pages.letters import NEWEST_MAX, Letters
from gridwatch.server.pages.paging import paging_of
from gridwatch.server.pages.shell import page_blueprint
from gridwatch.server.state import state

if TYPE_CHECKING:
    from gridwatch.server.pages.letters import Letter, Seen

__all__ = ["blueprint"]

blueprint = page_blueprint("dead_letters", __name__)

_STATES = ("waiting", "replayed", "all")
_KEPT = "gridwatch_letters"


@blueprint.get("/dead-letters")
def page() -> str:
    """List the newest dead letters; those that were replayed only when asked for."""
    parts = state(current_app)
    wanted = text_of("state") or "waiting"
    if wanted not in _STATES:
        abort(400, f"There is no state {wanted[:40]!r}; there are {', '.join(_STATES)}.")
    letters: Letters = current_app.extensions.setdefault(_KEPT, Letters(parts.settings, parts.clock))
    seen = letters.read()
    rows = [one for one in _asked(seen) if wanted in {"all", "replayed" if one.replayed else "waiting"}]
    paging = paging_of(len(rows))
    return render_template(
        "dead_letters.html",
        seen=seen,
        topics=[(name, *_counts(seen, name)) for name in seen.topics],
        rows=rows[paging.offset : paging.offset + paging.size],
        paging=paging,
        states=_STATES,
        most=NEWEST_MAX,
    )


def _asked(seen: Seen) -> list[Letter]:
    """Return the letters that pass the filters of the address, but for their state."""
    topic, reason = text_of("topic"), text_of("reason")
    from_ms, to_ms = range_of()
    return [
        one
        for one in seen.letters
        if topic in {None, one.dead_topic, one.topic}
        and (reason is None or reason.lower() in one.reason.lower())
        and (from_ms is None or one.time_ms >= from_ms)
        and (to_ms is None or one.time_ms <= to_ms)
    ]


def _counts(seen: Seen, topic: str) -> tuple[int, int, int | None]:
    """Return how many letters of a topic wait, how many were replayed, and the time of the newest."""
    of = [one for one in seen.letters if one.dead_topic == topic]
    replayed = sum(one.replayed for one in of)
    return len(of) - replayed, replayed, max((one.time_ms for one in of), default=None)
