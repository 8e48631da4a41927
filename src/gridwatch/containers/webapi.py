"""GridDB Cloud, and any GridDB behind its Web API v2, as a container store."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import pyarrow as pa

from gridwatch.containers._arrow import coerce
from gridwatch.containers._literals import one_line
from gridwatch.containers._rules import check_answer, check_info, check_range, merged
from gridwatch.containers.dialect.parse import refused, verb_of
from gridwatch.containers.schema import ContainerInfo
from gridwatch.containers.store import ROWS_MAX
from gridwatch.containers.webapi_http import TooLargeError, WebApiHttp, sql_endpoint
from gridwatch.containers.webapi_keys import KeyedRows
from gridwatch.containers.webapi_pages import read_pages
from gridwatch.containers.webapi_rows import PUT_BYTES, column_types, put_bodies, table_of
from gridwatch.containers.webapi_schema import Schemas, raise_failed
from gridwatch.containers.webapi_series import SeriesOverTql
from gridwatch.containers.webapi_url import WebApiUrl
from gridwatch.errors import (
    ContainerExistsError,
    ContainerNotFoundError,
    RangeTooLargeError,
    StoreError,
    ValueRefusedError,
)

if TYPE_CHECKING:
    import pandas as pd

    from gridwatch.settings import GridDBSettings

__all__ = ["WebApiStore"]

_SCHEMA_KEPT_S = 5.0
"""How long a schema is taken for the container's own; a put or read that fails looks again at once."""

_DEFINING = frozenset({"CREATE", "DROP", "ALTER"})
_CHANGING = frozenset({"INSERT", "REPLACE", "UPDATE", "DELETE"})
_T = TypeVar("_T")


