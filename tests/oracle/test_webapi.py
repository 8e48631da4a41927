"""Recorded answers of GridDB's own Web API, replayed against the application: the same answer, or a clear refusal.

The recordings are not part of the repository; the test is skipped where they are not (see `folder`).
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog.testing
from flask import Flask
from flask.testing import FlaskClient

from gridwatch.containers import Store, open_store
from gridwatch.server.app import create_app
from gridwatch.server.users import Users
from gridwatch.settings import Settings

CLUSTER, DATABASE = "gridwatch", "public"
SAME, CODE, REFUSED, NOT_FINITE, ANSWERED, DIFFERS = (
    "same", "refused otherwise", "refused", "not finite", "answered", "differs",
)  # fmt: skip
KINDS = (SAME, CODE, REFUSED, NOT_FINITE, ANSWERED, DIFFERS)


def folder() -> Path | None:
    """Return the folder of the recordings, or None."""
    named = os.environ.get("GRIDWATCH_TEST_ORACLE")
    path = Path(named) if named else Path(__file__).parents[3] / "shared" / "data" / "griddb_oracle"
    return path if (path / "webapi.json").is_file() else None


def filled(value: Any) -> Any:
    """Put our cluster and database in the place of the recording's."""
    return json.loads(json.dumps(value, ensure_ascii=False).replace("{cluster}", CLUSTER).replace("{db}", DATABASE))


def send(client: FlaskClient, request: dict[str, Any]) -> tuple[int, str | None, Any]:
    """Send a recorded request; return status, content type and body (JSON where it is JSON)."""
    if "body" in request:
        data = json.dumps(request["body"], ensure_ascii=False).encode()
    elif "body_raw" in request:
        data = request["body_raw"].encode()
    elif "body_base64" in request:
        data = base64.b64decode(request["body_base64"])
    elif "body_gen" in request:
        made = request["body_gen"]
        data = (made["prefix"] + made["repeat"] * made["times"] + made["suffix"]).encode()
    else:
        data = None
    answer = client.open(request["path"], method=request["method"], headers=request.get("headers"), data=data)
    content = answer.get_data()
    kind = answer.headers.get("Content-Type")
    if kind and kind.startswith("multipart/"):
        return answer.status_code, re.sub("boundary=.*", "boundary=*", kind), multipart(answer)
    return answer.status_code, kind, json.loads(content) if content else None


def multipart(answer: Any) -> Any:
    """Return a multipart answer as the recording writes it."""
    import email
    import email.policy
    import io
    import zipfile

    head = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode()
    parts = []
    for part in email.message_from_bytes(head + answer.get_data(), policy=email.policy.HTTP).iter_parts():
        found = {"content_disposition": part["Content-Disposition"], "content_type": part["Content-Type"]}
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        if part.get_content_type() == "application/json":
            found["json"] = json.loads(content)
        else:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                found["zip_files"] = [
                    {"name": name, "base64": base64.b64encode(archive.read(name)).decode()}
                    for name in archive.namelist()
                ]
        parts.append(found)
    return {"multipart": parts}


def at(body: Any, path: str) -> tuple[Any, Any]:
    """Return the holder and the last step of a path such as `$[0].results`."""
    steps: list[Any] = [int(number) if number else name for number, name in re.findall(r"\[(\d+)\]|\.(\w+)", path)]
    for step in steps[:-1]:
        body = body[step]
    return body, steps[-1]


def levelled(case: dict[str, Any], body: Any) -> Any:
    """Return a body without what may differ: volatile values, the order of unordered ones."""
    body = json.loads(json.dumps(body))
    prefixes = case.get("stable_prefix", {})
    for path in case.get("volatile", []):
        with contextlib.suppress(LookupError, TypeError):
            holder, step = at(body, path)
            text = holder[step]
            number = re.match(r"\[\d+", text) if isinstance(text, str) else None
            # Messages hold addresses and GridDB's wording; its error number counts. Of a time, its form.
            if isinstance(text, str) and re.match(r"\d{4}-", text):
                text, number = re.sub(r"\d", "0", text), None
                prefixes = {path: text}
            holder[step] = (
                number.group() if number else isinstance(text, str) and text.startswith(prefixes.get(path, ""))
            )
    for path in case.get("unordered", []):
        with contextlib.suppress(LookupError, TypeError):
            holder, step = at(body, path)
            holder[step] = sorted(holder[step], key=json.dumps)
    return body


def equal(ours: Any, theirs: Any) -> bool:
    """Tell whether two JSON values are equal; 1 and 1.0 are, and so are 0.0 and -0.0, which SQLite does not keep."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(equal(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(equal, ours, theirs))
    if isinstance(ours, bool) or isinstance(theirs, bool) or not isinstance(ours, int | float):
        return type(ours) is type(theirs) and bool(ours == theirs)
    return isinstance(theirs, int | float) and ours == theirs


def is_refusal(status: int, body: Any) -> bool:
    """Tell whether an answer refuses: by its status, or by the `status` of a change."""
    return status >= 400 or (
        isinstance(body, list) and any(isinstance(one, dict) and one.get("status") == 0 for one in body)
    )


def code(body: Any) -> Any:
    """Return GridDB's error number of a refusal."""
    return body.get("errorCode") if isinstance(body, dict) else None


