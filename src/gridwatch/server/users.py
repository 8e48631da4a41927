"""The users of the Web API: a file in the home folder with hashed passwords, which only its owner may read."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from gridwatch.errors import ConfigError
from gridwatch.folders import make_private

__all__ = ["RIGHTS", "User", "Users", "users_of"]

RIGHTS = ("admin", "write", "read", "none")
"""What a user may do: manage users too, read and write, only read, nothing yet (as GridDB's users before a GRANT)."""

PASSWORD_BYTES_MAX = 1024
_NAME = re.compile(r"[A-Za-z0-9_.\-/=]{1,64}")
# scrypt's cost: about 50 ms and 16 MiB for one check, which is remembered while the process lives.
_N, _R, _P = 2**14, 8, 1
HASHES_MAX = 3
"""Most passwords checked at once: guesses by strangers leave cores and memory to the others."""
_HASH = re.compile(r"scrypt\$([0-9]{1,6})\$([0-9]{1,2})\$([0-9]{1,2})\$(?:[0-9a-f]{2}){8,64}\$[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class User:
    """One user; `rights` is one of `RIGHTS`, `password` a salted hash."""

    name: str
    rights: str
    password: str


class Users:
    """The users in one file. Safe to use from many threads; several processes may change the file.

    Args:
        path: The file; no users when it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._read: tuple[tuple[int, int, int] | None, dict[str, User]] = (None, {})
        # Checked passwords, by a hash under a key of this process: a request costs no scrypt but the first.
        self._key = secrets.token_bytes(32)
        self._checked: dict[bytes, str] = {}
        self._hashing = threading.BoundedSemaphore(HASHES_MAX)

    def all(self) -> list[User]:
        """Return the users by name.

        Raises:
            ConfigError: The file is damaged.
        """
        return sorted(self._users().values(), key=lambda user: user.name)

    def find(self, name: str) -> User | None:
        """Return the user of this name."""
        return self._users().get(name)

    def check(self, name: str, password: str) -> User | None:
        """Return the user whose name and password these are, or None."""
        user = self._users().get(name)
        secret = password.encode("utf-8", "surrogateescape")
        if len(secret) > PASSWORD_BYTES_MAX:
            return None
        if user is None:
            # As long as for a user there is, so that the time tells no names.
            with self._hashing:
                _matches(_DUMMY, secret)
            return None
        mark = hmac.digest(self._key, json.dumps([name, user.password]).encode() + b"\0" + secret, "sha256")
        if mark not in self._checked:
            with self._hashing:
                # Another request may have checked it meanwhile.
                if mark not in self._checked and not _matches(user.password, secret):
                    return None
                # Noted before the next has its turn, which would check it once more.
                with self._lock:
                    if len(self._checked) > 1000:
                        self._checked.clear()
                    self._checked[mark] = name
        return user

    def add(self, name: str, password: str, *, rights: str = "write", replace: bool = True) -> bool:
        """Add a user, or give the one there a new password and rights; return whether it is new.

        Args:
            name: 1 to 64 characters.
            password: 1 to `PASSWORD_BYTES_MAX` bytes.
            rights: One of `RIGHTS`.
            replace: False leaves a user who is there alone.

        Raises:
            ConfigError: The name or the password cannot be one.
        """
        check_name(name)
        hashed = hash_password(password)
        with self._changing() as users:
            new = name not in users
            if new or replace:
                users[name] = User(name, rights, hashed)
        return new

    def set_password(self, name: str, password: str) -> bool:
        """Give a user a new password; return whether there is such a user."""
        hashed = hash_password(password)
        with self._changing() as users:
            if name not in users:
                return False
            users[name] = replace(users[name], password=hashed)
        return True

    def set_rights(self, name: str, rights: str) -> bool:
        """Give a user other rights; return whether there is such a user."""
        with self._changing() as users:
            if name not in users:
                return False
            users[name] = replace(users[name], rights=rights)
        return True

    def remove(self, name: str) -> bool:
        """Remove a user; return whether there was one."""
        with self._changing() as users:
            return users.pop(name, None) is not None

    def _users(self) -> dict[str, User]:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._unreadable(error) from error
        mark = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        with self._lock:
            if self._read[0] != mark:
                self._read = (mark, self._load())
            return self._read[1]

    def _load(self) -> dict[str, User]:
        try:
            raw = json.loads(self._path.read_text(encoding="utf-8"))
            users = [_checked_user(User(**one)) for one in raw["users"]]
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise self._unreadable(error) from error
        return {user.name: user for user in users}

    def _unreadable(self, error: Exception) -> ConfigError:
        return ConfigError(
            f"Users file {str(self._path)!r} cannot be read: {error}. Restore it, or remove it and add the users "
            "anew with `gridwatch users add`.",
            path=str(self._path),
        )

    @contextmanager
    def _changing(self) -> Iterator[dict[str, User]]:
        """Lend the users for a change; they are written as a whole, and only when nothing was raised."""
        try:
            make_private(self._path.parent)
            with _locked(self._path.with_name(f"{self._path.name}.lock")):
                users = self._load()
                yield users
                self._save(users)
        except OSError as error:
            raise ConfigError(
                f"Users file {str(self._path)!r} cannot be changed: {error}. Give this user the right to write there.",
                path=str(self._path),
            ) from error

    def _save(self, users: dict[str, User]) -> None:
        text = json.dumps({"users": [asdict(users[name]) for name in sorted(users)]}, indent=2) + "\n"
        part = self._path.with_name(f"{self._path.name}.part")
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        part.replace(self._path)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _checked_user(user: User) -> User:
    """Return a user of the file as it is, or raise ValueError: a user who is dropped silently would be missed late."""
    if not isinstance(user.name, str) or not _NAME.fullmatch(user.name):
        msg = f"a user's name is {user.name!r:.80}"
        raise ValueError(msg)
    if user.rights not in RIGHTS:
        msg = f"the rights of {user.name!r} are {user.rights!r:.80}, none of {', '.join(RIGHTS)}"
        raise ValueError(msg)
    match = _HASH.fullmatch(user.password) if isinstance(user.password, str) else None
    n, r, p = map(int, match.groups()) if match else (0, 0, 0)
    # What scrypt takes, within 1 GiB.
    if n not in {2**bits for bits in range(10, 18)} or not 1 <= r <= 32 or not 1 <= p <= 16:
        msg = f"the password of {user.name!r} is no hash of gridwatch's"
        raise ValueError(msg)
    return user


def check_name(name: str) -> None:
    """Refuse what cannot be a user's name.

    Raises:
        ConfigError: It is empty, longer than 64 characters, or has other characters than GridDB's names.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name[:80]!r} cannot be a user's name: use 1 to 64 of A-Z a-z 0-9 _ - . / =", name=name)


def hash_password(password: str) -> str:
    """Return a salted hash.

    Raises:
        ConfigError: It is empty or too long.
    """
    secret = password.encode("utf-8", "surrogateescape")
    if not 1 <= len(secret) <= PASSWORD_BYTES_MAX:
        raise ConfigError(f"A password has 1 to {PASSWORD_BYTES_MAX} bytes.")
    salt = secrets.token_bytes(16)
    return f"scrypt${_N}${_R}${_P}${salt.hex()}${_hashed(secret, salt, _N, _R, _P).hex()}"


def _hashed(secret: bytes, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(secret, salt=salt, n=n, r=r, p=p, maxmem=256 * n * r, dklen=32)


def _matches(stored: str, secret: bytes) -> bool:
    kind, *numbers, salt, wanted = stored.split("$")
    if kind != "scrypt":
        return False
    n, r, p = map(int, numbers)
    return hmac.compare_digest(_hashed(secret, bytes.fromhex(salt), n, r, p), bytes.fromhex(wanted))


_DUMMY = f"scrypt${_N}${_R}${_P}${'00' * 16}${'00' * 32}"


def users_of(home: Path) -> Users:
    """Return the users of the server whose home folder this is."""
    return Users(home / "users.json")
