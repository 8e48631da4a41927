"""The pages in a real Chromium: by mouse, keyboard and touch, wide and narrow, light and dark."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from gridwatch.containers import open_store
from gridwatch.containers.catalog import anomaly_id, anomaly_info, score_info
from gridwatch.server import serve
from gridwatch.server.pages.login_links import make_link
from gridwatch.settings import Settings
from tests.server.conftest import NOW_MS

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROWS = 20_000
FIRST_MS = NOW_MS - ROWS * 60_000
LAST_MS = FIRST_MS + (ROWS - 1) * 60_000
SPIKES = {4_000: "critical", 9_000: "medium", 15_000: "low"}


@dataclass
class Site:
    """A running server."""

    url: str
    settings: Settings

    def signed_in(self, path: str) -> str:
        """Return an address that signs anna in and leads to a page."""
        return f"{self.url}/login/{make_link(self.settings.home, 'anna', now_ms=NOW_MS)}?next={path}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server with two scored series, pump with three spikes and fan with one."""
    home = tmp_path_factory.mktemp("site")
    settings = Settings(_env_file=None, home=home, datasets_dir=home / "datasets", server={"port": 0})
    stop, ready, urls = threading.Event(), threading.Event(), []

    def on_ready(url: str) -> None:
        urls.append(url)
        ready.set()

    with open_store(settings.store) as store:
        _fill(store, "pump", SPIKES)
        _fill(store, "fan", {12_000: "high"})
        parts: dict[str, Any] = {"clock": lambda: NOW_MS, "on_ready": on_ready, "stop": stop}
        thread = threading.Thread(target=serve, args=(settings, store), kwargs=parts)
        thread.start()
        assert ready.wait(120)
        yield Site(urls[0], settings)
        stop.set()
        thread.join(120)


def _fill(store: Any, name: str, spikes: dict[int, str]) -> None:
    times = FIRST_MS + np.arange(ROWS) * 60_000
    values = np.random.default_rng(1).normal(20, 0.2, ROWS)
    values[list(spikes)] += 30
    columns = {"actual": values, "expected": np.full(ROWS, 20.0), "lower": values * 0 + 19, "upper": values * 0 + 21}
    store.put_container(score_info(name))
    store.put(f"SCORE_{name}", pa.table({"ts": pa.array(times).cast(pa.timestamp("ms", "UTC")), **columns}))
    info = anomaly_info(name)
    store.put_container(info)
    rows = [
        {
            "id": anomaly_id(name, "auto", "", int(times[at])), "ts": int(times[at]), "actual": values[at],
            "expected": 20.0, "score": 90.0, "severity": word, "detector": "auto", "driver": "value",
        }
        for at, word in spikes.items()
    ]  # fmt: skip
    store.put(info.name, pa.Table.from_pylist(rows, schema=info.arrow))


def range_of(page: Page) -> tuple[int, int]:
    """Return the range that the chart of a page shows."""
    page.locator("#chart[aria-busy='false']").wait_for()
    found: list[int] = page.evaluate(
        "['from', 'to'].map((one) => Number(document.getElementById('chart').dataset[one]))"
    )
    return found[0], found[1]


def drag(page: Page, first: float, last: float, *, shift: bool = False) -> None:
    """Drag over the chart, from one share of its width to another."""
    box = page.locator(".u-over").bounding_box()
    assert box is not None
    if shift:
        page.keyboard.down("Shift")
    page.mouse.move(box["x"] + box["width"] * first, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * (first + last) / 2, box["y"] + 50)
    page.mouse.move(box["x"] + box["width"] * last, box["y"] + 60)
    page.mouse.up()
    if shift:
        page.keyboard.up("Shift")


