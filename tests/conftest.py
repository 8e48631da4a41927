"""What holds for all tests: how they are shared out and in which order, and logging that is as before after each."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import structlog

LONGEST = (
    "tests/test_docs.py",
    "tests/e2e/",
    "tests/faults/test_kills.py",
    "tests/faults/",
    "tests/streaming/",
    "tests/connect/",
    "tests/pipeline/",
    "tests/test_wheel.py",
)
"""Begun first and in this order, or one process would still be at them when the others have nothing left to do."""

TOGETHER = ("tests/faults/", "tests/streaming/", "tests/connect/", "tests/pipeline/")
"""Folders whose files share a broker, a Connect worker or a trained model: one process has them all."""

ALONE = ("tests/faults/test_kills.py",)
"""What shares nothing with the other files of such a folder."""


class _Loggers(dict[str, Any]):
    """Loggers by name, to go through while other threads make new ones."""

    def values(self) -> Any:
        return list(super().values())


def pytest_configure() -> None:
    # How long an example takes is no promise: the machine may be busy.
    hypothesis.settings.register_profile(
        "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("untimed")
    # Pytest goes through them before each test, and a server of another test may just be importing something.
    logging.root.manager.loggerDict = _Loggers(logging.root.manager.loggerDict)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: next((at for at, path in enumerate(LONGEST) if item.nodeid.startswith(path)), 99))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """One process more than there are cores: a third of the tests' time is waiting for servers."""
    return None if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") else (os.cpu_count() or 1) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Share out files, and as one those that share servers."""
    from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

    class Scheduling(LoadFileScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return path if path in ALONE else next((folder for folder in TOGETHER if path.startswith(folder)), path)

    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(autouse=True)
def environment_as_before() -> Iterator[None]:
    """A flow file sets up the environment of its whole process; here that is the tests', so it is taken back."""
    environ = dict(os.environ)
    yield
    for name in set(os.environ) - set(environ):
        del os.environ[name]
    os.environ.update(environ)


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
