"""The GridDB server that tests marked `griddb` run on: the one at GRIDWATCH_TEST_GRIDDB_URL, or a failure."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gridwatch.containers import Store, open_store
from gridwatch.errors import StoreError
from gridwatch.settings import load_settings

DATABASE = "gridwatch_test"


def server_url(database: str = DATABASE) -> str:
    """The server's URL with another database; the tests keep out of the one that is named there."""
    url = os.environ.get("GRIDWATCH_TEST_GRIDDB_URL", "")
    if not url.startswith(("griddb://", "griddb+http")):
        pytest.fail(
            "Tests marked griddb need GRIDWATCH_TEST_GRIDDB_URL=griddb://host:port/cluster/database (or griddb+http://...)."
        )
    parts = urlsplit(url)
    return parts._replace(path="/".join([*parts.path.split("/")[:2], database])).geturl()


def ensure_database(name: str) -> None:
    """Make a database; the user of the settings must be an administrator."""
    with open_store(os.environ["GRIDWATCH_TEST_GRIDDB_URL"], settings=load_settings()) as store:
        try:
            store.execute(f"CREATE DATABASE {name}")
        except StoreError as error:
            if "exists" not in str(error):
                raise


def griddb(folder: Path) -> Store:
    """Open a database without containers."""
    del folder
    url = server_url()
    try:
        store = open_store(url, settings=load_settings())
    except StoreError as error:
        if error.code != 10005:
            raise
        ensure_database(DATABASE)
        store = open_store(url, settings=load_settings())
    for name in store.containers():
        store.drop_container(name)
    return store
