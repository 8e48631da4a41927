"""What a `griddb://` URI names: a store and a folder of objects in it."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

__all__ = ["Location"]


@dataclass(frozen=True, slots=True)
class Location:
    """`authority` is `host:port/cluster/db`, or empty for the store of the settings; `root` is a folder of objects."""

    authority: str
    root: str

    @classmethod
    def parse(cls, uri: str) -> Location:
        """Read `griddb:///root`, which MLflow shortens to `griddb:/root`, or `griddb://host:port/cluster/db/root`.

        Raises:
            MlflowException: It carries a user, misses the cluster or database, or its path leaves the root.
        """
        parts = urlsplit(uri)
        if "@" in parts.netloc:
            # Artifact URIs are kept in MLflow's database and shown in its UI.
            raise _wrong(
                f"Artifact URI griddb://***@{parts.hostname} carries a user or password; set "
                "GRIDWATCH_GRIDDB__USER and GRIDWATCH_GRIDDB__PASSWORD instead."
            )
        path = posixpath.normpath(unquote(parts.path)).strip("/").removeprefix(".")
        if ".." in path.split("/"):
            raise _wrong(f"Artifact URI {uri!r} has a '..' in its path.")
        if not parts.netloc:
            return cls("", path)
        cluster, _, rest = path.partition("/")
        database, _, root = rest.partition("/")
        if not cluster or not database:
            raise _wrong(f"Artifact URI {uri!r} misses a part; use griddb://host:port/cluster/database/folder.")
        return cls(f"{parts.netloc}/{cluster}/{database}", root)


def _wrong(message: str) -> MlflowException:
    return MlflowException(message, error_code=INVALID_PARAMETER_VALUE)
