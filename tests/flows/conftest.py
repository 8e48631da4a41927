"""A flow file sets up its whole process as Prefect's; here that is the tests', so it is taken back."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def process_as_before() -> Iterator[None]:
    loggers = [logging.getLogger(), logging.getLogger("gridwatch")]
    before = [(list(one.handlers), one.level, one.propagate) for one in loggers]
    environ = dict(os.environ)
    yield
    structlog.reset_defaults()
    for one, (handlers, level, propagate) in zip(loggers, before, strict=True):
        one.handlers[:], one.propagate = handlers, propagate
        one.setLevel(level)
    for name in set(os.environ) - set(environ):
        del os.environ[name]
    os.environ.update(environ)
