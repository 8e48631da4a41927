"""What gridwatch's own Kafka Connect worker keeps in its folder: port and process, and the worker's configuration."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gridwatch.streaming.clients import client_config

if TYPE_CHECKING:
    from gridwatch.settings import Settings

__all__ = [
    "JAAS",
    "STORE_URL",
    "WorkerState",
    "environ_digest",
    "is_digest_of",
    "properties_text",
    "read_worker_state",
    "served_url",
    "worker_environ",
    "worker_properties",
    "write_worker_state",
]

STORE_URL = "GRIDWATCH_CONNECT__STORE_URL"
JAAS = "GRIDWATCH_CONNECT_JAAS"
"""Environment variable of the worker that holds Kafka's login, so that no file and no command line does."""

_ALLOWED = f"GRIDWATCH_GRIDDB__[A-Z_]+|{STORE_URL}|{JAAS}|CONNECT_[A-Z0-9_]+"
"""Environment variables that a connector's JSON may name as `${env:NAME}`; no other secret of ours is to be had."""

_FOR_JAVA = (
    "PATH|HOME|USER|LOGNAME|LANG|LANGUAGE|LC_[A-Z]+|TZ|TMPDIR|XDG_CACHE_HOME|LD_LIBRARY_PATH"
    "|JAVA_HOME|JAVA_TOOL_OPTIONS|JDK_JAVA_OPTIONS|_GRIDWATCH_RUN"
)
"""Environment variables that a worker is given besides; the last one is how `gridwatch up` knows what it started."""

_PASSED = re.compile(f"{_FOR_JAVA}|{_ALLOWED}")

_ANY = ("0.0.0.0", "::")  # noqa: S104 - what the worker is told to bind

_TUNING = (
    "max.poll.records",
    "max.poll.interval.ms",
    "max.partition.fetch.bytes",
    "fetch.min.bytes",
    "fetch.max.bytes",
    "fetch.max.wait.ms",
    "auto.offset.reset",
    "isolation.level",
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "partition.assignment.strategy",
    "metadata.max.age.ms",
    "client.id",
    "group.id",
    "max.request.size",
    "compression.type",
)
"""What a connector may set for its Kafka clients (`consumer.override.NAME`); not where they go or how they log in."""


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker's state file.

    Args:
        port: Of its REST API.
        host: That the REST API is reached under.
        pid: Process id of the worker last started, 0 for none.
        started_s: When that process started, epoch seconds, so that a reused pid is not taken for it.
        keep: It was started to stay, not for the duration of one command.
        bootstrap: The Kafka cluster that it was configured for.
        digest: Of the environment it was given, by which a change of store or login is known; see `environ_digest`.
    """

    port: int
    host: str = "127.0.0.1"
    pid: int = 0
    started_s: float = 0.0
    keep: bool = False
    bootstrap: str = ""
    digest: str = ""

    @property
    def url(self) -> str:
        """Address of the REST API."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


def read_worker_state(path: Path) -> WorkerState | None:
    """Return the state, or None when there is none or it is unreadable (it can always be made anew)."""
    try:
        return WorkerState(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write_worker_state(path: Path, state: WorkerState, **changes: object) -> WorkerState:
    """Write the state with `changes`, all at once, and return it."""
    state = replace(state, **changes)  # type: ignore[arg-type]
    new = path.with_suffix(".new")
    new.write_text(json.dumps(asdict(state), indent=1), encoding="utf-8")
    new.replace(path)
    return state


def worker_properties(
    settings: Settings, bootstrap: str, folder: Path, plugins: Path, *, host: str, port: int
) -> dict[str, str]:
    """Return the configuration of a worker. It holds no secret: those come from the environment, `worker_environ`.

    Args:
        settings: Mode, group, login and the replication of topics.
        bootstrap: `host:port,...` of the cluster.
        folder: The worker's own.
        plugins: Folder of plugins.
        host: That the REST API binds.
        port: Of the REST API.

    Raises:
        ConfigError: The Kafka login is incomplete.
    """
    connect = settings.connect
    own: dict[str, object] = {
        "bootstrap.servers": bootstrap,
        "plugin.path": plugins,
        # Both ways find our connector; looking at every class of every jar as well takes a second.
        "plugin.discovery": "service_load",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": "true",
        "listeners": f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}",
        # The any-address can be bound but not called by the other workers.
        "rest.advertised.host.name": socket.gethostname() if host in _ANY else host,
        "rest.advertised.port": port,
        # Changing log levels over REST is nothing for whoever reaches the port.
        "admin.listeners": "",
        "config.providers": "env,file",
        "config.providers.env.class": "org.apache.kafka.common.config.provider.EnvVarConfigProvider",
        "config.providers.env.param.allowlist.pattern": _ALLOWED,
        "config.providers.file.class": "org.apache.kafka.common.config.provider.FileConfigProvider",
        "config.providers.file.param.allowed.paths": settings.home / "connect" / "secrets",
        "connector.client.config.override.policy": connect.override_policy,
        "connector.client.config.override.allowlist": ",".join(_TUNING),
        # Sinks commit after each flush; Connect's default of a minute is how long a load would wait.
        "offset.flush.interval.ms": 1000,
        "offset.flush.timeout.ms": 10_000,
        "task.shutdown.graceful.timeout.ms": 10_000,
        "consumer.isolation.level": "read_committed",
        "consumer.max.poll.records": 5000,
        "consumer.max.partition.fetch.bytes": 8 << 20,
        # A killed worker holds its partitions until this is over.
        "consumer.session.timeout.ms": 10_000,
        "consumer.heartbeat.interval.ms": 2_500,
        # How soon a topic that is made later is found by a pattern.
        "consumer.metadata.max.age.ms": 5_000,
    }
    if connect.mode == "distributed":
        replication = settings.kafka.replication_factor
        own |= {"group.id": connect.group_id, "session.timeout.ms": 10_000, "heartbeat.interval.ms": 2_500}
        # A worker that comes back gets its tasks again at once, rather than after five minutes.
        own |= {"scheduled.rebalance.max.delay.ms": 10_000}
        for name in ("config", "offset", "status"):
            own[f"{name}.storage.topic"] = (
                f"{connect.group_id}-{name}s" if name != "status" else f"{connect.group_id}-status"
            )
            own[f"{name}.storage.replication.factor"] = replication
        own |= {"offset.storage.partitions": 5, "status.storage.partitions": 2}
    else:
        own["offset.storage.file.filename"] = folder / "offsets"
    login = _login(settings, bootstrap)
    for prefix in ("", "consumer.", "producer.", "admin."):
        own |= {f"{prefix}{name}": value for name, value in login.items()}
    return {name: str(value) for name, value in own.items()}


