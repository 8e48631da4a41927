"""Where a GridDB Web API is: `griddb+http(s)://` URLs.

| URL | address of the API |
|---|---|
| `griddb+http://host:8081/cluster/db` | `http://host:8081/griddb/v2/cluster/dbs/db` |
| `griddb+https://host/cluster/db` | `https://host:443/griddb/v2/cluster/dbs/db`, as GridDB Cloud has it |
| `griddb+https://host/griddb/v2/cluster/dbs/db` | the same, written as GridDB Cloud's console shows it |
| `griddb+https://host/some/path/cluster/db` | `https://host:443/some/path/griddb/v2/cluster/dbs/db`, behind a proxy |
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from gridwatch.errors import ConfigError

__all__ = ["SCHEMES", "WebApiUrl"]

SCHEMES = ("griddb+http", "griddb+https")
_PORTS = {"http": 8081, "https": 443}
_NAME = re.compile(r"[A-Za-z0-9_\-./=]+")
_FULL = re.compile(r"(?P<prefix>.*?)/?griddb/v2/(?P<cluster>[^/]+)/dbs/(?P<database>[^/]+)")
_SHORT = re.compile(r"(?:(?P<prefix>.*)/)?(?P<cluster>[^/]+)/(?P<database>[^/]+)")


@dataclass(frozen=True, slots=True)
class WebApiUrl:
    """Address of one database: `scheme` is http or https, `path` what stands before the endpoints' names."""

    scheme: str
    host: str
    port: int
    cluster: str
    database: str
    path: str

    @classmethod
    def parse(cls, url: str) -> WebApiUrl:
        """Read the URL.

        Raises:
            ConfigError: It has another form; the message says which it should have.
        """
        parts = urlsplit(url)
        try:
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise _wrong(url, f"its port is no number from 1 to 65535 ({error})") from None
        if parts.scheme not in SCHEMES or not host or port == 0:
            raise _wrong(url, "it names no host")
        if parts.query or parts.fragment:
            raise _wrong(url, "it has a query (?) or a fragment (#)")
        path = parts.path.strip("/")
        found = _FULL.fullmatch(path) or _SHORT.fullmatch(path)
        if found is None:
            raise _wrong(url, "it names no cluster and database")
        prefix, cluster, database = (unquote(found[part] or "") for part in ("prefix", "cluster", "database"))
        for name in (cluster, database):
            if not _NAME.fullmatch(name):
                raise _wrong(url, f"{name!r} is no name of a cluster or database")
        scheme = parts.scheme.removeprefix("griddb+")
        steps = [*(prefix.split("/") if prefix else ()), "griddb", "v2", cluster, "dbs", database]
        joined = "".join(f"/{quote(step, safe='')}" for step in steps)
        return cls(scheme, host, port or _PORTS[scheme], cluster, database, joined)

    @property
    def place(self) -> str:
        """Address for messages, such as `https://host:443`."""
        return f"{self.scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def _wrong(url: str, why: str) -> ConfigError:
    return ConfigError(
        f"Store URL {url!r} is wrong: {why}; use griddb+https://host/cluster/database, or griddb+http:// where the Web "
        "API has no TLS.",
        url=url,
    )
