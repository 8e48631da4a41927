"""The connector's Web API writer in a JVM of its own, called without Kafka and Connect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.connect.jvm import Jvm

Columns = Sequence[tuple[str, str, bool]]
"""Name, type as the connector calls it, and whether it may be null."""


class RefusedError(Exception):
    """What the writer threw: `kind` RETRIABLE, REFUSED or FATAL; WRONG for an argument."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind} {message}")
        self.kind = kind


class Writer:
    """One writer; settings are the fields of the connector's `WriterSettings`."""

    def __init__(self, probe: Probe, settings: Mapping[str, Any]) -> None:
        self._probe = probe
        self._settings = dict(settings)

    def _do(self, what: str, **asked: Any) -> Any:
        return self._probe.ask({"do": what, "settings": self._settings, **asked})

    def container(self, name: str) -> Any:
        return self._do("container", name=name)

    def create(self, name: str, kind: str, columns: Columns, key: Sequence[str], *partitioning: Any) -> None:
        made: dict[str, Any] = {"name": name, "kind": kind, "columns": columns, "key": key}
        self._do("create", container=made | ({"partitioning": partitioning} if partitioning else {}))

    def add(self, name: str, columns: Columns) -> None:
        self._do("add", name=name, columns=columns)

    def put(self, rows: Mapping[str, Sequence[Sequence[Any]]]) -> None:
        self._do("put", rows=rows)

    def delete(self, name: str, keys: Sequence[Sequence[Any]]) -> None:
        self._do("delete", name=name, keys=keys)

    def close(self) -> None:
        self._do("close")


class Probe(Jvm):
    """A JVM; use it as a context manager."""

    sources = "java_webapi"
    main = "WebApiProbe"

    def ask(self, asked: Mapping[str, Any]) -> Any:
        """Return the answer.

        Raises:
            RefusedError: What was thrown instead.
        """
        answer = self.say(asked)
        if "kind" in answer:
            raise RefusedError(answer["kind"], answer["message"])
        return answer["answer"]

    def url(self, url: str) -> tuple[str, str, str]:
        """Return address, cluster and database of a URL."""
        place, cluster, database = self.ask({"do": "url", "url": url})
        return place, cluster, database

    def options(self) -> list[dict[str, Any]]:
        """Return the connector's options in their order."""
        found: list[dict[str, Any]] = self.ask({"do": "options"})
        return found

    def writer(self, url: str, **settings: Any) -> Writer:
        """Return a writer to a URL."""
        return Writer(self, {"url": url, **settings})
