"""Logs of the commands: events on stderr, and never a secret in them."""

from __future__ import annotations

import io
import json
import sys

import pytest
import structlog

from gridwatch.cli._logging import configure


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def fail(secret: str) -> None:
    """Log an error from a frame that holds a secret."""
    try:
        int("x")
    except ValueError:
        structlog.get_logger().error("crashed", length=len(secret), exc_info=True)


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_a_traceback_shows_lines_and_no_variables(stream: type[io.StringIO], monkeypatch: pytest.MonkeyPatch) -> None:
    shown = stream()
    monkeypatch.setattr(sys, "stderr", shown)
    configure("INFO")
    fail("hunter2-secret")
    text = shown.getvalue()
    assert "invalid literal for int()" in text
    assert "hunter2" not in text


def test_off_a_terminal_each_event_is_a_line_of_json(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    configure()
    structlog.get_logger().info("rows_written", rows=3)
    structlog.get_logger().debug("unseen")
    (line,) = shown.getvalue().splitlines()
    assert (json.loads(line)["event"], json.loads(line)["rows"]) == ("rows_written", 3)


def test_on_a_terminal_only_warnings_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    configure()
    structlog.get_logger().info("rows_written")
    structlog.get_logger().warning("handler_away")
    text = shown.getvalue()
    assert "handler_away" in text
    assert "rows_written" not in text
