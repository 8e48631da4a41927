"""CREATE, DROP and ALTER statements carried out on a store file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gridwatch.containers import _sqlite_format as layout
from gridwatch.containers import dialect
from gridwatch.containers._rules import check_container_name, check_index_name, check_info
from gridwatch.containers._sqlite_session import Session
from gridwatch.containers.dialect import definitions as parsed
from gridwatch.containers.dialect.parse import refused
from gridwatch.containers.dialect.words import Name
from gridwatch.containers.schema import Column, ContainerInfo, Index, View
from gridwatch.errors import ContainerExistsError, ContainerNotFoundError, SchemaError, SqlRefusedError

__all__ = ["define", "lookup_of"]

EXISTS, NO_TABLE, NO_COLUMN_OF_INDEX, WRONG_KIND, NO_VIEW = 280003, 280005, 280008, 280010, 280037
WRONG_COLUMN, INDEX_EXISTS, NO_INDEX, INDEX_CLASH = 280016, 10095, 10096, 1007
_TYPE_CODE = 60015


def lookup_of(session: Session) -> Callable[[str], ContainerInfo | View | None]:
    """Return what finds a container or view by its name, compared without case."""

    def lookup(name: str) -> ContainerInfo | View | None:
        text = layout.stored(session, name)
        return layout.decode(text) if text is not None else layout.stored_view(session, name)

    return lookup


def define(session: Session, definition: parsed.Definition) -> None:
    """Carry out a definition, inside the caller's transaction.

    Raises:
        ContainerExistsError: CREATE of what exists (280003, 10095).
        ContainerNotFoundError: The container or view is not there (280005, 280037).
        SchemaError: A name, type or key that GridDB refuses.
        SqlRefusedError: A view where a table is wanted, or the other way round (280010), an index that is not there.
    """
    _ACTIONS[type(definition)](session, definition)


def _found(session: Session, name: Name) -> ContainerInfo | View | None:
    text, quoted = name
    found = lookup_of(session)(text)
    # A quoted name keeps its case.
    return None if found is not None and quoted and found.name != text else found


def _table(session: Session, name: Name) -> ContainerInfo:
    found = _found(session, name)
    if found is None:
        raise ContainerNotFoundError(
            f"SQL names the table {name[0]!r}, which does not exist.", code=NO_TABLE, container=name[0]
        )
    if isinstance(found, View):
        raise refused(f"{found.name!r} is a view, not a table", code=WRONG_KIND)
    return found


def _create_table(session: Session, definition: parsed.CreateTable) -> None:
    name = definition.table[0]
    old = lookup_of(session)(name)
    if old is not None:
        if definition.lenient:
            return
        raise ContainerExistsError(f"Table or view {old.name!r} exists.", code=EXISTS, container=old.name)
    info = ContainerInfo(
        name, definition.type, definition.columns, definition.row_key, partitioning=definition.partitioning
    )
    _check(info)
    layout.create(session, info)


def _check(info: ContainerInfo) -> None:
    """Refuse what GridDB refuses, with the numbers that its SQL has for what its Java client has others for."""
    codes = {145007: 60025 if "#" in info.name else 1008, 145009: 60015, 145023: 60015, 145025: 60015}
    try:
        check_info(info)
    except SchemaError as error:
        if error.code not in codes:
            raise
        raise SchemaError(error.text, code=codes[error.code]) from error


def _create_view(session: Session, definition: parsed.CreateView) -> None:
    name = definition.table[0]
    old = lookup_of(session)(name)
    if old is not None:
        raise ContainerExistsError(f"Table or view {old.name!r} exists.", code=EXISTS, container=old.name)
    try:
        check_container_name(name)
    except SchemaError as error:
        raise SchemaError(error.text, code=1008) from error
    if not definition.force:
        dialect.compile_query(definition.select, (), lookup_of(session))
    layout.create_view(session, View(name, definition.select))


def _create_index(session: Session, definition: parsed.CreateIndex) -> None:
    old = _table(session, definition.table)
    columns = []
    for name, quoted in definition.columns:
        column = next((column for column in old.columns if column.name.lower() == name.lower()), None)
        if column is None or (quoted and column.name != name):
            raise SchemaError(f"Table {old.name!r} has no column {name!r} to index.", code=NO_COLUMN_OF_INDEX)
        columns.append(column.name)
    name = definition.index[0]
    check_index_name(name)
    if any(index.name.lower() == name.lower() for index in old.named_indexes):
        if definition.lenient:
            return
        raise ContainerExistsError(f"Table {old.name!r} has an index {name!r}.", code=INDEX_EXISTS)
    _check_no_clash(old, tuple(columns))
    single = tuple(columns) if len(columns) == 1 else ()
    new = replace(old, indexes=old.indexes + single, named_indexes=(*old.named_indexes, Index(tuple(columns), name)))
    _check(new)
    layout.change(session, old, new)


def _check_no_clash(info: ContainerInfo, columns: tuple[str, ...]) -> None:
    """Refuse a second index on the same columns; the key of a collection is one."""
    if len({name.lower() for name in columns}) < len(columns):
        raise refused("a column twice in an index", code=INDEX_CLASH)
    taken = {tuple(map(str.lower, index)) for index in layout.index_columns(info)}
    if info.type.value == "COLLECTION":
        taken.add(tuple(map(str.lower, info.row_key)))
    if tuple(map(str.lower, columns)) in taken:
        raise ContainerExistsError(
            f"Table {info.name!r} has an index on {', '.join(columns)} already.", code=INDEX_CLASH
        )


def _drop_index(session: Session, definition: parsed.DropIndex) -> None:
    old = _table(session, definition.table)
    name, quoted = definition.index
    found = next((index for index in old.named_indexes if index.name.lower() == name.lower()), None)
    if found is None or (quoted and found.name != name):
        if definition.lenient:
            return
        raise SqlRefusedError(f"Table {old.name!r} has no index {name!r}.", code=NO_INDEX)
    new = replace(
        old,
        indexes=tuple(column for column in old.indexes if (column.lower(),) != tuple(map(str.lower, found.columns))),
        named_indexes=tuple(index for index in old.named_indexes if index is not found),
    )
    layout.change(session, old, new)


def _add_columns(session: Session, definition: parsed.AddColumns) -> None:
    old = _table(session, definition.table)
    new = replace(old, columns=old.columns + definition.columns)
    _check(new)
    layout.change(session, old, new)


def _rename_column(session: Session, definition: parsed.RenameColumn) -> None:
    old = _table(session, definition.table)
    before, after = definition.old, definition.new
    known = {column.name.lower() for column in old.columns}
    # GridDB refuses when both names are known or none is, and does nothing when only the new one is.
    same = before.lower() == after.lower()
    if before == after or (not same and (before.lower() in known) == (after.lower() in known)):
        raise SchemaError(f"Table {old.name!r}: column {before!r} cannot become {after!r}.", code=WRONG_COLUMN)
    if before.lower() not in known:
        return

    def renamed(name: str) -> str:
        return after if name.lower() == before.lower() else name

    new = replace(
        old,
        columns=tuple(Column(renamed(column.name), column.type, column.nullable) for column in old.columns),
        row_key=tuple(map(renamed, old.row_key)),
        indexes=tuple(map(renamed, old.indexes)),
        named_indexes=tuple(Index(tuple(map(renamed, index.columns)), index.name) for index in old.named_indexes),
        partitioning=old.partitioning
        and replace(
            old.partitioning,
            column=renamed(old.partitioning.column),
            sub_column=renamed(old.partitioning.sub_column),
        ),
    )
    _check(new)
    layout.rename_column(session, old, new)


def _drop_table(session: Session, definition: parsed.DropTable) -> None:
    if _found(session, definition.table) is None and definition.lenient:
        return
    layout.drop(session, _table(session, definition.table))


def _drop_view(session: Session, definition: parsed.DropView) -> None:
    name, _ = definition.table
    found = _found(session, definition.table)
    if isinstance(found, View):
        layout.drop_view(session, found)
    elif definition.lenient:
        return
    elif found is None:
        raise ContainerNotFoundError(f"SQL names the view {name!r}, which does not exist.", code=NO_VIEW)
    else:
        raise refused(f"{found.name!r} is a table, not a view", code=WRONG_KIND)


def _drop_partition(session: Session, definition: parsed.DropPartition) -> None:
    info = _table(session, definition.table)
    if info.partitioning is None or not info.partitioning.interval:
        raise refused(f"DROP PARTITION of table {info.name!r}, which has no intervals", code=280012)
    # GridDB never takes rows of that interval again, which nothing here would remember.
    raise refused(f"DROP PARTITION of table {info.name!r}", code=None, hint="DELETE the rows of that interval")


_ACTIONS: dict[type, Callable[[Session, Any], None]] = {
    parsed.AddColumns: _add_columns,
    parsed.CreateIndex: _create_index,
    parsed.CreateTable: _create_table,
    parsed.CreateView: _create_view,
    parsed.DropIndex: _drop_index,
    parsed.DropPartition: _drop_partition,
    parsed.DropTable: _drop_table,
    parsed.DropView: _drop_view,
    parsed.RenameColumn: _rename_column,
}
