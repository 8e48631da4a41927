"""CREATE, DROP and ALTER read word by word, by GridDB's grammar; what they do is in `_sqlite_definitions`."""

from __future__ import annotations

from dataclasses import dataclass

from gridwatch.containers.dialect.parse import refused, tokens_of
from gridwatch.containers.dialect.partitions import expiring, options, partitioning
from gridwatch.containers.dialect.type_names import type_of
from gridwatch.containers.dialect.words import Name, Words
from gridwatch.containers.schema import Column, ContainerType, Partitioning

__all__ = [
    "AddColumns",
    "CreateIndex",
    "CreateTable",
    "CreateView",
    "Definition",
    "DropIndex",
    "DropPartition",
    "DropTable",
    "DropView",
    "RenameColumn",
    "read_definition",
]

NO_KEY = 280014
INVALID = 280012


@dataclass(frozen=True, slots=True)
class CreateTable:
    """CREATE TABLE; `lenient` is IF NOT EXISTS."""

    table: Name
    lenient: bool
    columns: tuple[Column, ...]
    row_key: tuple[str, ...]
    type: ContainerType
    partitioning: Partitioning | None


@dataclass(frozen=True, slots=True)
class CreateView:
    """CREATE VIEW; `force` leaves the SELECT unchecked."""

    table: Name
    force: bool
    select: str


@dataclass(frozen=True, slots=True)
class CreateIndex:
    """CREATE INDEX; `lenient` is IF NOT EXISTS."""

    table: Name
    index: Name
    columns: tuple[Name, ...]
    lenient: bool


@dataclass(frozen=True, slots=True)
class AddColumns:
    """ALTER TABLE ADD COLUMN."""

    table: Name
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class RenameColumn:
    """ALTER TABLE RENAME COLUMN."""

    table: Name
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class DropPartition:
    """ALTER TABLE DROP PARTITION FOR (a time as text, or a whole number)."""

    table: Name
    value: int | str


@dataclass(frozen=True, slots=True)
class DropTable:
    """DROP TABLE; `lenient` is IF EXISTS."""

    table: Name
    lenient: bool


@dataclass(frozen=True, slots=True)
class DropView:
    """DROP VIEW; `lenient` is IF EXISTS."""

    table: Name
    lenient: bool


@dataclass(frozen=True, slots=True)
class DropIndex:
    """DROP INDEX; `lenient` is IF EXISTS."""

    table: Name
    index: Name
    lenient: bool


Definition = (
    CreateTable
    | CreateView
    | CreateIndex
    | AddColumns
    | RenameColumn
    | DropPartition
    | DropTable
    | DropView
    | DropIndex
)


def read_definition(statement: str) -> Definition:
    """Return what a CREATE, DROP or ALTER defines.

    Raises:
        SqlRefusedError: It is another statement, or has a clause that GridDB or this store has not.
    """
    words = Words(tokens_of(statement), statement)
    found = _read(words)
    words.end()
    return found


def _read(words: Words) -> Definition:
    if words.take("CREATE", "TABLE"):
        return _create_table(words)
    if words.take("CREATE", "INDEX"):
        return _create_index(words)
    if words.take("CREATE", "FORCE", "VIEW"):
        return _create_view(words, force=True)
    if words.take("CREATE", "VIEW"):
        return _create_view(words, force=False)
    if words.take("DROP", "TABLE"):
        lenient = words.take("IF", "EXISTS")
        return DropTable(words.table(), lenient)
    if words.take("DROP", "VIEW"):
        lenient = words.take("IF", "EXISTS")
        return DropView(words.table(), lenient)
    if words.take("DROP", "INDEX"):
        return _drop_index(words)
    if words.take("ALTER", "TABLE"):
        return _alter(words)
    for verb, what in (("CREATE", "DATABASE"), ("CREATE", "USER"), ("CREATE", "ROLE"), ("DROP", "DATABASE")):
        if words.take(verb, what):
            raise refused(f"{verb} {what}", code=None, hint="a store file has one database and no users in SQL")
    raise refused(repr(words.shown(2)))