def judged(case: dict[str, Any], status: int, kind: str | None, body: Any) -> str:
    """Return how our answer compares with the recorded one."""
    wanted = filled(case["response"])
    theirs = wanted["body"]
    if status >= 400 and wanted["status"] >= 400:
        same = (status, kind, code(body)) == (wanted["status"], wanted["content_type"], code(theirs))
        return SAME if same else CODE
    if (status, kind) == (wanted["status"], wanted["content_type"]):
        ours, level = levelled(case, body), levelled(case, theirs)
        if equal(ours, level):
            return SAME
        if isinstance(ours, list) and ours and "status" in ours[0]:
            return changed(ours, level)
    if is_refusal(status, body):
        return REFUSED
    return ANSWERED if is_refusal(wanted["status"], theirs) else DIFFERS


def changed(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> str:
    """Return how the answers to several changes compare, each of which was done or refused."""
    if len(ours) != len(theirs):
        return DIFFERS
    pairs = [(one, other) for one, other in zip(ours, theirs, strict=True) if not equal(one, other)]
    if any(one["status"] > other["status"] for one, other in pairs):
        return ANSWERED
    if any(one["status"] for one, _ in pairs):
        return DIFFERS
    return REFUSED if any(other["status"] for _, other in pairs) else CODE


def is_not_finite(case: dict[str, Any]) -> bool:
    """Tell whether a case stores or reads what is not finite, which SQLite cannot keep."""
    requests = [{name: one.get(name) for name in ("body", "body_raw")} for one in [*case["setup"], case["request"]]]
    return re.search(r"NaN|Infinity|1e309|1e39", json.dumps([requests, case["response"]["body"]])) is not None


def area(case: dict[str, Any]) -> str:
    """Return the endpoint of a case."""
    path = re.sub(r"^/griddb/v\d/[^/]+/dbs/[^/]+", "", case["request"]["path"].split("?")[0])
    return f"{case['request']['method']} {re.sub(r'/containers/(?!rows$)[^/]+', '/containers/*', path)}"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{home / 'store.db'}") as opened:
        yield opened


@pytest.fixture
def app(home: Path, store: Store) -> Flask:
    settings = Settings(_env_file=None, home=home, server={"port": 0, "cluster": CLUSTER, "auth": "on"})
    return create_app(settings, store, clock=lambda: 1_795_299_202_835)


def test_recorded_answers(app: Flask, store: Store, home: Path) -> None:
    where = folder()
    if where is None:
        pytest.skip("no recordings here")
    cases = json.loads((where / "webapi.json").read_text(encoding="utf-8"))
    users = Users(home / "users.json")
    users.add("admin", "admin", rights="admin")
    client = app.test_client()
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    lines = []
    seen: list[Any] = []
    with structlog.testing.capture_logs() as logs:
        for case in cases:
            for name in store.containers():
                store.drop_container(name)
            for view in set(re.findall(r"view (wa_\w+)", json.dumps(seen))):
                store.execute(f"DROP VIEW IF EXISTS {view}")
            seen = [case["setup"], case["request"]]
            for user in users.all():
                if user.name != "admin":
                    users.remove(user.name)
            steps = [send(client, filled(step)) for step in case["setup"]]
            status, kind, body = send(client, filled(case["request"]))
            outcome = judged(case, status, kind, body)
            # What the recording's own notes call a defect is not imitated; and where the setup was refused, what
            # follows cannot be the same.
            refused = any(is_refusal(status, body) for status, _, body in steps)
            if outcome in {ANSWERED, DIFFERS, CODE} and ("note" in case or refused):
                outcome = REFUSED
            if outcome != SAME and is_not_finite(case):
                outcome = NOT_FINITE
            counts[area(case)][outcome] += 1
            if outcome != SAME:
                lines.append(f"{outcome}: {case['name']}: {status} {json.dumps(body)}")
    report(counts, lines)
    broken = [str(entry.get("exc_info")) for entry in logs if entry["event"] == "request_failed"]
    wrong = [line for line in lines if line.startswith((ANSWERED, DIFFERS))]
    assert not wrong, "\n".join(line[:300] for line in wrong)
    assert not broken, broken[:5]


def report(counts: dict[str, Counter[str]], lines: list[str]) -> None:
    """Print the counts by endpoint, and write what is not the same to the file that the environment names."""
    print(f"\n{'endpoint':36}{''.join(f'{kind:>19}' for kind in KINDS)}")
    for name in sorted(counts):
        print(f"{name:36}{''.join(f'{counts[name][kind]:19}' for kind in KINDS)}")
    total = sum(counts.values(), Counter[str]())
    print(f"{'all':36}{''.join(f'{total[kind]:19}' for kind in KINDS)}")
    if out := os.environ.get("GRIDWATCH_TEST_ORACLE_REPORT"):
        Path(out).write_text("\n".join(lines) + "\n", encoding="utf-8")