def test_from_a_lane_to_the_series_by_keyboard(site: Site, open_page: Callable[..., Page]) -> None:
    page = open_page(f"{site.url}/")
    page.locator("#lanes a rect").nth(3).wait_for()
    assert page.locator("#lanes-table tr").count() == 2
    page.locator("#lanes a[tabindex='0'] rect").locator("..").focus()
    page.keyboard.press("ArrowRight")
    told = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert told.startswith("pump, ")
    assert "1 anomaly, greatest score 90, medium" in told
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("fan, ")
    page.keyboard.press("Enter")
    page.wait_for_url("**/series/fan?*")
    page.get_by_text("1 in this range").wait_for()
    assert FIRST_MS < range_of(page)[0] < FIRST_MS + 12_000 * 60_000 < range_of(page)[1] < LAST_MS


def test_filters_of_the_overview_stay_in_the_address(site: Site, open_page: Callable[..., Page]) -> None:
    page = open_page(f"{site.url}/overview")
    page.get_by_label("Severity").select_option("critical")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**/overview?severity=critical")
    page.get_by_role("cell", name="pump").wait_for()
    assert page.locator("#lanes a rect").count() == 1
    page.goto(f"{site.url}/overview?severity=critical&series=fan")
    page.get_by_text("No anomalies here").wait_for()


def test_a_filter_can_be_sent_before_the_lanes_are_here(site: Site, open_page: Callable[..., Page]) -> None:
    page = open_page(f"{site.url}/login")
    held: list[Any] = []

    def hold_first(route: Any) -> None:
        if held:
            route.continue_()
        held.append(route)

    page.route("**/pages/data/lanes?*", hold_first)
    page.goto(f"{site.url}/overview")
    page.get_by_label("Severity").select_option("critical")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**/overview?severity=critical")
    page.get_by_role("cell", name="pump").wait_for()
    assert len(held) == 2


def test_a_chart_zooms_and_pans_by_mouse_and_keyboard(site: Site, open_page: Callable[..., Page]) -> None:
    page = open_page(f"{site.url}/series/pump")
    page.get_by_text("20,000 rows, drawn by the lowest and highest of each pixel").wait_for()
    assert page.locator("#anomalies tr").count() == 3
    drag(page, 0.1, 0.3)
    from_ms, to_ms = range_of(page)
    assert FIRST_MS < from_ms < FIRST_MS + 4_000 * 60_000 < to_ms < FIRST_MS + 9_000 * 60_000
    page.get_by_text("1 in this range").wait_for()
    page.locator("#chart").focus()
    page.keyboard.press("ArrowRight")
    assert range_of(page)[0] == pytest.approx(from_ms + (to_ms - from_ms) * 0.2, abs=2)
    page.keyboard.press("-")
    assert range_of(page)[1] - range_of(page)[0] == pytest.approx(2 * (to_ms - from_ms), abs=2)
    before = range_of(page)
    drag(page, 0.2, 0.4, shift=True)
    assert range_of(page)[0] < before[0]
    panned = range_of(page)
    page.wait_for_url(lambda url: datetime.fromtimestamp(panned[0] / 1000, UTC).strftime("%H%%3A%M%%3A%S") in url)
    page.reload()
    assert range_of(page) == panned
    page.get_by_role("button", name="All").click()
    assert range_of(page) == (FIRST_MS, LAST_MS)
    page.get_by_label("Severity").select_option("critical")
    page.get_by_text("1 in this range").wait_for()
    page.locator("#anomalies a").click()
    page.wait_for_url("**/anomalies/ANOMALY_pump/*")


def test_a_range_is_labelled_by_dragging_and_taken_back(site: Site, open_page: Callable[..., Page]) -> None:
    page = open_page(site.signed_in("/series/pump"))
    page.get_by_text("3 in this range").wait_for()
    page.get_by_role("button", name="Label a range").click()
    drag(page, 0.5, 0.6)
    page.get_by_label("false: nothing was").check()
    page.get_by_label("Note").fill("cleaned <b>it</b>")
    begin = page.get_by_label("From (UTC)").input_value()
    # A pixel is some 18 minutes.
    assert len(begin) == len("2025-10-01T12:30")
    page.get_by_role("button", name="Save").click()
    row = page.locator("#labels tr")
    row.get_by_text("cleaned <b>it</b>").wait_for()
    assert row.get_by_text("anna").is_visible()
    assert row.get_by_role("button").first.text_content().startswith(begin.replace("T", " ")[:16])  # type: ignore[union-attr]
    row.get_by_role("button", name="Remove").click()
    page.locator("#labels-card").wait_for(state="hidden")


