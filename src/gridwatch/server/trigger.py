"""POST /trigger: GridDB's REST trigger. Only the container's name and the row key are taken from the body."""

from __future__ import annotations

import json
import re
import threading
import time
from typing import TYPE_CHECKING, Any

import structlog
from flask import Blueprint, Response, current_app, jsonify

from gridwatch.alerts.anomaly import PREFIX, is_anomaly_container
from gridwatch.alerts.batch import BATCH_MAX, Place
from gridwatch.alerts.outcome import Outcome
from gridwatch.alerts.receipts import CHANNEL, WEBHOOK
from gridwatch.errors import GridwatchError
from gridwatch.server.state import State, state
from gridwatch.server.trigger_auth import BODY_MAX, trigger_body

if TYPE_CHECKING:
    from gridwatch.containers import ContainerInfo

__all__ = ["BODY_MAX", "blueprint", "parse_trigger"]

log = structlog.get_logger(__name__)

blueprint = Blueprint("trigger", __name__)

_LATER_S = (0.05, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Pauses before each look for a row that GridDB is still putting; its own patience ends after 5 s."""

_STATUS = {
    "sent": 200,
    "already_sent": 200,
    "in_progress": 202,
    "pending": 503,
    "dead": 422,
    "skipped": 200,
    "away": 503,
    "not_found": 404,
}

_BAD_MORE = (
    f"`more` is for up to {BATCH_MAX - 1} further rows of the channel {CHANNEL!r}, each as "
    f'{{"container": "{PREFIX}...", "id": "..."}}.'
)

_ID = re.compile(r"^[0-9a-f]{32}$")
# GridDB 4.6 sends a string with its length byte in front and cut off by one: 32 hex digits come as "A" and 31 of them.
_CUT_ID = re.compile(r"^A([0-9a-f]{31})$")


@blueprint.post("/trigger")
@blueprint.post("/trigger/<token>")
def trigger(token: str | None = None) -> Response:
    """Deliver the mail for the row that the body names."""
    parts = state(current_app)
    body = trigger_body()
    if body is None:
        return _answer(413, "refused", f"The body is longer than {BODY_MAX} bytes.")
    container, event, key = parse_trigger(body)
    if container is None:
        return _answer(
            400, "refused", 'The body names no container: {"container": "...", "event": "put", "row": {...}}.'
        )
    if not container.upper().startswith(PREFIX):
        return _answer(403, "refused", f"Only {PREFIX}* containers have triggers here; this is {container[:100]!r}.")
    if event not in {None, "put"}:
        return _answer(200, "ignored", f"Nothing is sent for a {event!r}.")
    asked = _asked(body)
    more = _more(asked)
    if more is None:
        return _answer(400, "refused", _BAD_MORE)
    if not parts.triggers.acquire(blocking=False):
        return _answer(503, "busy", "Too many triggers at once; try again.", retry_after_s=1)
    if key is not None and _CUT_ID.match(key):
        # GridDB itself waits for this answer in the middle of its put, and would keep the row from us until then.
        threading.Thread(target=_deliver_later, args=(parts, container, key), name="trigger", daemon=True).start()
        return _answer(202, "accepted", None)
    try:
        if more and key is not None and _ID.match(key):
            return _deliver_all(parts, [(container, key), *more])
        return _deliver(parts, container, key, _channel(asked))
    except GridwatchError as error:
        log.warning("trigger_failed", container=container, error=str(error))
        return _answer(503, "failed", str(error), retry_after_s=5)
    finally:
        parts.triggers.release()


def _deliver_later(parts: State, container: str, key: str) -> None:
    """Deliver the mail for a row that GridDB is still putting; the relay sees to one that does not appear."""
    try:
        for pause_s in _LATER_S:
            time.sleep(pause_s)
            info = _container(parts, container)
            if not is_anomaly_container(info):
                continue
            found = _row_key(parts, info.name, key)
            if found is not None:
                outcome = parts.delivery.deliver(info.name, found)
                log.info("trigger_delivered", container=info.name, key=outcome.key, status=outcome.status)
                return
        log.warning("trigger_row_not_found", container=container, hint="the relay delivers what there is")
    except GridwatchError as error:
        log.warning("trigger_failed", container=container, error=str(error))
    except Exception:
        # The edge of this thread: nobody else would tell of a defect.
        log.exception("trigger_failed", container=container)
    finally:
        parts.triggers.release()


def parse_trigger(body: bytes) -> tuple[str | None, str | None, str | None]:
    r"""Return container, event and row key `id` of a trigger's body, each None when it is not there.

    GridDB escapes nothing in its strings, so a body that is no JSON is searched for the three.

    >>> parse_trigger(b'{ "container":"ANOMALY_X", "event":"put", "row":{ "note":"say "hi"\n", "id":"0123" } }')
    ('ANOMALY_X', 'put', '0123')
    """
    text = body.decode("utf-8", "replace")
    try:
        found = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        row = found.get("row")
        return (
            _word(found.get("container")),
            _word(found.get("event")),
            _word(row.get("id") if isinstance(row, dict) else None),
        )
    # The head comes before any text of the row; the row's own `id` is looked for behind it.
    head, mark, rest = text.partition('"row"')
    return _search("container", head), _search("event", head), _search("id", rest if mark else "")


def _search(name: str, text: str) -> str | None:
    match = re.search(rf'"{name}"\s*:\s*"([^"\r\n]{{0,300}})"', text)
    return _word(match.group(1)) if match else None


def _word(value: object) -> str | None:
    return value if isinstance(value, str) and value and len(value) <= 300 and "\x00" not in value else None


def _container(parts: State, name: str) -> ContainerInfo | None:
    """The container of this name, None when there is none."""
    return parts.store.container(name) if re.fullmatch(r"[A-Za-z0-9_]+", name) else None


def _asked(body: bytes) -> dict[str, Any]:
    """What the relay asks for; GridDB's own trigger, which need not be JSON, asks for nothing."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _channel(asked: dict[str, Any]) -> str | None:
    """The one channel that the relay asks for."""
    channel = asked.get("channel")
    return channel if channel in {CHANNEL, WEBHOOK} else None


def _more(asked: dict[str, Any]) -> list[Place] | None:
    """The further rows that the relay names beside the first; None where they are not what it sends."""
    if "more" not in asked:
        return []
    rows = asked["more"]
    if asked.get("channel") != CHANNEL or not isinstance(rows, list) or len(rows) >= BATCH_MAX:
        return None
    named = [(row.get("container"), row.get("id")) if isinstance(row, dict) else (None, None) for row in rows]
    places = [(name, key) for name, key in named if isinstance(name, str) and isinstance(key, str)]
    good = [(name, key) for name, key in places if name.upper().startswith(PREFIX)]
    return good if len(good) == len(rows) else None


def _deliver_all(parts: State, places: list[Place]) -> Response:
    """Deliver the mails of several rows; the answer is the first one's, with the others' under `more`."""
    infos = {name: _container(parts, name) for name in dict.fromkeys(name for name, _ in places)}
    known = {name: info.name for name, info in infos.items() if is_anomaly_container(info)}
    # A row that somebody else has put, with a key of their own, is answered for by itself: the others get their mails.
    there = [(known[name], key) for name, key in places if name in known and _ID.match(key)]
    ended = dict(zip(there, parts.delivery.deliver_all(there), strict=True))
    answers = [_said(ended.get((known.get(name, ""), key)), parts.clock()) for name, key in places]
    code, first = answers[0]
    answer = jsonify(first | {"more": [{"code": code, **said} for code, said in answers[1:]]})
    answer.status_code = code
    if "retry_after_s" in first:
        answer.headers["Retry-After"] = str(first["retry_after_s"])
    return answer


def _said(ended: Outcome | GridwatchError | None, now_ms: int) -> tuple[int, dict[str, object]]:
    """The status of one row of several, and what is told of it."""
    if ended is None:
        return 404, {"status": "not_found", "error": "No anomaly container has this row."}
    if isinstance(ended, GridwatchError):
        log.warning("trigger_failed", error=str(ended))
        return 503, {"status": "failed", "error": str(ended), "retry_after_s": 5}
    said = _told(ended) | ({"error": ended.error} if ended.error else {})
    wait_s = _wait_s(ended, now_ms)
    return _STATUS[ended.status], said | ({"retry_after_s": wait_s} if wait_s is not None else {})


def _deliver(parts: State, container: str, key: str | None, channel: str | None) -> Response:
    info = _container(parts, container)
    if info is None:
        return _answer(404, "not_found", f"There is no container {container[:100]!r}.")
    if not is_anomaly_container(info):
        return _answer(403, "refused", f"Container {info.name!r} does not hold anomalies.")
    found = _row_key(parts, info.name, key)
    if found is None:
        return _answer(404, "not_found", f"Container {info.name!r} has no row with the id that the trigger names.")
    return _outcome(parts.delivery.deliver(info.name, found, channel), parts.clock())


def _row_key(parts: State, container: str, key: str | None) -> str | None:
    """The row key that a trigger means; None when no row can have it."""
    if key is None:
        return None
    if _ID.match(key):
        return key
    cut = _CUT_ID.match(key)
    if cut is None:
        return None
    rows = parts.store.sql(
        f'SELECT id FROM "{container}" WHERE id >= ? AND id <= ?',  # noqa: S608 - checked by its pattern
        [f"{cut.group(1)}0", f"{cut.group(1)}f"],
        rows_max=16,
    )
    found: list[str] = rows.column("id").to_pylist()
    return found[0] if len(found) == 1 else None


def _outcome(outcome: Outcome, now_ms: int) -> Response:
    wait_s = _wait_s(outcome, now_ms)
    answer = _answer(_STATUS[outcome.status], outcome.status, outcome.error, retry_after_s=wait_s)
    answer.set_data(json.dumps({**answer.get_json(), **_told(outcome)}))
    return answer


def _wait_s(outcome: Outcome, now_ms: int) -> int | None:
    if outcome.status not in {"pending", "in_progress", "away"}:
        return None
    return max(1, round(((outcome.next_ms or 0) - now_ms) / 1000))


def _told(outcome: Outcome) -> dict[str, object]:
    """What an answer tells of a delivery; nothing that is not so."""
    told = {
        "status": outcome.status,
        "key": outcome.key,
        "message_id": outcome.message_id,
        "possible_duplicate": outcome.possible_duplicate,
        "held": outcome.held,
        "digest": outcome.digest,
    }
    return {name: value for name, value in told.items() if value}


def _answer(code: int, status: str, error: str | None, *, retry_after_s: int | None = None) -> Response:
    answer = jsonify({"status": status} | ({"error": error} if error else {}))
    answer.status_code = code
    if retry_after_s is not None:
        answer.headers["Retry-After"] = str(retry_after_s)
    return answer
