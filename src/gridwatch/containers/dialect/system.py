"""GridDB's meta tables `"#tables"`, `"#columns"` and `"#primary_keys"`, in those columns that mean something here."""

from __future__ import annotations

from gridwatch.containers.dialect.kinds import Expr, T
from gridwatch.containers.dialect.parse import refused
from gridwatch.containers.dialect.scope import Context, Source
from gridwatch.containers.schema import ColumnType

__all__ = ["source"]

_NAME = "json_extract(g.info, '$.name')"

# Name to its FROM clause and its columns: name, SQL, type.
_TABLES: dict[str, tuple[str, tuple[tuple[str, str, ColumnType], ...]]] = {
    "#tables": (
        "gridwatch_containers AS g",
        (
            ("DATABASE_NAME", "'public'", T.STRING),
            ("TABLE_NAME", _NAME, T.STRING),
            ("TABLE_OPTIONAL_TYPE", "json_extract(g.info, '$.type')", T.STRING),
        ),
    ),
    "#columns": (
        "gridwatch_containers AS g, json_each(g.info, '$.columns') AS j",
        (
            ("DATABASE_NAME", "'public'", T.STRING),
            ("TABLE_NAME", _NAME, T.STRING),
            ("ORDINAL_POSITION", "j.key + 1", T.INTEGER),
            ("COLUMN_NAME", "json_extract(j.value, '$[0]')", T.STRING),
            ("TYPE_NAME", "json_extract(j.value, '$[1]')", T.STRING),
            ("NULLABLE", "json_extract(j.value, '$[2]')", T.BOOL),
        ),
    ),
    "#primary_keys": (
        "gridwatch_containers AS g, json_each(g.info, '$.row_key') AS j",
        (
            ("DATABASE_NAME", "'public'", T.STRING),
            ("TABLE_NAME", _NAME, T.STRING),
            ("COLUMN_NAME", "j.value", T.STRING),
            ("KEY_SEQ", "j.key + 1", T.SHORT),
        ),
    ),
}


def source(context: Context, name: str, alias: str) -> Source:
    """Return a meta table as an entry of FROM.

    Raises:
        SqlRefusedError: There is no such table (240007).
    """
    if name not in _TABLES:
        raise refused(f"the system table {name}", code=240007, hint=f"there are {', '.join(_TABLES)}")
    tables, columns = _TABLES[name]
    short = context.source_name()
    body = ", ".join(f"{sql} AS m{number}" for number, (_, sql, _) in enumerate(columns))
    exprs = []
    for number, (column, _, kind) in enumerate(columns):
        sql = f"{short}.m{number}"
        exprs.append((column, Expr(sql, kind, nullable=False, free=frozenset({sql}))))
    return Source(alias, f"(SELECT {body} FROM {tables}) AS {short}", tuple(exprs))