def _create_table(words: Words) -> CreateTable:
    lenient = words.take("IF", "NOT", "EXISTS")
    table = words.table()
    words.need("(")
    columns: list[Column] = []
    keys: list[str] = []
    while True:
        if columns and words.take("PRIMARY", "KEY", "("):
            keys += _constraint(words, columns, keys)
            break
        column, is_key = _column(words)
        if is_key and columns:
            raise refused(f"PRIMARY KEY at column {column.name!r}", code=NO_KEY, hint="key columns come first")
        columns.append(column)
        keys += [column.name] if is_key else []
        if not words.take(","):
            break
    words.need(")")
    kind = ContainerType.TIME_SERIES if words.take("USING", "TIMESERIES") else ContainerType.COLLECTION
    given = options(words)
    spread = partitioning(words)
    wanted = set(keys)
    # A key column is never null, whether it says so or not.
    fixed = tuple(Column(column.name, column.type, column.nullable and column.name not in wanted) for column in columns)
    spread = expiring(spread, given, kind, fixed)
    return CreateTable(table, lenient, fixed, tuple(keys), kind, spread)


def _constraint(words: Words, columns: list[Column], keys: list[str]) -> list[str]:
    """Return the key columns of PRIMARY KEY (...), which GridDB compares with case even without quotes."""
    known = [column.name for column in columns]
    found: list[str] = []
    while True:
        name, _ = words.name()
        _direction(words)
        if name not in known:
            raise refused(f"PRIMARY KEY of column {name!r}, which does not exist", code=NO_KEY)
        if not keys and not found and name != known[0]:
            raise refused(f"PRIMARY KEY that begins with column {name!r}", code=NO_KEY, hint="key columns come first")
        found.append(name)
        if not words.take(","):
            break
    words.need(")")
    return found


def _direction(words: Words) -> None:
    if not words.take("ASC"):
        words.take("DESC")


def _column(words: Words) -> tuple[Column, bool]:
    name, _ = words.name()
    kind = words.raw()
    _more_words(words)
    numbers: list[int] = []
    if words.take("("):
        numbers.append(words.integer())
        if words.take(","):
            numbers.append(words.integer())
        words.need(")")
        _more_words(words)
    said: list[str] = []
    while True:
        if words.take("PRIMARY", "KEY"):
            said.append("PRIMARY KEY")
        elif words.take("NOT", "NULL"):
            said.append("NOT NULL")
        elif words.take("NULL"):
            said.append("NULL")
        else:
            break
    if len(set(said)) < len(said) or ("NULL" in said and len(said) > 1):
        raise refused(f"{' '.join(said)} at column {name!r}")
    return Column(name, type_of(kind, numbers), "NOT NULL" not in said), "PRIMARY KEY" in said


def _more_words(words: Words) -> None:
    """Take the further words of a type's name, which mean nothing to GridDB: UNIQUE as well as PRECISION."""
    while words.name_follows():
        words.name()


def _create_view(words: Words, *, force: bool) -> CreateView:
    table = words.table()
    words.need("AS")
    return CreateView(table, force, words.rest())


def _create_index(words: Words) -> CreateIndex:
    lenient = words.take("IF", "NOT", "EXISTS")
    index = words.name()
    words.need("ON")
    table = words.table()
    words.need("(")
    columns = [words.name()]
    _direction(words)
    while words.take(","):
        columns.append(words.name())
        _direction(words)
    words.need(")")
    return CreateIndex(table, index, tuple(columns), lenient)


def _drop_index(words: Words) -> DropIndex:
    lenient = words.take("IF", "EXISTS")
    index = words.name()
    if words.take("."):
        table, index = index, words.name()
        return DropIndex(table, index, lenient)
    if not words.take("ON"):
        raise refused("DROP INDEX without a table", hint="write DROP INDEX name ON table")
    return DropIndex(words.table(), index, lenient)


def _alter(words: Words) -> AddColumns | RenameColumn | DropPartition:
    table = words.name()
    if words.take("RENAME", "COLUMN"):
        old, _ = words.name()
        words.need("TO")
        new, _ = words.name()
        return RenameColumn(table, old, new)
    if words.take("DROP", "PARTITION", "FOR", "("):
        value = words.constant()
        words.need(")")
        return DropPartition(table, value)
    columns = []
    while True:
        words.need("ADD")
        words.take("COLUMN")
        column, is_key = _column(words)
        if is_key:
            raise refused("PRIMARY KEY in ALTER TABLE", code=INVALID)
        columns.append(column)
        if not words.take(","):
            return AddColumns(table, tuple(columns))
