"""A quick look at MLflow's registry without importing MLflow, which takes longer than scoring does.

It only ever answers "this version, with these bytes": whoever has the bytes already can score at once. Anything else,
such as a server that wants a login or tables that look different, is left to MLflow.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import structlog

from gridwatch.tracking.client import ALIAS

__all__ = ["Learnt", "Registered", "peek"]

log = structlog.get_logger(__name__)

_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Learnt:
    """Which rows a version has learnt; None for what is not known, as of versions that an older gridwatch trained.

    Attributes:
        rows: How many.
        from_ms: Time of the first, UTC epoch ms.
        to_ms: Time of the last.
        sha256: Hex digest over them.
    """

    rows: int | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    sha256: str | None = None

    @classmethod
    def of(cls, text: str) -> Self:
        """Read the tag that `record` wrote."""
        try:
            raw: Any = json.loads(text or "{}")
            numbers = {name: int(raw[name]) for name in ("rows", "from_ms", "to_ms") if name in raw}
            return cls(**numbers, sha256=raw.get("sha256"))
        except (TypeError, ValueError, AttributeError):
            return cls()


@dataclass(frozen=True, slots=True)
class Registered:
    """What the registry says of a version: its run, the files that score, the sha256 over them, what it has learnt."""

    version: str
    run_id: str
    sha256: str
    files: tuple[str, ...]
    learnt: Learnt = field(default_factory=Learnt)

    @classmethod
    def of(cls, version: object, run_id: str | None, tags: Mapping[str, str]) -> Self:
        """Read the tags that `record` wrote; those of a model made by other means have none."""
        try:
            files = tuple(str(name) for name in json.loads(tags.get("gridwatch.files", "[]")))
        except ValueError:
            files = ()
        learnt = Learnt.of(tags.get("gridwatch.learnt", ""))
        return cls(str(version), run_id or "", tags.get("gridwatch.sha256", ""), files, learnt)


def peek(tracking_uri: str, model_name: str) -> Registered | None:
    """Return the champion's version, or None where that cannot be told from here."""
    if tracking_uri.startswith(("http://", "https://")):
        return _from_server(tracking_uri, model_name)
    if tracking_uri.startswith("sqlite:///") and Path(tracking_uri.removeprefix("sqlite:///")).is_file():
        return _from_database(tracking_uri, model_name)
    return None


def _from_server(tracking_uri: str, model_name: str) -> Registered | None:
    import requests

    address = f"{tracking_uri.rstrip('/')}/api/2.0/mlflow/registered-models/alias"
    try:
        answer = requests.get(address, {"name": model_name, "alias": ALIAS}, timeout=_TIMEOUT_S)
        found = answer.json()["model_version"] if answer.ok else None
        if found is None:
            return None
        tags = {str(tag["key"]): str(tag["value"]) for tag in found.get("tags", [])}
        return Registered.of(found["version"], found.get("run_id"), tags)
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        log.debug("registry_not_peeked", reason=type(error).__name__)
        return None


def _from_database(tracking_uri: str, model_name: str) -> Registered | None:
    import sqlalchemy

    statement = sqlalchemy.text(
        "SELECT a.version, v.run_id, t.key, t.value FROM registered_model_aliases a "
        "JOIN model_versions v ON v.name = a.name AND v.version = a.version "
        "JOIN model_version_tags t ON t.name = a.name AND t.version = a.version "
        "WHERE a.name = :name AND a.alias = :alias"
    )
    engine = sqlalchemy.create_engine(tracking_uri)
    try:
        with engine.connect() as connection:
            rows = connection.execute(statement, {"name": model_name, "alias": ALIAS}).all()
    except sqlalchemy.exc.SQLAlchemyError as error:
        log.debug("registry_not_peeked", reason=type(error).__name__)
        return None
    finally:
        engine.dispose()
    if len({(row.version, row.run_id) for row in rows}) != 1:
        return None
    return Registered.of(rows[0].version, rows[0].run_id, {row.key: row.value for row in rows})
