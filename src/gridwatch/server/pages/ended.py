"""Logins that were ended before their time: a copy of such a cookie opens nothing any more, nor after a restart.

A login carries a random id. Signing out leaves an empty file for it in the home folder, until the login would have run
out by itself; its name holds that moment and the id's hash.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

from gridwatch.errors import ConfigError
from gridwatch.folders import make_private

__all__ = ["end", "is_ended"]


def end(home: Path, login: str, until_ms: int, *, now_ms: int) -> None:
    """End a login, and forget those that have run out.

    Args:
        home: Home folder of the server.
        login: Id of the login.
        until_ms: When it would run out by itself, UTC epoch ms.
        now_ms: The present.

    Raises:
        ConfigError: The home folder cannot be written to.
    """
    path = _path(home, login, until_ms)
    try:
        make_private(path.parent)
        path.touch(mode=0o600)
    except OSError as error:
        raise ConfigError(
            f"The end of a login cannot be kept in {str(path.parent)!r}: {error}. Give this user the right to write "
            "there.",
            path=str(path.parent),
        ) from error
    for old in path.parent.glob("*-*"):
        moment = old.name.partition("-")[0]
        if moment.isdecimal() and int(moment) <= now_ms:
            with suppress(OSError):
                old.unlink()


def is_ended(home: Path, login: str, until_ms: int) -> bool:
    """Tell whether a login was ended."""
    return _path(home, login, until_ms).exists()


def _path(home: Path, login: str, until_ms: int) -> Path:
    return home / "login" / "ended" / f"{until_ms}-{hashlib.sha256(login.encode('utf-8', 'replace')).hexdigest()}"
