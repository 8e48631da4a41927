"""The GridDB server that tests marked `griddb` run on: the one at GRIDWATCH_TEST_GRIDDB_URL, or a failure.

Each run has databases of its own, so that several may use one server at once; they are dropped at its end.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gridwatch.containers import Store, open_store
from gridwatch.containers.griddb import GridDBStore
from gridwatch.settings import load_settings

DATABASE = f"gridwatch_test_{secrets.token_hex(4)}"
_made: set[str] = set()


def server_url(database: str = DATABASE) -> str:
    """The server's URL with another database; the tests keep out of the one that is named there."""
    url = os.environ.get("GRIDWATCH_TEST_GRIDDB_URL", "")
    if not url.startswith(("griddb://", "griddb+http")):
        pytest.fail(
            "Tests marked griddb need GRIDWATCH_TEST_GRIDDB_URL=griddb://host:port/cluster/database (or griddb+http://...)."
        )
    parts = urlsplit(url)
    return parts._replace(path="/".join([*parts.path.split("/")[:2], database])).geturl()


def needs_server(store: Store, least: tuple[int, int], what: str) -> None:
    """Skip the test where `store` is on a GridDB server that is older than `least` and so lacks `what`."""
    if isinstance(store, GridDBStore) and store.server_version < least:
        needed, found = (".".join(map(str, version)) for version in (least, store.server_version))
        pytest.skip(f"{what} needs GridDB {needed}; this server is {found}")


def ensure_database(name: str) -> None:
    """Make a database of this run, unless it is there; the user of the settings must be an administrator."""
    if name in _made:
        return
    with open_store(os.environ["GRIDWATCH_TEST_GRIDDB_URL"], settings=load_settings()) as store:
        store.execute(f"CREATE DATABASE {name}")
    _made.add(name)


def drop_databases() -> None:
    """Drop the databases that this run has made."""
    while _made:
        name = _made.pop()
        # A database is dropped by who is connected to it, and without containers.
        with open_store(server_url(name), settings=load_settings()) as store:
            _empty(store)
            store.execute(f"DROP DATABASE {name}")


def griddb(folder: Path) -> Store:
    """Open a database without containers."""
    del folder
    url = server_url()
    ensure_database(DATABASE)
    store = open_store(url, settings=load_settings())
    _empty(store)
    return store


def _empty(store: Store) -> None:
    for name in store.containers():
        store.drop_container(name)
