"""MLflow's database as its migrations leave it, made once for all tests: they take longer than most tests."""

from __future__ import annotations

import os
import shutil
import sqlite3
import warnings
from contextlib import closing
from pathlib import Path

import pytest

__all__ = ["put_database"]


def put_database(factory: pytest.TempPathFactory, path: Path) -> None:
    """Put an empty database of MLflow at `path`; without it, whoever opens that makes one."""
    base = factory.getbasetemp()
    # Processes that share the tests share it, too.
    made = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "mlflow-made.db"
    if not made.exists():
        _make(factory.mktemp("mlflow") / "made.db").replace(made)
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(made, path)


def _make(path: Path) -> Path:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store = SqlAlchemyStore(f"sqlite:///{path}", str(path.parent))
        store.engine.dispose()
    with closing(sqlite3.connect(path)) as opened:
        # Its first experiment says where artifacts are: whoever opens a copy makes its own.
        opened.execute("DELETE FROM experiments")
        opened.commit()
    return path
