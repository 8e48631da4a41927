"""CREATE, DROP and ALTER statements carried out on a store file."""

from __future__ import annotations

from gridwatch.containers import _sqlite_format as layout
from gridwatch.containers._rules import check_info
from gridwatch.containers._sqlite_session import Session
from gridwatch.containers.dialect import Definition
from gridwatch.containers.schema import ContainerInfo
from gridwatch.errors import ContainerExistsError, ContainerNotFoundError, SchemaError

__all__ = ["define"]


def define(session: Session, definition: Definition) -> None:
    """Carry out a definition, inside the caller's transaction.

    Raises:
        ContainerExistsError: CREATE of a container that exists (280003).
        ContainerNotFoundError: The container is not there (280005).
        SchemaError: A name, type or key that GridDB refuses.
    """
    text = layout.stored(session, definition.table)
    old = layout.decode(text) if text is not None else None
    if definition.action == "create":
        _create(session, definition, old)
        return
    if old is not None and definition.quoted and old.name != definition.table:
        old = None
    if old is None:
        if definition.lenient and definition.action == "drop":
            return
        raise ContainerNotFoundError(
            f"SQL names the table {definition.table!r}, which does not exist.", code=280005, container=definition.table
        )
    if definition.action == "drop":
        layout.drop(session, old)
    elif definition.action == "alter":
        _alter(session, definition, old)
    else:
        _index(session, definition, old)


def _create(session: Session, definition: Definition, old: ContainerInfo | None) -> None:
    if old is not None:
        if definition.lenient:
            return
        raise ContainerExistsError(f"Table {old.name!r} exists.", code=280003, container=old.name)
    info = ContainerInfo(definition.table, definition.type, definition.columns, definition.row_key)
    check_info(info)
    layout.create(session, info)


def _alter(session: Session, definition: Definition, old: ContainerInfo) -> None:
    for column in definition.columns:
        if not column.nullable:
            raise SchemaError(f"Column {column.name!r} added to table {old.name!r} must be nullable.", code=60149)
    new = ContainerInfo(old.name, old.type, old.columns + definition.columns, old.row_key, old.indexes)
    check_info(new)
    layout.add_columns(session, old, new)


def _index(session: Session, definition: Definition, old: ContainerInfo) -> None:
    column = old.column(definition.index)
    known = {name.lower() for name in old.indexes}
    if column.name.lower() in known:
        if definition.lenient:
            return
        raise ContainerExistsError(f"Column {column.name!r} of table {old.name!r} has an index.", code=1007)
    new = ContainerInfo(old.name, old.type, old.columns, old.row_key, (*old.indexes, column.name))
    check_info(new)
    layout.add_columns(session, old, new)
