"""Elasticsearch's field names and types over a container's columns: one mapping, both ways.

GridDB takes A-Z a-z 0-9 _ - . / = in a column's name and compares names without case. A field is called like its
column, but for this:

* `@` at the beginning of a field is `at_` at the beginning of a column: `@timestamp` is `at_timestamp`;
* any other character that GridDB refuses, and `=` itself, is `=` and two hexadecimal digits for each byte of its UTF-8:
  `total €` is `total=20=E2=82=AC`. So is the `a` of a field that begins with `at_`, which keeps the mapping one to one.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from gridwatch.containers import Column, ColumnType, ContainerInfo
from gridwatch.errors import JobsValueError
from gridwatch.jobs import sql
from gridwatch.jobs.sql import Sql

__all__ = ["Field", "FieldType", "Fields", "column_name", "columns_of", "field_name"]

COLUMN_NAME_MAX = 256
_AT = "at_"
_FOREIGN = re.compile(r"[^A-Za-z0-9_\-./]")
_ENCODED = re.compile(r"(?:=[0-9A-F]{2})+")
_HINT = 0.8


class FieldType(StrEnum):
    """Elasticsearch's types that a column of GridDB can have."""

    KEYWORD = "keyword"
    BYTE = "byte"
    SHORT = "short"
    INTEGER = "integer"
    LONG = "long"
    FLOAT = "float"
    DOUBLE = "double"
    DATE = "date"
    DATE_NANOS = "date_nanos"
    BOOLEAN = "boolean"
    BINARY = "binary"
    UNREADABLE = "unreadable"

    @property
    def whole(self) -> bool:
        """Whether it holds whole numbers."""
        return self in {FieldType.BYTE, FieldType.SHORT, FieldType.INTEGER, FieldType.LONG}

    @property
    def numeric(self) -> bool:
        """Whether it holds numbers."""
        return self.whole or self in {FieldType.FLOAT, FieldType.DOUBLE}

    @property
    def time(self) -> bool:
        """Whether it holds instants."""
        return self in {FieldType.DATE, FieldType.DATE_NANOS}


_TYPES = {
    ColumnType.STRING: FieldType.KEYWORD,
    ColumnType.BYTE: FieldType.BYTE,
    ColumnType.SHORT: FieldType.SHORT,
    ColumnType.INTEGER: FieldType.INTEGER,
    ColumnType.LONG: FieldType.LONG,
    ColumnType.FLOAT: FieldType.FLOAT,
    ColumnType.DOUBLE: FieldType.DOUBLE,
    ColumnType.TIMESTAMP: FieldType.DATE,
    ColumnType.TIMESTAMP_6: FieldType.DATE_NANOS,
    ColumnType.TIMESTAMP_9: FieldType.DATE_NANOS,
    ColumnType.BOOL: FieldType.BOOLEAN,
    ColumnType.BLOB: FieldType.BINARY,
}


def column_name(field: str) -> str:
    """Return the column of a field.

    Raises:
        JobsValueError: The name is empty, or too long for GridDB.

    >>> column_name("@timestamp"), column_name("geoip.city"), column_name("total €"), column_name("at_home")
    ('at_timestamp', 'geoip.city', 'total=20=E2=82=AC', '=61t_home')
    """
    start = _AT if field.startswith("@") else ""
    rest = field[1:] if start else field
    if rest.startswith(_AT) and not start:
        start, rest = "=61", rest[1:]
    try:
        found = start + _FOREIGN.sub(lambda one: "".join(f"={byte:02X}" for byte in one.group().encode()), rest)
    except UnicodeEncodeError as error:
        raise JobsValueError(f"The field {field!r} is not Unicode.", field=field) from error
    if not 0 < len(found) <= COLUMN_NAME_MAX:
        raise JobsValueError(
            f"The field {field[:40]!r} needs a column name of {len(found)} characters; GridDB takes 1 to "
            f"{COLUMN_NAME_MAX}.",
            field=field,
        )
    return found


