"""A real Chromium for the tests of the pages: fixtures for `conftest.py`, and what a page must not do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["browser", "open_page"]

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

REQUIRED = "GRIDWATCH_TEST_CHROMIUM"
"""Set to `required` where a missing Chromium is a failure, as in `.ci/run`."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium of the system, without a window. Of a module and no longer: its event loop would be in others' way."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        message = "There is no Chromium; on Debian: apt-get install chromium"
        if os.environ.get(REQUIRED) == "required":
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # As root, as in a container, Chromium has no sandbox; /dev/shm is small there.
        flags = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        started = playwright.chromium.launch(executable_path=program, args=flags)
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open an address in a fresh browser: `open_page(url, width=360, dark=True, touch=True)` returns the page.

    The test fails when a page logs an error or a warning, throws, is refused something by the content policy, or asks
    another machine for anything. `expected` holds pieces of messages that are meant to appear.
    """
    problems: list[str] = []
    contexts = []

    def start(
        url: str,
        *,
        width: int = 1200,
        height: int = 900,
        dark: bool = False,
        touch: bool = False,
        expected: tuple[str, ...] = (),
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            has_touch=touch,
            is_mobile=touch,
            timezone_id="UTC",
        )
        contexts.append(context)
        context.set_default_timeout(120_000)
        page = context.new_page()

        def problem(text: str) -> None:
            if not any(piece in text for piece in expected):
                problems.append(f"{page.url}: {text}")

        def logged(message: Any) -> None:
            if message.type in {"error", "warning"}:
                problem(message.text)

        page.on("console", logged)
        page.on("pageerror", lambda error: problem(str(error)))
        home = "/".join(url.split("/")[:3])

        def asked(request: Any) -> None:
            if not request.url.startswith((home, "data:", "blob:")):
                problem(request.url)

        page.on("request", asked)
        page.goto(url)
        return page

    yield start
    for context in contexts:
        context.close()
    assert not problems, "\n".join(problems)
