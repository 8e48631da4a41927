"""Kafka Connect's REST API: what gridwatch asks of a worker or of a cluster of workers."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from gridwatch.errors import MissingServiceError, StreamError
from gridwatch.streaming.connect_http import opener

if TYPE_CHECKING:
    from gridwatch.settings import Settings

__all__ = ["ConnectApi", "ConnectorStatus", "TaskStatus", "Validation", "WrongKey"]

_BUSY = 409
_NOT_FOUND = 404
_REBALANCE_S = 20.0
_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """One task of a connector, or the connector itself (`number` -1).

    Args:
        number: From 0 on.
        state: Connect's word, such as RUNNING or FAILED.
        worker: Where it runs.
        trace: Java's stack trace of a failed one, else empty.
    """

    number: int
    state: str
    worker: str
    trace: str = ""

    @property
    def reason(self) -> str:
        """Why it failed, in one line: what the trace's first exception says, and what the last cause says."""
        said = [_message(line.removeprefix("Caused by: ")) for line in self.trace.splitlines() if _names_cause(line)]
        # What Connect itself wraps around any failure tells nothing.
        telling = [text for text in said if not text.startswith(_WRAPPINGS)] or said
        if not telling:
            return ""
        return telling[0] if telling[-1] in telling[0] else f"{telling[0]}: {telling[-1]}"


_WRAPPINGS = ("Exiting WorkerSinkTask due to unrecoverable exception", "Tolerance exceeded in error handler")


def _names_cause(line: str) -> bool:
    return bool(line.strip()) and not line[0].isspace()


def _message(line: str) -> str:
    """Return what an exception says without its class, which is told only where it says nothing."""
    name, colon, message = line.partition(": ")
    return message.strip() if colon and message.strip() and " " not in name else line.strip()


@dataclass(frozen=True, slots=True)
class ConnectorStatus:
    """A connector and its tasks, as the workers tell it."""

    name: str
    kind: str
    connector: TaskStatus
    tasks: tuple[TaskStatus, ...] = ()

    @property
    def failed(self) -> list[TaskStatus]:
        """The connector itself (number -1) and its tasks where they have failed."""
        return [one for one in (self.connector, *self.tasks) if one.state == "FAILED"]


@dataclass(frozen=True, slots=True)
class WrongKey:
    """A key of a connector's configuration that Connect does not take, with Connect's own messages."""

    key: str
    messages: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.key}: {'; '.join(self.messages)}"


@dataclass(frozen=True, slots=True)
class Validation:
    """What Connect says of a configuration: the keys that are wrong, and those whose values are secrets."""

    wrong: tuple[WrongKey, ...]
    secrets: frozenset[str]


