"""Where objects are, as a URI: `griddb:///folder` in the store of the settings, or one that names its store as well.

Artifact URIs come from MLflow's database, and so from whoever may create an experiment: they choose a folder, never a
server that is not the settings' own, and they carry no credentials.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult, unquote, urlsplit

from gridwatch.errors import ConfigError

__all__ = ["SCHEMES", "ObjectUri", "is_object_uri", "uri_of"]

SCHEMES = ("griddb", "griddb+http", "griddb+https")
_SECRETS = "set GRIDWATCH_GRIDDB__USER and GRIDWATCH_GRIDDB__PASSWORD instead"


def is_object_uri(text: str) -> bool:
    """Tell whether a text names objects in a store rather than a local file.

    >>> is_object_uri("griddb:/a"), is_object_uri("GridDB+HTTPS://h:1/c/d"), is_object_uri("./griddb/a")
    (True, True, False)
    """
    return text.partition(":")[0].lower() in SCHEMES and ":" in text


def uri_of(path: str) -> str:
    """Return the URI of an object in the store of the settings; only what a URI gives a meaning is escaped.

    >>> uri_of("mlflow/Gänge [1].txt"), uri_of("100%?#")
    ('griddb:///mlflow/Gänge [1].txt', 'griddb:///100%25%3F%23')
    """
    return "griddb:///" + path.replace("%", "%25").replace("?", "%3F").replace("#", "%23")


@dataclass(frozen=True, slots=True)
class ObjectUri:
    """A store and a folder, or an object, in it.

    Attributes:
        store: `scheme://host:port/cluster/database`, or empty for the store of the settings.
        path: Parts joined by `/`; empty for everything.
    """

    store: str
    path: str

    @classmethod
    def parse(cls, uri: str) -> Self:
        """Read `griddb:///folder`, which MLflow shortens to `griddb:/folder`, or `griddb://host:port/cluster/db/folder`.

        Raises:
            ConfigError: It is no such URI, carries a user, password, query or fragment, misses the cluster or database,
                or has a '..' in its path.
        """
        try:
            parts = urlsplit(uri)
        except ValueError as error:
            # Not shown: it may hold a password.
            raise ConfigError(
                f"This artifact URI cannot be read ({_without_values(str(error))}); use griddb:///folder."
            ) from None
        if parts.scheme not in SCHEMES:
            raise ConfigError(f"Artifact URI {_shown(parts)} has no scheme of {', '.join(SCHEMES)}.")
        _refuse_extras(parts)
        names = [name for name in unquote(parts.path).split("/") if name not in {"", "."}]
        if ".." in names:
            raise ConfigError(f"Artifact URI {_shown(parts)} has a '..' in its path.")
        if not parts.netloc:
            if parts.scheme != "griddb":
                raise ConfigError(f"Artifact URI {_shown(parts)} names no host; use {_pattern(parts.scheme)}.")
            return cls("", "/".join(names))
        if len(names) < 2:
            raise ConfigError(f"Artifact URI {_shown(parts)} misses a part; use {_pattern(parts.scheme)}.")
        return cls(f"{parts.scheme}://{parts.netloc}/{names[0]}/{names[1]}", "/".join(names[2:]))

    def is_in(self, store_url: str) -> bool:
        """Tell whether this is the store of the settings: the same scheme, hosts, ports, cluster and database."""
        return not self.store or _identity(self.store) == _identity(store_url)


def _refuse_extras(parts: SplitResult) -> None:
    if "@" in parts.netloc:
        # Artifact URIs are kept in MLflow's database and shown in its UI.
        raise ConfigError(f"Artifact URI {_shown(parts)} carries a user or password; {_SECRETS}.")
    if parts.query or parts.fragment:
        which = "query" if parts.query else "fragment"
        raise ConfigError(
            f"Artifact URI {_shown(parts)} carries a {which}; only a folder is named there. Options and credentials "
            f"come from the settings; {_SECRETS}."
        )


def _shown(parts: SplitResult) -> str:
    """Return a URI for a message, without what may be a secret."""
    user, mark, host = parts.netloc.rpartition("@")
    shown = f"{parts.scheme}:" + (f"//{'***' if user or mark else ''}{mark}{host}" if parts.netloc else "")
    return repr(f"{shown}{parts.path}")


def _without_values(message: str) -> str:
    return re.sub(r"'.*'", "'...'", message)


def _pattern(scheme: str) -> str:
    return f"{scheme}://host:port/cluster/database/folder"


def _identity(url: str) -> tuple[str, frozenset[str], str] | None:
    """Return what two URLs of one server have in common, or None for a store without a server."""
    parts = urlsplit(url)
    if not parts.netloc:
        return None
    # A cluster's fixed list may be given in any order; host names have no case, names of clusters have.
    return parts.scheme, frozenset(parts.netloc.lower().split(",")), parts.path.strip("/")
