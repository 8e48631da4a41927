"""The pages in a real Chromium."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gridwatch.server.pages.login_links import make_link
from tests.server.conftest import NOW_MS

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_signing_in_and_out(serving: Any, settings: Any, open_page: Callable[..., Page]) -> None:
    url = serving(settings)
    page = open_page(f"{url}/anomalies")
    page.get_by_role("link", name="Sign in").click()
    page.get_by_label("Name").fill("anna")
    assert page.evaluate("document.activeElement.name") == "name"
    page.goto(f"{url}/login/{make_link(settings.home, 'anna', now_ms=NOW_MS)}?next=/anomalies")
    page.get_by_text("anna").wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("link", name="Sign in").wait_for()
    assert page.url == f"{url}/anomalies"
