"""CREATE USER, DROP USER, GRANT, REVOKE and SET PASSWORD, on the server's own users."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog
from flask import g

from gridwatch.errors import ConfigError
from gridwatch.server.griddb_webapi.errors import ApiError, named

if TYPE_CHECKING:
    from gridwatch.server.users import Users

__all__ = ["change_users", "file_untold", "is_about_users"]

log = structlog.get_logger(__name__)

_SYNTAX = 240001
_NOT_ADMIN = 280001
_NO_DATABASE = 10087
_NO_USER = 10088

_ABOUT_USERS = re.compile(r"\s*(?:(?:create|drop|alter)\s+user|grant|revoke|set\s+password)\b", re.IGNORECASE)
_NAME = r'("(?:[^"]+)"|[A-Za-z0-9_.\-/=]+)'
_TEXT = r"'((?:[^']|'')*)'"
_CREATE = re.compile(rf"create\s+user\s+{_NAME}\s+identified\s+by\s+{_TEXT}", re.IGNORECASE)
_DROP = re.compile(rf"drop\s+user\s+{_NAME}", re.IGNORECASE)
_GRANT = re.compile(rf"grant\s+(all|select)\s+on\s+{_NAME}\s+to\s+{_NAME}", re.IGNORECASE)
_REVOKE = re.compile(rf"revoke\s+(all|select)\s+on\s+{_NAME}\s+from\s+{_NAME}", re.IGNORECASE)
_PASSWORD = re.compile(rf"set\s+password\s+(?:for\s+{_NAME}\s*)?=\s*{_TEXT}", re.IGNORECASE)


def is_about_users(statement: str) -> bool:
    """Tell whether a statement is about users and their rights."""
    return _ABOUT_USERS.match(statement) is not None


def change_users(users: Users, database: str, statement: str) -> None:
    """Do what a statement says about users.

    Raises:
        ApiError: The statement is none of those here, the caller may not, the user or database does not exist, or the
            users' file is damaged.
        ConfigError: A name or password cannot be one.
    """
    with file_untold():
        _change(users, database, statement)


@contextmanager
def file_untold() -> Iterator[None]:
    """Tell the caller that the users' file is damaged and the log why: the path is none of the caller's business.

    Raises:
        ApiError: It is damaged (503).
    """
    try:
        yield
    except ConfigError as error:
        if "path" not in error.values:
            raise
        log.warning("users_unreadable", error=str(error))
        raise ApiError(503, "The users cannot be read; the log says why.") from error


def _change(users: Users, database: str, statement: str) -> None:
    words = statement.strip().removesuffix(";").strip()
    if (match := _PASSWORD.fullmatch(words)) is not None:
        _set_password(users, match)
    elif (match := _CREATE.fullmatch(words)) is not None:
        _need_admin("CREATE USER")
        name = _plain(match[1])
        if not users.add(name, match[2].replace("''", "'"), rights="none", replace=False):
            raise ApiError(400, named(_NO_USER, f"CREATE USER failed: user {name!r} exists"), _NO_USER)
    elif (match := _DROP.fullmatch(words)) is not None:
        _need_admin("DROP USER")
        users.remove(_plain(match[1]))
    elif (match := _GRANT.fullmatch(words)) is not None:
        _need_admin("GRANT")
        _give(users, match, database, "write" if match[1].lower() == "all" else "read", "GRANT")
    elif (match := _REVOKE.fullmatch(words)) is not None:
        _need_admin("REVOKE")
        _give(users, match, database, "none", "REVOKE")
    else:
        raise ApiError(400, named(_SYNTAX, f"Parse SQL failed: {words[:200]!r} is no statement about users"), _SYNTAX)


def _plain(name: str) -> str:
    return name[1:-1] if name.startswith('"') else name


def _need_admin(what: str) -> None:
    if g.rights != "admin":
        raise ApiError(400, named(_NOT_ADMIN, f"{what} failed: only an administrator may"), _NOT_ADMIN)


def _give(users: Users, match: re.Match[str], database: str, rights: str, what: str) -> None:
    if _plain(match[2]) != database:
        raise ApiError(400, named(_NO_DATABASE, f"{what} failed: no database {_plain(match[2])!r}"), _NO_DATABASE)
    user = users.find(_plain(match[3]))
    if user is None:
        raise ApiError(400, named(_NO_USER, f"{what} failed: no user {_plain(match[3])!r}"), _NO_USER)
    if user.rights == "admin":
        raise ApiError(400, named(_NOT_ADMIN, f"{what} failed: {user.name!r} is an administrator"), _NOT_ADMIN)
    users.set_rights(user.name, rights)


def _set_password(users: Users, match: re.Match[str]) -> None:
    name = _plain(match[1]) if match[1] else g.user
    if name != g.user:
        _need_admin("SET PASSWORD")
    if not name or not users.set_password(name, match[2].replace("''", "'")):
        raise ApiError(400, named(_NO_USER, f"SET PASSWORD failed: no user {name!r}"), _NO_USER)