@dataclass(frozen=True)
class ConnectApi:
    """The REST API at one address.

    Args:
        url: Such as `http://127.0.0.1:8083`.
        user: Where it asks for one.
        password: Of that user.
        timeout_s: Longest wait for one answer.
    """

    url: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    timeout_s: float = 30.0

    @classmethod
    def of(cls, settings: Settings, url: str, *, timeout_s: float | None = None) -> ConnectApi:
        """Return the API at an address, with the login of the settings if it is the address of theirs."""
        connect = settings.connect
        limit_s = timeout_s or connect.request_timeout_s
        if url != connect.url:
            return cls(url, timeout_s=limit_s)
        return cls(url, connect.user, connect.password.get_secret_value() if connect.password else None, limit_s)

    def healthy(self) -> bool:
        """Tell whether a worker answers that is done with its start."""
        try:
            # Only Connect 4 has an address for this; older ones answer here as soon as they are up.
            return isinstance(self._ask("GET", "/").get("kafka_cluster_id"), str) and self._ready()
        except (MissingServiceError, StreamError, AttributeError):
            return False

    def _ready(self) -> bool:
        try:
            self._ask("GET", "/health")
        except StreamError as error:
            return bool(error.status == _NOT_FOUND)
        return True

    def names(self) -> list[str]:
        """Return the names of all connectors, sorted.

        Raises:
            MissingServiceError: Nobody answers.
            StreamError: It answers an error.
        """
        return sorted(self._ask("GET", "/connectors"))

    def statuses(self) -> list[ConnectorStatus]:
        """Return the state of all connectors, sorted by name; errors as `names`."""
        found = self._ask("GET", "/connectors?expand=status")
        return [_status(one["status"]) for _, one in sorted(found.items())]

    def status(self, name: str) -> ConnectorStatus | None:
        """Return the state of one connector, None when there is none of this name yet; errors as `names`."""
        found = self._ask_or_none("GET", f"/connectors/{quote(name, safe='')}/status")
        return None if found is None else _status(found)

    def config(self, name: str) -> dict[str, str] | None:
        """Return a connector's configuration, `${...}` unresolved, or None when there is none; errors as `names`."""
        found = self._ask_or_none("GET", f"/connectors/{quote(name, safe='')}/config")
        return None if found is None else {str(key): value for key, value in found.items()}

    def put_config(self, name: str, config: Mapping[str, str]) -> None:
        """Make a connector, or give one another configuration; errors as `names`."""
        self._ask("PUT", f"/connectors/{quote(name, safe='')}/config", dict(config))

    def validate(self, config: Mapping[str, str]) -> Validation:
        """Return what Connect says of a configuration; errors as `names`, also for a connector class it lacks."""
        plugin = config.get("connector.class", "")
        found = self._ask("PUT", f"/connector-plugins/{quote(plugin, safe='')}/config/validate", dict(config))
        values = [one["value"] for one in found["configs"]]
        wrong = [WrongKey(value["name"], tuple(value["errors"])) for value in values if value["errors"]]
        secrets = [one["value"]["name"] for one in found["configs"] if one["definition"]["type"] == "PASSWORD"]
        return Validation(tuple(wrong), frozenset(secrets))

    def restart(self, name: str, *, only_failed: bool = True) -> None:
        """Start a connector and its tasks again, by default those that failed; errors as `names`."""
        only = "true" if only_failed else "false"
        self._ask("POST", f"/connectors/{quote(name, safe='')}/restart?includeTasks=true&onlyFailed={only}")

    def restart_task(self, name: str, number: int) -> None:
        """Start one task again; errors as `names`."""
        self._ask("POST", f"/connectors/{quote(name, safe='')}/tasks/{number}/restart")

    def delete(self, name: str) -> bool:
        """Delete a connector and return whether there was one; errors as `names`."""
        try:
            self._ask("DELETE", f"/connectors/{quote(name, safe='')}")
        except StreamError as error:
            if error.status != _NOT_FOUND:
                raise
            return False
        return True

    def plugins(self) -> dict[str, str]:
        """Return the connector classes that there are, with their versions; errors as `names`."""
        return {one["class"]: str(one.get("version", "")) for one in self._ask("GET", "/connector-plugins")}

    def _ask_or_none(self, method: str, path: str) -> Any:
        try:
            return self._ask(method, path)
        except StreamError as error:
            if error.status != _NOT_FOUND:
                raise
            return None

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        """Ask, again for some seconds while the workers of a group are sharing out their work anew."""
        deadline = time.monotonic() + min(self.timeout_s, _REBALANCE_S)
        while True:
            try:
                return self._ask_once(method, path, body)
            except StreamError as error:
                if error.status != _BUSY or time.monotonic() >= deadline:
                    raise
            time.sleep(_PAUSE_S)

    def _ask_once(self, method: str, path: str, body: object) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)  # noqa: S310  # http(s), checked
        request.add_header("Accept", "application/json")
        if data is not None:
            request.add_header("Content-Type", "application/json")
        if self.user is not None:
            request.add_header(
                "Authorization", "Basic " + b64encode(f"{self.user}:{self.password or ''}".encode()).decode()
            )
        try:
            with opener(self.url).open(request, timeout=self.timeout_s) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                if 300 <= error.code < 400:
                    raise self._redirected(method, path, error) from error
                raise self._refused(method, path, error.code, error.read()) from error
        except (urllib.error.URLError, OSError) as error:
            reason = getattr(error, "reason", error)
            raise MissingServiceError(
                f"Kafka Connect at {self.url} does not answer ({reason}); `gridwatch connect up` starts a worker, "
                "GRIDWATCH_CONNECT__URL names another.",
                url=self.url,
            ) from error
        try:
            return json.loads(text) if text else None
        except ValueError as error:
            raise StreamError(
                f"What answers at {self.url} is no Kafka Connect: {method} {path} gave {text[:80]!r}.", status=0
            ) from error

    def _redirected(self, method: str, path: str, error: urllib.error.HTTPError) -> StreamError:
        # Without what may be a secret in it: a login, and what follows a question mark.
        parts = urlsplit(error.headers.get("Location") or "")
        place = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
        return StreamError(
            f"Kafka Connect at {self.url} answered {error.code} to {method} {path}, a redirection to "
            f"{place or 'nowhere'!r}, which is not followed; set GRIDWATCH_CONNECT__URL to where the REST API is.",
            status=error.code,
        )

    def _refused(self, method: str, path: str, status: int, text: bytes) -> StreamError:
        try:
            message = str(json.loads(text)["message"])
        except (ValueError, KeyError, TypeError):
            message = text[:300].decode(errors="replace") or "no reason given"
        return StreamError(
            f"Kafka Connect at {self.url} answered {status} to {method} {path}: {message}", status=status
        )


def _status(found: dict[str, Any]) -> ConnectorStatus:
    connector = found["connector"]
    tasks = [_task(one["id"], one) for one in found.get("tasks", ())]
    return ConnectorStatus(found["name"], found.get("type", ""), _task(-1, connector), tuple(tasks))


def _task(number: int, found: dict[str, Any]) -> TaskStatus:
    return TaskStatus(number, found["state"], found.get("worker_id", ""), found.get("trace") or "")