def test_a_range_is_labelled_by_keyboard_and_a_wrong_one_is_told(site: Site, open_page: Callable[..., Page]) -> None:
    page = open_page(site.signed_in("/series/fan"), expected=("400 (BAD REQUEST)",))
    page.get_by_text("1 in this range").wait_for()
    page.get_by_role("button", name="Label a range").press("Enter")
    page.get_by_label("From (UTC)").fill("soon")
    page.keyboard.press("Enter")
    page.get_by_label("expected: known in advance").press("Space")
    page.keyboard.press("Enter")
    page.get_by_text("Write times such as").wait_for()
    page.get_by_label("From (UTC)").fill("2026-01-02")
    page.get_by_label("To (UTC)").fill("2026-01-01")
    page.keyboard.press("Enter")
    page.get_by_text("The range has to end after it begins").wait_for()
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "chart"


def test_visitors_label_nothing(site: Site, open_page: Callable[..., Page]) -> None:
    page = open_page(f"{site.url}/series/pump")
    page.get_by_text("3 in this range").wait_for()
    assert page.get_by_role("button", name="Label a range").count() == 0
    page.get_by_role("link", name="Sign in").last.click()
    page.get_by_label("Name").fill("anna")
    page.goto(site.signed_in("/anomalies"))
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("link", name="Sign in").wait_for()


def test_a_link_from_another_site_finds_the_session(site: Site, open_page: Callable[..., Page]) -> None:
    """As in a mail that is read in the browser: the first request comes without the cookie."""
    page = open_page(site.signed_in("/series/fan"), expected=("http://mail.example/",))
    page.get_by_text("1 in this range").wait_for()
    page.context.route(
        "http://mail.example/",
        lambda route: route.fulfill(content_type="text/html", body=f'<a href="{site.url}/series/pump">plot</a>'),
    )
    page.goto("http://mail.example/")
    page.get_by_role("link", name="plot").click()
    page.get_by_role("button", name="Sign out").wait_for()
    assert page.url.startswith(f"{site.url}/series/pump")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pages_fit_a_phone(site: Site, open_page: Callable[..., Page], dark: bool) -> None:
    page = open_page(f"{site.url}/overview", width=360, height=740, touch=True, dark=dark)
    for path, text in (("/overview", "UTC."), ("/series", "pump"), ("/login", "Password"), ("/series/pump", "rows")):
        page.goto(f"{site.url}{path}")
        page.get_by_text(text).first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == 360, path
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 200) == dark


def test_a_finger_pans_and_two_zoom(site: Site, open_page: Callable[..., Page]) -> None:
    asked = f"from={FIRST_MS + 6_000 * 60_000}&to={FIRST_MS + 8_000 * 60_000}"
    page = open_page(f"{site.url}/series/pump?{asked}", width=360, height=740, touch=True)
    page.get_by_text("2,001 rows").wait_for()
    box = page.locator(".u-over").bounding_box()
    assert box is not None
    touch = page.context.new_cdp_session(page)

    def fingers(kind: str, *xs: float) -> None:
        points = [{"x": box["x"] + x, "y": box["y"] + 60, "id": place} for place, x in enumerate(xs)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    fingers("touchStart", 150)
    fingers("touchMove", 110)
    fingers("touchMove", 70)
    fingers("touchEnd")
    panned = range_of(page)
    assert panned[0] > FIRST_MS + 6_300 * 60_000
    assert panned[1] - panned[0] == pytest.approx(2_000 * 60_000, abs=2)
    fingers("touchStart", 80, 120)
    fingers("touchMove", 60, 140)
    fingers("touchMove", 40, 160)
    fingers("touchEnd")
    assert range_of(page)[1] - range_of(page)[0] == pytest.approx(2_000 * 60_000 / 3, rel=0.1)
