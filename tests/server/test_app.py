"""The application as a whole, and its page of the documentation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import gridwatch.alerts
import gridwatch.server

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "alerts.md").read_text(encoding="utf-8")
WEB_API = (DOCS / "webapi.md").read_text(encoding="utf-8")
PAGES = (DOCS / "pages.md").read_text(encoding="utf-8")
JOBS = (DOCS / "jobs.md").read_text(encoding="utf-8")


def test_every_address_is_documented(app: Any) -> None:
    documented = {re.sub(r"<[^>]*>", "<>", path) for path in re.findall(r"[` ](/[a-z0-9_./<>-]*)", PAGE)}
    documented |= {
        re.sub(r"<[^>]*>", "<>", path) for path in re.findall(r"`(/(?:griddb|metrics)[A-Za-z0-9_./<>-]*)`", WEB_API)
    }
    jobs = re.findall(r"`(/_(?:ml|transform)[A-Za-z0-9_./<>-]*)`", JOBS)
    documented |= {re.sub(r"<[^>]*>", "<>", path) for path in jobs}
    documented |= {re.sub(r"<[^>]*>", "<>", path) for path in re.findall(r"`(/[a-z0-9_./<>-]*)`", PAGES)}
    # Frames and single rows hang below a page that is documented.
    inner = {"/", "/static/<>", "/inbox/<>/html", "/inbox/<>.json", "/anomalies/<>/<>/html"}
    # What is refused by name is none of ours.
    rules = [rule for rule in app.url_map.iter_rules() if ".absent " not in rule.endpoint]
    served = {re.sub(r"<[^>]*>", "<>", rule.rule) for rule in rules}
    assert served - inner <= documented
    assert documented - {"/v3/mail/send"} <= served


def test_every_answer_of_a_trigger_is_documented() -> None:
    from gridwatch.server.trigger import _STATUS

    for status, code in _STATUS.items():
        assert str(code) in PAGE
        assert status == "not_found" or f"`{status}`" in PAGE


def test_public_names_are_sorted_and_there() -> None:
    for room in (gridwatch.alerts, gridwatch.server):
        assert room.__all__ == sorted(room.__all__, key=lambda name: (name[0].islower(), name))
        assert all(hasattr(room, name) for name in room.__all__)


def test_every_answer_is_hardened(app: Any) -> None:
    for path in ("/inbox", "/healthz", "/nothing"):
        headers = app.test_client().get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
