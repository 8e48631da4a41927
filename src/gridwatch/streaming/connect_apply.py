"""Connectors from JSON files to a worker, idempotently: only what differs is changed, after Connect has checked it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import structlog

from gridwatch.errors import ConfigError, StreamError
from gridwatch.folders import make_private
from gridwatch.streaming.connect_api import ConnectApi, WrongKey
from gridwatch.streaming.connect_files import read_worker_state

if TYPE_CHECKING:
    from gridwatch.settings import Settings

__all__ = [
    "Change",
    "Connect",
    "Connector",
    "apply",
    "compare",
    "dead_letter_names",
    "delete",
    "find_connect",
    "read_connectors",
]

log = structlog.get_logger(__name__)

_NAME = re.compile(r"[A-Za-z0-9._-]{1,200}")
_SECRET_NAME = re.compile(
    r"passw|passphrase|secret|token|credential|user\.info|jaas|(api|access|private)[._-]?key|keystore\.key",
    re.IGNORECASE,
)
"""Names of keys that no ConfigDef need know, such as a converter's, and whose values are secrets for all we know."""
_REFERENCES = re.compile(r"(\$\{[^{}]*\})+")
_DLQ = "errors.deadletterqueue.topic."


@dataclass(frozen=True, slots=True)
class Connector:
    """What a connector is to be.

    Args:
        name: Its name; a sink's consumer group is `connect-NAME`.
        config: Its configuration, without the name.
        path: The file that it comes from.
    """

    name: str
    config: Mapping[str, str] = field(repr=False)
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What applying a connector does, or would do.

    Args:
        name: The connector.
        action: Make it, change it, or nothing.
        keys: Each key that differs, with its value before and after; None where it is not there. Holds no secrets.
        wrong: What Connect does not take; nothing is applied then.
    """

    name: str
    action: Literal["create", "update", "none"]
    keys: dict[str, tuple[str | None, str | None]]
    wrong: tuple[WrongKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Connect:
    """Where connectors are applied.

    Args:
        api: REST API of a worker or a cluster.
        kept: Folder that remembers what was applied, for a standalone worker of our own: it forgets all at its end.
    """

    api: ConnectApi
    kept: Path | None = None

    def remembered(self) -> list[Connector]:
        """Return the connectors that were applied, as they were."""
        return read_connectors(sorted(self.kept.glob("*.json"))) if self.kept is not None and self.kept.is_dir() else []

    def remember(self, connector: Connector) -> None:
        """Keep a connector that was applied."""
        if self.kept is None:
            return
        make_private(self.kept)
        path = self.kept / f"{connector.name}.json"
        new = path.with_suffix(".new")
        text = json.dumps({"name": connector.name, "config": dict(connector.config)}, indent=1)
        new.write_text(text, encoding="utf-8")
        new.replace(path)

    def forget(self, name: str) -> bool:
        """Drop a connector from what is kept, and tell whether it was there."""
        path = self.kept / f"{name}.json" if self.kept is not None and _NAME.fullmatch(name) else None
        if path is None or not path.exists():
            return False
        path.unlink(missing_ok=True)
        return True


def find_connect(settings: Settings, *, timeout_s: float | None = None) -> Connect:
    """Return the Connect of these settings: the cluster at their `url`, else gridwatch's own worker.

    Raises:
        StreamError: There is neither.
    """
    own = read_worker_state(settings.home / "connect" / "worker-1" / "state.json")
    url = settings.connect.url or (own.url if own is not None else None)
    if url is None:
        raise StreamError(
            f"No Kafka Connect worker was ever started in {str(settings.home)!r}; `gridwatch connect up` starts one, "
            "GRIDWATCH_CONNECT__URL names another."
        )
    is_own = own is not None and own.url == url and settings.connect.mode == "standalone"
    kept = _kept_in(settings) if is_own else None
    return Connect(ConnectApi.of(settings, url, timeout_s=timeout_s), kept)


def read_connectors(paths: Iterable[Path]) -> list[Connector]:
    """Return the connectors of JSON files, and of the `*.json` right below folders.

    A file is `{"name": ..., "config": {...}}` as Connect's POST takes it, or the configuration alone with its `name`.

    Raises:
        ConfigError: A file cannot be read or is no connector, or two have one name; names the file.
    """
    found: dict[str, Connector] = {}
    for path in paths:
        files = sorted(path.glob("*.json")) if path.is_dir() else [path]
        for connector in map(_read, files):
            other = found.setdefault(connector.name, connector)
            if other is not connector:
                raise ConfigError(
                    f"Connector {connector.name!r} is in two files, {str(other.path)!r} and {str(connector.path)!r}; "
                    "names must differ."
                )
    return list(found.values())


def dead_letter_names(settings: Settings) -> set[str]:
    """Return the dead-letter topics that connectors name: those of the settings' folder, and those applied by hand.

    A file that is wrong is left out and logged: what is wrong with it is told when it is applied.
    """
    names = set()
    for folder in (settings.connect.connectors_dir, _kept_in(settings)):
        for path in folder.glob("*.json"):
            try:
                names.add(_read(path).config.get(f"{_DLQ}name", ""))
            except ConfigError as error:
                log.warning("connector_file_unreadable", error=str(error))
    return names - {""}


def _kept_in(settings: Settings) -> Path:
    return settings.home / "connect" / "connectors"


def completed(connector: Connector, *, topics: str | None, replication: int) -> Connector:
    """Return a connector with what its file leaves to gridwatch.

    Args:
        connector: As its file says.
        topics: Regular expression of the datasets' topics, for a sink that names no topics of its own.
        replication: Of a dead-letter topic that Connect has to make; its own default wants three brokers.
    """
    config = dict(connector.config)
    if topics is not None and not {"topics", "topics.regex"} & config.keys() and _is_sink(config):
        config["topics.regex"] = topics
    if config.get(f"{_DLQ}name"):
        config.setdefault(f"{_DLQ}replication.factor", str(replication))
    return replace(connector, config=config)


def compare(api: ConnectApi, wanted: Sequence[Connector]) -> list[Change]:
    """Return what applying these connectors would do, each one checked by Connect.

    Raises:
        ConfigError: A password is given in clear, or there is no such connector class.
        MissingServiceError: Connect does not answer.
        StreamError: It answers an error.
    """
    there = api.plugins() if wanted else {}
    for connector in wanted:
        _check_class(connector, there)
    return [_compare(api, connector) for connector in wanted]


def apply(connect: Connect, wanted: Sequence[Connector]) -> list[Change]:
    """Bring these connectors about, and return what that changed; none is touched when one of them is wrong.

    Raises:
        ConfigError: Connect does not take a key; tells each one with Connect's message.
        MissingServiceError: Connect does not answer.
        StreamError: It answers an error.
    """
    changes = compare(connect.api, wanted)
    wrong = [f"{change.name}: {key}" for change in changes for key in change.wrong]
    if wrong:
        raise ConfigError("Kafka Connect refuses " + "; ".join(wrong), wrong=wrong)
    for connector, change in zip(wanted, changes, strict=True):
        if change.action != "none":
            connect.api.put_config(connector.name, connector.config)
            log.info("connector_applied", connector=connector.name, action=change.action, keys=sorted(change.keys))
        connect.remember(connector)
    return changes


def delete(connect: Connect, name: str) -> bool:
    """Delete a connector, also from what is remembered, and tell whether there was one; errors as `apply`."""
    remembered = connect.forget(name)
    return connect.api.delete(name) or remembered


def _read(path: Path) -> Connector:
    try:
        raw: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"Cannot read the connector file {str(path)!r}: {error.strerror}.") from error
    except ValueError as error:
        raise ConfigError(f"The connector file {str(path)!r} is no JSON: {error}.") from error
    config = raw.get("config", raw) if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or not isinstance(config, dict):
        raise ConfigError(
            f'The connector file {str(path)!r} is no connector; it should hold {{"name": ..., "config": {{...}}}}.'
        )
    name = raw.get("name", config.get("name"))
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(
            f"The connector file {str(path)!r} has the name {name!r}; it should be one of A-Z a-z 0-9 . _ -."
        )
    values = {key: _text(path, key, value) for key, value in config.items() if key != "name"}
    if not values.get("connector.class"):
        raise ConfigError(f"The connector file {str(path)!r} names no connector.class.")
    return Connector(name, values, path)


def _text(path: Path, key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise ConfigError(f"The connector file {str(path)!r} gives {key!r} the value {value!r}; Connect takes text only.")


def _is_sink(config: Mapping[str, str]) -> bool:
    # A source's class says so in its name, by Connect's own custom; only a sink has topics to read.
    return "source" not in config["connector.class"].rpartition(".")[2].lower()


def _check_class(connector: Connector, there: Iterable[str]) -> None:
    """Refuse a class that the workers lack; Connect also takes its last part, with or without `Connector`."""
    wanted = connector.config["connector.class"]
    names = {name for one in there for name in (one, one.rpartition(".")[2])}
    if wanted not in names | {name.removesuffix("Connector") for name in names if "." not in name}:
        raise ConfigError(
            f"Connector {connector.name!r} is of class {wanted!r}, which this Kafka Connect lacks; it has "
            f"{', '.join(sorted(there)) or 'none'}. `gridwatch connect build` makes gridwatch's, for its plugin.path.",
            connector=connector.name,
        )


def _compare(api: ConnectApi, connector: Connector) -> Change:
    now = api.config(connector.name)
    now = None if now is None else {key: value for key, value in now.items() if key != "name"}
    wanted = dict(connector.config)
    if now == wanted:
        return Change(connector.name, "none", {})
    checked = api.validate({"name": connector.name, **wanted})
    open_secrets = sorted(key for key in checked.secrets if wanted.get(key) and "${" not in wanted[key])
    if open_secrets:
        raise ConfigError(
            f"Connector {connector.name!r} has {', '.join(open_secrets)} in clear, which Kafka Connect shows to "
            "whoever asks; write ${env:GRIDWATCH_GRIDDB__PASSWORD} or ${file:PATH:KEY} instead.",
            keys=open_secrets,
        )
    before = now or {}
    differing = sorted(key for key in before.keys() | wanted.keys() if before.get(key) != wanted.get(key))
    keys = {key: (_shown(checked.secrets, key, before), _shown(checked.secrets, key, wanted)) for key in differing}
    return Change(connector.name, "create" if now is None else "update", keys, checked.wrong)


def _shown(secrets: frozenset[str], key: str, values: Mapping[str, str]) -> str | None:
    value = values.get(key)
    if not value or _REFERENCES.fullmatch(value) or not (key in secrets or _SECRET_NAME.search(key)):
        return value
    return "****"
