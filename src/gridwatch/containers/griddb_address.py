"""Where a GridDB cluster is: `griddb://` URLs, and the properties that GridDB's two Java clients want for them.

| URL | how the cluster is found |
|---|---|
| `griddb://h1:10001,h2:10001/cluster/db` | fixed list of the nodes' transaction service |
| `griddb://239.0.0.1:31999/cluster/db` | multicast, known by its address |
| `griddb:///cluster/db?provider=http://host/members.json` | address provider |

`?sql=h1:20001,h2:20001` names the SQL service where it is not at the usual place: port 20001 of the same hosts, or
41999 of the multicast address. `?interface=192.168.1.5` picks the network interface for multicast, and
`?route=PUBLIC` takes the cluster's public addresses.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from gridwatch.errors import ConfigError, StoreError

__all__ = ["Cluster"]

_FORM = "griddb://host:port,host:port/cluster/database"
_PORT, _SQL_PORT = 10001, 20001
_MULTICAST_PORT, _MULTICAST_SQL_PORT = 31999, 41999
_OPTIONS = ("sql", "provider", "interface", "route")
_NAME = re.compile(r"[A-Za-z0-9_\-./=]+")
_CONNECT_S = 3.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """A database of a cluster.

    Args:
        name: Of the cluster.
        database: Of the database, usually `public`.
        members: `(host, port)` of the nodes' transaction service; empty for multicast and a provider.
        sql_members: The same of their SQL service.
        multicast: `(address, port)` of the transaction service's notifications.
        multicast_sql: The same of the SQL service.
        provider: URL of an address provider.
        interface: Address of the network interface for multicast.
        route: `PUBLIC` for the cluster's public addresses.
    """

    name: str
    database: str
    members: tuple[tuple[str, int], ...] = ()
    sql_members: tuple[tuple[str, int], ...] = ()
    multicast: tuple[str, int] | None = None
    multicast_sql: tuple[str, int] | None = None
    provider: str | None = None
    interface: str | None = None
    route: str | None = None

    @classmethod
    def from_url(cls, url: str) -> Cluster:
        """Read a `griddb://` URL.

        Raises:
            ConfigError: It is none, or says too little, too much or two things at once.
        """
        parts = urlsplit(url)
        names = [unquote(part) for part in parts.path.strip("/").split("/")]
        if parts.scheme != "griddb" or len(names) != 2 or not all(_NAME.fullmatch(name) for name in names):
            raise _wrong(url, f"use {_FORM}")
        if parts.fragment:
            raise _wrong(url, "it has a fragment (#)")
        options = _options(url, parts.query)
        name, database = names
        given = _addresses(url, parts.netloc, None)
        sql = _addresses(url, options.get("sql", ""), _SQL_PORT)
        provider, interface, route = options.get("provider"), options.get("interface"), options.get("route")
        if provider is not None:
            if given or sql:
                raise _wrong(url, "with a provider it must name no host: griddb:///cluster/database?provider=...")
            return cls(name, database, provider=provider, interface=interface, route=route)
        if not given:
            raise _wrong(url, f"it names no host; use {_FORM}, or griddb:///cluster/database?provider=http://...")
        if any(_is_multicast(host) for host, _ in given):
            if len(given) > 1 or len(sql) > 1:
                raise _wrong(url, "a multicast address stands alone")
            ((host, port),) = given
            at_sql = sql[0] if sql else (host, _MULTICAST_SQL_PORT)
            return cls(
                name,
                database,
                multicast=(host, port or _MULTICAST_PORT),
                multicast_sql=at_sql,
                interface=interface,
                route=route,
            )
        members = tuple((host, port or _PORT) for host, port in given)
        hosts = dict.fromkeys(host for host, _ in members)
        if not sql and len(hosts) < len(members):
            raise _wrong(url, "several nodes are on one host, so name their SQL ports: ?sql=host:20001,host:20002")
        sql_members = tuple((host, port or _SQL_PORT) for host, port in sql)
        return cls(
            name,
            database,
            members=members,
            sql_members=sql_members or tuple((host, _SQL_PORT) for host in hosts),
            interface=interface,
            route=route,
        )

    @property
    def place(self) -> str:
        """The cluster's address for messages, such as `h1:10001,h2:10001`."""
        if self.provider is not None:
            # Whatever a provider's address carries besides host and path stays out of logs.
            parts = urlsplit(self.provider)
            return f"provider {parts.scheme}://{parts.hostname}{parts.path}"
        return _joined((self.multicast,)) if self.multicast else _joined(self.members)

    @property
    def sql_place(self) -> str:
        """The SQL service's address for messages."""
        if self.provider is not None:
            return self.place
        return _joined((self.multicast_sql,)) if self.multicast_sql else _joined(self.sql_members)

    def native_properties(self) -> dict[str, str]:
        """Return the address properties of the native client."""
        return self._properties(self.members, self.multicast)

    def sql_url(self) -> str:
        """Return the URL for the JDBC driver; `sql_properties` go with it."""
        at = _joined((self.multicast_sql,)) if self.multicast_sql else ""
        return f"jdbc:gs://{at}/{self.name}/{self.database}"

    def sql_properties(self) -> dict[str, str]:
        """Return the address properties of the JDBC driver."""
        return self._properties(self.sql_members, None)

    def _properties(self, members: tuple[tuple[str, int], ...], multicast: tuple[str, int] | None) -> dict[str, str]:
        found = {"clusterName": self.name, "database": self.database}
        if members:
            found["notificationMember"] = _joined(members)
        if multicast:
            found |= {"notificationAddress": multicast[0], "notificationPort": str(multicast[1])}
        if self.provider is not None:
            found["notificationProvider"] = self.provider
        if self.interface is not None:
            found["notificationInterfaceAddress"] = self.interface
        if self.route is not None:
            found["connectionRoute"] = self.route
        return found

    def check_reachable(self) -> None:
        """Find out within seconds whether any node of a fixed list takes connections, on both services.

        GridDB's own clients would try for minutes.

        Raises:
            StoreError: None does.
        """
        for what, members in (("transaction service", self.members), ("SQL service", self.sql_members)):
            reasons = [f"{_joined((member,))} ({reason})" for member in members if (reason := _refusal(*member))]
            if members and len(reasons) == len(members):
                hint = "start the cluster or correct the URL"
                if what.startswith("SQL"):
                    hint += "; another SQL port than 20001 is given as ?sql=host:port"
                raise StoreError(
                    f"GridDB cluster {self.name!r} does not answer, {what}: {', '.join(reasons)}; {hint}.",
                    cluster=self.name,
                )