def field_name(column: str) -> str:
    """Return the field of a column; of a name that `column_name` does not make, what comes nearest.

    >>> field_name("at_timestamp"), field_name("total=20=E2=82=AC"), field_name("=61t_home"), field_name("a=b")
    ('@timestamp', 'total €', 'at_home', 'a=b')
    """
    start, rest = ("@", column[len(_AT) :]) if column.startswith(_AT) else ("", column)
    return start + _ENCODED.sub(lambda run: _decoded(run.group()), rest)


def _decoded(run: str) -> str:
    try:
        return bytes.fromhex(run.replace("=", "")).decode()
    except UnicodeDecodeError:
        return run


def columns_of(fields: Iterable[str]) -> dict[str, str]:
    """Return the column of each field, for a container that is to hold them all.

    Raises:
        JobsValueError: Two of them would be one column, since GridDB compares names without case.

    >>> columns_of(["@timestamp", "event.count"])
    {'@timestamp': 'at_timestamp', 'event.count': 'event.count'}
    """
    found: dict[str, str] = {}
    taken: dict[str, str] = {}
    for field in fields:
        column = column_name(field)
        other = taken.setdefault(column.lower(), field)
        if other != field:
            raise JobsValueError(
                f"The fields {other!r} and {field!r} would be one column, {column!r}: GridDB compares names without "
                "case; rename one of them.",
                fields=(other, field),
            )
        found[field] = column
    return found


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a container.

    Args:
        name: Elasticsearch's name.
        type: Its type.
        sql: What gives its value in SQL: the column, or a runtime field's expression. Null where a row has none.
        column: The column; None for a runtime field.
    """

    name: str
    type: FieldType
    sql: Sql
    column: Column | None = None

    @property
    def nullable(self) -> bool:
        """Whether a row may be without it."""
        return self.column is None or self.column.nullable


class Fields(Mapping[str, Field]):
    """The fields of a container by name; case matters, as it does to Elasticsearch.

    A column can also be named by its own name, where no other column's field is called so.

    Args:
        fields: By name.
        key: The row key's fields, which make a row's `_id`.
    """

    def __init__(self, fields: Mapping[str, Field], key: tuple[Field, ...] = ()) -> None:
        self._fields = dict(fields)
        self._own = {
            one.column.name: one for one in fields.values() if one.column and one.column.name not in self._fields
        }
        self.key = key

    @classmethod
    def of(cls, info: ContainerInfo) -> Fields:
        """Return the fields of a container.

        Raises:
            JobsValueError: Two columns stand for one field.
        """
        found: dict[str, Field] = {}
        for column in info.columns:
            name = field_name(column.name)
            other = found.get(name)
            if other is not None and other.column is not None:
                raise JobsValueError(
                    f"Container {info.name!r}: the columns {other.column.name!r} and {column.name!r} both stand for "
                    f"the field {name!r}; rename one of them.",
                    field=name,
                )
            kind = _TYPES.get(column.type, FieldType.UNREADABLE)
            found[name] = Field(name, kind, sql.name(column.name), column)
        return cls(found, tuple(found[field_name(info.column(key).name)] for key in info.row_key))

    def with_runtime(self, fields: Iterable[Field]) -> Fields:
        """Return the fields with runtime fields beside them, or instead of those of the same name."""
        return Fields(self._fields | {one.name: one for one in fields}, self.key)

    def __getitem__(self, name: str) -> Field:
        found = self._fields.get(name) or self._own.get(name)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def below(self, name: str) -> list[Field]:
        """Return the fields of an object: `geoip` has `geoip.city` and all others that begin so."""
        return [one for one in self._fields.values() if one.name.startswith(f"{name}.")]

    def near(self, name: str) -> list[str]:
        """Return names that a wrong one may be meant for, the nearest first."""
        lower = {one.lower(): one for one in self._fields}
        found = difflib.get_close_matches(name.lower(), lower, n=3, cutoff=_HINT)
        return [lower[one] for one in found]