def _login(settings: Settings, bootstrap: str) -> dict[str, str]:
    """Return how Kafka's Java clients log in, the login itself by the name of its environment variable."""
    config = client_config(settings, bootstrap)  # checks that the settings go together
    protocol = config["security_protocol"]
    login = {"security.protocol": protocol}
    if "SSL" in protocol and settings.kafka.ssl_cafile is not None:
        login |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(settings.kafka.ssl_cafile.absolute())}
    if protocol.startswith("SASL_"):
        login |= {"sasl.mechanism": config["sasl_mechanism"], "sasl.jaas.config": f"${{env:{JAAS}}}"}
    return login


def served_url(base: str, cluster: str) -> str:
    """Return the store's URL for a connector where gridwatch's server stands in front of it.

    >>> served_url("http://127.0.0.1:8090", "gridwatch")
    'griddb+http://127.0.0.1:8090/gridwatch/public'
    """
    return f"griddb+{base.rstrip('/')}/{cluster}/public"


def worker_environ(settings: Settings, bootstrap: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a worker. It holds secrets, but those alone that are the worker's business.

    Args:
        settings: The store and Kafka with their logins.
        bootstrap: `host:port,...` of the cluster.
        environ: Gives what Java needs, and what connectors and Kafka's clients may take from `${env:...}`; the key of
            the mail service and all else stay behind, for a connector is a program of whoever wrote it.

    Raises:
        ConfigError: The Kafka login is incomplete.
    """
    griddb = settings.griddb
    found = {name: value for name, value in environ.items() if _PASSED.fullmatch(name)}
    found["GRIDWATCH_GRIDDB__USER"] = griddb.user
    # Empty rather than absent: Connect would take the unresolved `${env:...}` for the password.
    found["GRIDWATCH_GRIDDB__PASSWORD"] = griddb.password.get_secret_value() if griddb.password else ""
    found["GRIDWATCH_GRIDDB__CA_FILE"] = str(griddb.ca_file.absolute()) if griddb.ca_file else ""
    found[STORE_URL] = settings.connect.store_url or settings.store
    config = client_config(settings, bootstrap)
    if "sasl_plain_password" in config:
        found[JAAS] = _jaas(config["sasl_mechanism"], config["sasl_plain_username"], config["sasl_plain_password"])
    return found


def environ_digest(environ: Mapping[str, str], bootstrap: str, *, salt: str | None = None) -> str:
    """Return `salt$digest` of all that connectors are told, and of the cluster; the logins cannot be read from it.

    Args:
        environ: The worker's own, as `worker_environ` gives it.
        bootstrap: `host:port,...` of the cluster.
        salt: 32 hexadecimal digits; by default new ones.
    """
    salt = salt or secrets.token_hex(16)
    told = {name: value for name, value in sorted(environ.items()) if re.fullmatch(_ALLOWED, name)}
    text = json.dumps([bootstrap, told]).encode()
    # Slow on purpose: who steals the state file is not to try words of a dictionary by the million.
    return f"{salt}${hashlib.scrypt(text, salt=salt.encode(), n=1 << 14, r=8, p=1).hex()}"


def is_digest_of(digest: str, environ: Mapping[str, str], bootstrap: str) -> bool:
    """Tell whether `environ_digest` gave this digest for this environment and cluster."""
    salt = digest.partition("$")[0]
    return bool(salt) and hmac.compare_digest(digest, environ_digest(environ, bootstrap, salt=salt))


def _jaas(mechanism: str, user: str, password: str) -> str:
    package = "plain.PlainLoginModule" if mechanism == "PLAIN" else "scram.ScramLoginModule"
    module = f"org.apache.kafka.common.security.{package}"
    return f"{module} required username={_quoted(user)} password={_quoted(password)};"


def _quoted(text: str) -> str:
    """Return a string as JAAS reads it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def properties_text(values: Mapping[str, str]) -> str:
    r"""Return values in the format of Java's properties files.

    >>> properties_text({"plugin.path": "/a b\\c"})
    'plugin.path=/a b\\\\c\n'
    """
    lines = []
    for name, value in values.items():
        text = "".join(_ESCAPES.get(one, one) if ord(one) < 128 else _unicode(one) for one in value)
        # Only blanks at the beginning would be lost.
        lines.append(f"{name}={chr(92) if text.startswith(' ') else ''}{text}\n")
    return "".join(lines)


_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f"}


def _unicode(one: str) -> str:
    r"""Return a character as `\uXXXX`, in UTF-16 as Java counts."""
    units = one.encode("utf-16-be").hex()
    return "".join(f"\\u{units[place : place + 4]}" for place in range(0, len(units), 4))
