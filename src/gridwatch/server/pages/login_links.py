"""One-time links that sign in a browser: `gridwatch login` makes them, the login page takes them."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from contextlib import suppress
from pathlib import Path

from gridwatch.errors import ConfigError
from gridwatch.folders import make_private

__all__ = ["LINK_MS", "make_link", "use_link"]

LINK_MS = 10 * 60_000
"""How long a link may be used."""


def make_link(home: Path, author: str, *, now_ms: int) -> str:
    """Return the word of a new link; only its hash is kept, in a file that only its owner may read.

    Args:
        home: Home folder of the server.
        author: Who is signed in by it.
        now_ms: The present, UTC epoch ms.

    Raises:
        ConfigError: The home folder cannot be written to.
    """
    word = secrets.token_urlsafe(32)
    path = _path(home, word)
    try:
        make_private(path.parent)
        _forget_old(path.parent, now_ms)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
            json.dump({"author": author, "until_ms": now_ms + LINK_MS}, out)
    except OSError as error:
        raise ConfigError(
            f"A login link cannot be kept in {str(path.parent)!r}: {error}. Give this user the right to write there.",
            path=str(path.parent),
        ) from error
    return word


def use_link(home: Path, word: str, *, now_ms: int) -> str | None:
    """Return whom a link signs in, and end it; None when there is no such link, or no longer."""
    path = _path(home, word)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        # Of two requests at once, one removes the file and the other fails here.
        path.unlink()
    except (OSError, ValueError):
        return None
    return str(found["author"]) if found["until_ms"] > now_ms else None


def _path(home: Path, word: str) -> Path:
    return home / "login" / f"{hashlib.sha256(word.encode('utf-8', 'replace')).hexdigest()}.json"


def _forget_old(folder: Path, now_ms: int) -> None:
    for path in folder.glob("*.json"):
        with suppress(OSError):
            if path.stat().st_mtime * 1000 < now_ms - 2 * LINK_MS:
                path.unlink()
