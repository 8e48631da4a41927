"""What holds for all tests: the order of their files, and logging that is as before after each."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

LONGEST = ("tests/test_docs.py", "tests/e2e/", "tests/test_wheel.py", "tests/faults/")
"""Begun first, or one process would still be at them when the others have nothing left to do."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """A command or a flow file sets up logging for its whole process; here that is the tests', so it is taken back."""
    loggers = [logging.getLogger(name) for name in ("", "gridwatch", "kafka")]
    before = [(list(one.handlers), one.level, one.propagate) for one in loggers]
    yield
    structlog.reset_defaults()
    for one, (handlers, level, propagate) in zip(loggers, before, strict=True):
        one.handlers[:], one.propagate = handlers, propagate
        one.setLevel(level)
