"""What the tests of commands share."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest
import typer.testing


@pytest.fixture(scope="session", autouse=True)
def commands_made_once() -> Iterator[None]:
    """Typer makes all commands anew for each that a test runs, which takes longer than most of them take themselves."""
    with pytest.MonkeyPatch.context() as patched:
        made = functools.cache(typer.testing._get_command)  # type: ignore[attr-defined]
        patched.setattr(typer.testing, "_get_command", made)
        yield
