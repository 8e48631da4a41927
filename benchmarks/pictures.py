"""`./gridwatch bench pictures [DIR]`: the pictures of docs/pages.md, from the packaged series, in a real Chromium."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.pages import served
from gridwatch.containers import Store, open_store
from gridwatch.containers.catalog import anomaly_id
from gridwatch.settings import Settings
from gridwatch.sources.dataset import Dataset

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parents[1]
SERIES = ("AAPL", "IBM", "MSFT", "GOOG")
SPLIT_MS = 1_109_566_800_000
"""Midnight in New York on 2005-02-28, when Apple's shares were split."""


def main(arguments: Sequence[str]) -> int:
    """Make the pictures; return the exit status."""
    parser = argparse.ArgumentParser(prog="gridwatch bench pictures", description=__doc__)
    parser.add_argument(
        "folder", nargs="?", type=Path, metavar="DIR", default=ROOT / "docs" / "images", help="where to"
    )
    options = parser.parse_args(arguments)
    program = shutil.which("chromium")
    if program is None:
        parser.error("there is no Chromium; on Debian: apt-get install chromium")
    with tempfile.TemporaryDirectory() as home:
        # Where MLflow's artifact repository looks for its store.
        os.environ["GRIDWATCH_HOME"] = home
        settings = Settings(_env_file=None, home=Path(home), datasets_dir=Path(home) / "datasets", server={"port": 0})
        settings.datasets_dir.mkdir()
        with open_store(settings.store, settings=settings) as store:
            _fill(settings, store)
            with served(settings, store) as url:
                _take(program, url, settings, options.folder)
    return 0


def _fill(settings: Settings, store: Store) -> None:
    """Learn the prices until 2004 and score those since, each series as its own dataset; say one label."""
    from gridwatch.pipeline.detect import detect
    from gridwatch.pipeline.label_targets import range_target, time_ms
    from gridwatch.pipeline.labels import say
    from gridwatch.pipeline.train import train
    from gridwatch.sources import open_source

    now_ms = time.time_ns() // 1_000_000
    for symbol in SERIES:
        dataset = Dataset.model_validate(
            {
                "name": f"{symbol.lower()}_daily", "symbol": symbol, "source": {"kind": "sample", "series": symbol},
                "interval": "1D", "calendar": "XNYS", "train_months": None,
                "training": {"end": "2005-12-31" if symbol == "GOOG" else "2004-12-31"},
            }
        )  # fmt: skip
        path = settings.datasets_dir / f"{dataset.name}.json"
        path.write_text(dataset.model_dump_json(), encoding="utf-8")
        store.put_container(dataset.info)
        for batch in open_source(dataset, settings).history(now_ms=now_ms, months=240):
            store.put(dataset.container, batch.frame)
        train(dataset, store, settings, now_ms=now_ms, force=True)
        detect(dataset, store, settings, now_ms=now_ms, force=True)
    target = range_target(store, [], "AAPL", time_ms("2008-09-15"), time_ms("2008-12-01", last=True))
    say(store, "expected", target, author="anna", now_ms=now_ms, note="the crisis of 2008")


def _take(program: str, url: str, settings: Settings, folder: Path) -> None:
    from playwright.sync_api import sync_playwright

    from gridwatch.server.pages.login_links import make_link

    with sync_playwright() as playwright:
        flags = ["--disable-dev-shm-usage", "--hide-scrollbars", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        browser = playwright.chromium.launch(executable_path=program, args=flags)

        def page(path: str, **how: Any) -> Page:
            opened = browser.new_context(**how).new_page()
            word = make_link(settings.home, "anna", now_ms=time.time_ns() // 1_000_000)
            opened.goto(f"{url}/login/{word}?next={path.replace('&', '%26')}")
            opened.locator("[aria-busy='false']").first.wait_for()
            opened.wait_for_timeout(300)
            return opened

        wide = {"viewport": {"width": 1200, "height": 700}, "device_scale_factor": 1}
        page("/overview", **wide).screenshot(path=folder / "pages_overview.png")
        seen = page("/series/AAPL?from=2005-01-01&to=2009-12-31", **wide)
        seen.mouse.move(640, 340)
        seen.screenshot(path=folder / "pages_series.png")
        key = anomaly_id("INTRADAY_AAPL", "auto", "", SPLIT_MS)
        anomaly = page(f"/anomalies/ANOMALY_AAPL/{key}", **wide)
        anomaly.get_by_role("button", name="Check each link").click()
        anomaly.locator("#found.ok").wait_for()
        anomaly.screenshot(path=folder / "pages_anomaly.png", full_page=True)
        phone = {
            "viewport": {"width": 360, "height": 640},
            "is_mobile": True,
            "has_touch": True,
            "color_scheme": "dark",
        }
        page("/series/IBM", **phone, device_scale_factor=2).screenshot(path=folder / "pages_phone.png")
        browser.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