class WebApiStore(SeriesOverTql):
    """A store behind a GridDB Web API; see `Store` for what each method promises.

    Rows are put in several requests where they are many, so a put that fails in the middle leaves the rows before.

    Args:
        url: `griddb+https://host/cluster/database` or `griddb+http://host:port/cluster/database`.
        user: GridDB user.
        password: Its password; None sends no login.
        ca_file: Certificates (PEM) to trust; None for the system's.
        timeout_s: Longest wait for one answer, in seconds.
        pause: Called with the seconds to wait before a request is sent again.

    Raises:
        ConfigError: The URL has another form.
        StoreError: Nothing answers there, or it refuses the login.
    """

    atomic_updates = False
    groups_by_sorting = False

    def __init__(
        self,
        url: str,
        *,
        user: str = "admin",
        password: str | None = None,
        ca_file: Path | None = None,
        timeout_s: float = 120.0,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        parsed = WebApiUrl.parse(url)
        self.url = url
        self._place = parsed.place
        self._http = WebApiHttp(parsed, user=user, password=password, ca_file=ca_file, timeout_s=timeout_s, pause=pause)
        self._schemas = Schemas(self._http, parsed.database)
        self._kept: dict[str, tuple[float, ContainerInfo]] = {}
        self._lock = threading.Lock()
        self._finalizer = weakref.finalize(self, self._http.close)
        try:
            self._http.call("GET", "checkConnection")
        except BaseException:
            self.close()
            raise

    @classmethod
    def from_settings(cls, url: str, settings: GridDBSettings) -> Self:
        """Open the store with the login and limits of the settings."""
        password = settings.password.get_secret_value() if settings.password else None
        return cls(url, user=settings.user, password=password, ca_file=settings.ca_file, timeout_s=settings.timeout_s)

    def put_container(self, info: ContainerInfo, *, modifiable: bool = False) -> ContainerInfo:
        """Make the container or check it; see `Store.put_container`."""
        check_info(info)
        old = self._fresh(info.name)
        if old is None:
            try:
                self._schemas.create(info)
            except ContainerExistsError:
                old = self._fresh(info.name)
                if old is None:
                    # A view has the name.
                    raise
            else:
                return info
        old = self._schemas.with_indexes(old)
        new = merged(old, info, modifiable=modifiable)
        self._schemas.add_columns(old, new.columns[len(old.columns) :])
        plain = tuple(name for name in new.indexes if name not in old.indexes)
        named = tuple(index for index in new.named_indexes if index not in old.named_indexes)
        self._schemas.add_indexes(
            new, ContainerInfo(new.name, new.type, new.columns, indexes=plain, named_indexes=named)
        )
        self._forget(info.name)
        return new

    def container(self, name: str) -> ContainerInfo | None:
        """Return the container, or None."""
        info = self._fresh(name)
        return self._schemas.with_indexes(info) if info is not None else None

    def containers(self) -> list[str]:
        """Return all container names, sorted."""
        return self._schemas.names()

    def drop_container(self, name: str) -> None:
        """Drop the container, if there is one."""
        # Not through the schema: a container that GridDB calls invalid (60151) can be dropped, but not be read.
        stored = self._schemas.stored_name(name)
        if stored is not None:
            self._schemas.drop(stored)
        self._forget(name)

    def put(self, name: str, rows: pa.Table | pd.DataFrame) -> int:
        """Upsert rows; see `Store.put`."""
        return self.put_many({name: rows})

    def put_many(self, rows: Mapping[str, pa.Table | pd.DataFrame]) -> int:
        """Upsert rows into several containers; every value is checked before the first row is sent."""
        return self._again(rows, lambda: self._put_many(rows))

    def _put_many(self, rows: Mapping[str, pa.Table | pd.DataFrame]) -> int:
        tables: dict[str, pa.Table] = {}
        keyless = False
        for name, given in rows.items():
            info = self._info(name)
            table = coerce(info, given)
            keyless = keyless or (not info.row_key and table.num_rows > 0)
            # The API stores only the last of two lists for one container.
            tables[info.name] = pa.concat_tables([tables[info.name], table]) if info.name in tables else table
        self._send(tables, PUT_BYTES, repeatable=not keyless)
        return sum(table.num_rows for table in tables.values())

    def _send(self, tables: Mapping[str, pa.Table], bytes_max: int, *, repeatable: bool) -> None:
        sent = 0
        for body in put_bodies(tables, bytes_max):
            try:
                answers = self._http.call("PUT", "containers/rows", body, repeatable=repeatable)
            except TooLargeError as error:
                if bytes_max < PUT_BYTES // 1024:
                    raise ValueRefusedError(f"A row for {', '.join(tables)} is too large: {error}") from error
                # None of this body is stored; what was sent before it is skipped.
                self._send(_after(tables, sent), bytes_max // 4, repeatable=repeatable)
                return
            sent += sum(answer["updatedRows"] for answer in answers)

    def get(self, name: str, keys: Sequence[Any]) -> pa.Table:
        """Return the rows with these keys, in their order."""
        return self._again([name], lambda: KeyedRows(self._http, self._info(name)).get(keys))

    def delete(self, name: str, keys: Sequence[Any]) -> int:
        """Delete the rows with these keys; return how many there were."""
        return self._again([name], lambda: KeyedRows(self._http, self._info(name)).delete(keys))

    def read(
        self,
        name: str,
        start_ms: int | None = None,
        end_ms: int | None = None,
        *,
        columns: Sequence[str] | None = None,
        rows_max: int = ROWS_MAX,
    ) -> pa.Table:
        """Return a time series' rows of an inclusive range, oldest first; see `Store.read`."""

        def once() -> pa.Table:
            info = self._info(name)
            chosen = [info.column(column) for column in columns] if columns is not None else list(info.columns)
            check_range(info, start_ms, end_ms)
            return read_pages(self._http, info, chosen, start_ms, end_ms, rows_max)

        return self._again([name], once)

    def sql(self, statement: str, parameters: Sequence[Any] = (), *, rows_max: int = ROWS_MAX) -> pa.Table:
        """Run one SELECT in GridDB's SQL; see `Store.sql`."""
        text = one_line(statement, parameters)
        verb = verb_of(statement)
        if verb in _DEFINING | _CHANGING:
            raise refused(f"{verb} as a query", code=240000, hint="execute() takes it")
        try:
            (answer,) = self._http.call("POST", sql_endpoint(text), [{"stmt": text}])
        except TooLargeError as error:
            raise RangeTooLargeError(
                "The query's answer is larger than the Web API sends at once (20 MB of values); ask for fewer rows or "
                f"columns, or use griddb://. {error}"
            ) from error
        rows = answer["results"]
        check_answer(len(rows), rows_max)
        return table_of(column_types(answer["columns"]), rows)

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        """Run one statement that changes something; see `Store.execute`.

        It is sent once: when the connection breaks before the answer, an error tells that it may have been done.
        """
        verb = verb_of(statement)
        if verb in _DEFINING:
            if parameters:
                raise refused("parameters of CREATE, DROP or ALTER", code=None)
            self._schemas.define(one_line(statement))
            self._forget()
            return 0
        if verb not in _CHANGING:
            raise refused(f"{verb} in execute()", code=240000, hint="sql() takes SELECT")
        text = one_line(statement, parameters)
        answers = self._http.call("POST", sql_endpoint(text, changing=True), [{"stmt": text}], repeatable=False)
        raise_failed(answers)
        return int(answers[0]["updatedRows"] or 0)

    def _fresh(self, name: str) -> ContainerInfo | None:
        info = self._schemas.find(name)
        with self._lock:
            if info is None:
                self._kept.pop(name.lower(), None)
            else:
                self._kept[name.lower()] = (time.monotonic(), info)
        return info

    def _info(self, name: str) -> ContainerInfo:
        with self._lock:
            since, info = self._kept.get(name.lower(), (0.0, None))
        if info is None or time.monotonic() - since > _SCHEMA_KEPT_S:
            info = self._fresh(name)
        if info is None:
            raise ContainerNotFoundError(f"No container {name!r} in store {self.url!r}.", container=name)
        return info

    def _forget(self, *names: str) -> None:
        with self._lock:
            for name in names or list(self._kept):
                self._kept.pop(name.lower(), None)

    def _again(self, names: Sequence[str] | Mapping[str, Any], action: Callable[[], _T]) -> _T:
        """Run an action; once more when it failed by a schema that another process has changed meanwhile."""
        before = {name: self._info(name) for name in names}
        try:
            return action()
        except (ValueRefusedError, RangeTooLargeError):
            raise
        except StoreError:
            self._forget(*names)
            if all(self._info(name) == before[name] for name in names):
                raise
        return action()

    def close(self) -> None:
        """Close all connections."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _after(tables: Mapping[str, pa.Table], sent: int) -> dict[str, pa.Table]:
    left = {}
    for name, table in tables.items():
        skip = min(sent, table.num_rows)
        sent -= skip
        left[name] = table.slice(skip)
    return left
