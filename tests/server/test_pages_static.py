"""What the pages load: files of our own and a vendored library, unchanged and with its licence; nothing inline."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

import gridwatch.server
from gridwatch.server.pages.shell import NAVIGATION, PAGE_POLICY

HERE = Path(gridwatch.server.__file__).parent
VENDORED = sorted((HERE / "static" / "vendor").iterdir())


@pytest.mark.parametrize("folder", VENDORED, ids=lambda folder: folder.name)
def test_vendored_files_are_as_they_were_published(folder: Path) -> None:
    told = (folder / "SOURCE.txt").read_text(encoding="utf-8")
    assert re.match(rf"{folder.name} \d+\.\d+\.\d+ \(MIT\)", told)
    digests = dict(re.findall(r"^([0-9a-f]{64})  (\S+)$", told, re.MULTILINE))
    files = {path.name: path for path in folder.iterdir() if path.name != "SOURCE.txt"}
    assert "LICENSE" in files
    assert {hashlib.sha256(path.read_bytes()).hexdigest(): name for name, path in files.items()} == digests


@pytest.mark.parametrize("path", sorted((HERE / "templates").glob("*.html")), ids=lambda path: path.name)
def test_no_template_has_what_the_policy_refuses(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", text)
    assert not re.search(r"""(?:src|href|action)=["']https?://""", text)


@pytest.mark.parametrize("path", sorted((HERE / "static").glob("*.js")), ids=lambda path: path.name)
def test_scripts_import_what_is_there_and_build_no_html_from_text(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for module in re.findall(r'from "([^"]+)"', text):
        assert (path.parent / module).is_file()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)


def test_policy_and_navigation(app: Any) -> None:
    assert "'unsafe" not in PAGE_POLICY
    page = app.test_client().get("/overview")
    assert page.headers["Content-Security-Policy"] == PAGE_POLICY
    for blueprint, endpoint, word in NAVIGATION:
        if endpoint in app.view_functions:
            url = next(rule.rule for rule in app.url_map.iter_rules() if rule.endpoint == endpoint)
            current = ' aria-current="page"' if blueprint == "overview" else ""
            assert f'<a href="{url}"{current}>{word}</a>' in page.text


def test_scripts_may_be_kept_by_the_browser_and_are_checked(app: Any) -> None:
    client = app.test_client()
    with client.get("/static/chart.js") as answer:
        assert answer.mimetype == "text/javascript"
        tag = answer.headers["ETag"]
    with client.get("/static/chart.js", headers={"If-None-Match": tag}) as again:
        assert again.status_code == 304
