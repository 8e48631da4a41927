"""Secrets that gridwatch makes for itself: each in a file of the home folder that only its owner may read."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from pathlib import Path

from gridwatch.errors import ConfigError
from gridwatch.folders import make_private

__all__ = ["SECRET_BYTES", "secret"]

SECRET_BYTES = 32
"""Length of a secret: as many bits as SHA-256, which signs with it."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")


def secret(home: Path, name: str) -> bytes:
    """Return the secret of this name, made once and the same for every process with this home folder.

    Args:
        home: The home folder; made when missing. The secret is in its file `<name>.secret`, mode 0600.
        name: What it is for, such as `session`: lower-case letters, digits and `_`.

    Returns:
        `SECRET_BYTES` random bytes.

    Raises:
        ConfigError: The file cannot be read or made, or holds something else.
        ValueError: The name cannot be one.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"A secret's name has a-z, 0-9 and _, got {name!r}.")
    path = home / f"{name}.secret"
    try:
        found = _read(path)
        return _make(path) if found is None else found
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"The secret in {str(path)!r} cannot be read or made: {error}. Give this user the right to write there, or "
            "remove a damaged file: a new secret is made, and what the old one signed is no longer accepted.",
            path=str(path),
        ) from error


def _read(path: Path) -> bytes | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    found = bytes.fromhex(text)
    if len(found) != SECRET_BYTES:
        msg = f"it holds {len(found)} bytes and not {SECRET_BYTES}"
        raise ValueError(msg)
    return found


def _make(path: Path) -> bytes:
    make_private(path.parent)
    lock = os.open(path.with_name(f"{path.name}.lock"), os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Another process may have been first.
        found = _read(path)
        if found is not None:
            return found
        made = secrets.token_bytes(SECRET_BYTES)
        part = path.with_name(f"{path.name}.part")
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as out:
            out.write(made.hex() + "\n")
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
        return made
    finally:
        os.close(lock)
