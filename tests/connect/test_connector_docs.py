"""docs/connect.md tells what the connector has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gridwatch.java.connector import connector_sources
from tests.connect.options_page import BEGIN, END, PAGE, options_text
from tests.connect.webapi_probe import Probe

JAVA = connector_sources() / "java" / "org" / "gridwatch" / "connect"


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_the_options_are_those_of_the_connector(page: str) -> None:
    with Probe() as probe:
        options = probe.options()
    shown = page.split(BEGIN)[1].split(END)[0]
    assert shown == options_text(options), "run `python -m tests.connect.options_page`"
    # What the rest of the page and the files beside the connector call options are some.
    known = {one["name"] for one in options}
    theirs = {"connector.class", "name", "tasks.max", "topics", "topics.regex", "key.converter", "value.converter"}
    ours = (
        r"(?:connection|container|row|auto|decimal|partition|expiration|unknown|delete|timestamp|batch|retries|retry)"
    )
    named = set(re.findall(rf"`({ours}\.[a-z.]+)`", page.split("## Switching")[0]))
    assert named <= known
    for path in sorted((Path(__file__).parents[2] / "kafka_connect").rglob("*.json")):
        config = json.loads(path.read_text(encoding="utf-8"))["config"]
        own = {key for key in config if not key.startswith(("errors.", "consumer.", "value.converter", "transforms"))}
        assert own <= known | theirs, path.name


def test_the_figures_are_those_of_the_connector(page: str) -> None:
    text = (JAVA / "TaskMetricsMXBean.java").read_text(encoding="utf-8")
    shown = page.split("## Figures")[1].split("##")[0]
    assert set(re.findall(r" get(\w+)\(", text)) == set(re.findall(r"^\| `(\w+)` \|", shown, re.MULTILINE))