def _refusal(host: str, port: int) -> str | None:
    try:
        with socket.create_connection((host, port), _CONNECT_S):
            return None
    except OSError as error:
        return error.strerror or str(error)


def _options(url: str, query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in {"user", "password"}:
            # The message must not show it.
            raise ConfigError(
                "The store URL carries a user or password; set GRIDWATCH_GRIDDB__USER and GRIDWATCH_GRIDDB__PASSWORD."
            )
        if name not in _OPTIONS or name in found or not value:
            raise _wrong(url, f"option {name!r} is unknown, repeated or empty; there are {', '.join(_OPTIONS)}")
        found[name] = value
    if "@" in found.get("provider", ""):
        raise ConfigError("The address provider of the store URL carries a user or password; GridDB takes none there.")
    if found.get("route", "PUBLIC") != "PUBLIC":
        raise _wrong(url, "the only route is PUBLIC")
    return found


def _addresses(url: str, text: str, default: int | None) -> list[tuple[str, int]]:
    """Read `host:port,host`; a port that is not given is `default`, or 0 to be filled in later."""
    found = []
    for address in filter(None, text.split(",")):
        host, colon, port = address.rpartition(":")
        if not colon:
            host, port = address, str(default or 0)
        if not host or not port.isascii() or not port.isdigit() or int(port) > 65535 or (colon and int(port) == 0):
            raise _wrong(url, f"{address!r} is no host:port")
        if ":" in host:
            raise _wrong(url, f"{address!r} is no host:port (GridDB takes IPv4 addresses and host names)")
        found.append((host, int(port)))
    return found


def _is_multicast(host: str) -> bool:
    try:
        return ipaddress.IPv4Address(host).is_multicast
    except ValueError:
        return False


def _joined(addresses: tuple[tuple[str, int], ...]) -> str:
    return ",".join(f"{host}:{port}" for host, port in addresses)


def _wrong(url: str, why: str) -> ConfigError:
    return ConfigError(f"Store URL {url!r} is wrong: {why}.", url=url)
