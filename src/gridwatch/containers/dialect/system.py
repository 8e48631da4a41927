"""GridDB's meta tables: `"#tables"`, `"#columns"`, `"#primary_keys"`, `"#index_info"`, `"#views"` and the rest."""

from __future__ import annotations

from gridwatch.containers.dialect.kinds import Expr, T
from gridwatch.containers.dialect.parse import refused
from gridwatch.containers.dialect.scope import Context, Source
from gridwatch.containers.schema import ColumnType

__all__ = ["source"]

_Columns = tuple[tuple[str, str, ColumnType], ...]
_CONTAINERS = "gridwatch_containers AS g"
_HOME = (("DATABASE_NAME", "'public'", T.STRING), ("TABLE_NAME", "json_extract(g.info, '$.name')", T.STRING))


def _spread(name: str) -> str:
    return f"json_extract(g.info, '$.partitioning.{name}')"


def _positive(name: str, sql: str = "") -> str:
    """Return SQL of an option of the partitioning, NULL where it is 0: its own value, or another."""
    return f"CASE WHEN {_spread(name)} > 0 THEN {sql or _spread(name)} END"


_BY_INTERVAL = f"{_spread('interval')} > 0"
_BY_HASH_ALONE = f"{_spread('hash_count')} > 0 AND {_spread('interval')} = 0"
_BY_BOTH = f"{_spread('hash_count')} > 0 AND {_spread('interval')} > 0"
_NOTHING = "NULL"

_TABLES: _Columns = (
    *_HOME,
    ("TABLE_OPTIONAL_TYPE", "replace(json_extract(g.info, '$.type'), '_', '')", T.STRING),
    ("DATA_AFFINITY", _NOTHING, T.STRING),
    ("EXPIRATION_TIME", _positive("expiration"), T.INTEGER),
    ("EXPIRATION_TIME_UNIT", _positive("expiration", _spread("expiration_unit")), T.STRING),
    ("EXPIRATION_DIVISION_COUNT", _NOTHING, T.INTEGER),
    ("COMPRESSION_METHOD", _NOTHING, T.STRING),
    ("COMPRESSION_WINDOW_SIZE", _NOTHING, T.INTEGER),
    ("COMPRESSION_WINDOW_SIZE_UNIT", _NOTHING, T.STRING),
    ("PARTITION_TYPE", f"CASE WHEN {_BY_INTERVAL} THEN 'INTERVAL' WHEN {_BY_HASH_ALONE} THEN 'HASH' END", T.STRING),
    ("PARTITION_COLUMN", _spread("column"), T.STRING),
    ("PARTITION_INTERVAL_VALUE", _positive("interval", f"CAST({_spread('interval')} AS TEXT)"), T.STRING),
    ("PARTITION_INTERVAL_UNIT", f"nullif({_spread('interval_unit')}, '')", T.STRING),
    ("PARTITION_DIVISION_COUNT", f"CASE WHEN {_BY_HASH_ALONE} THEN {_spread('hash_count')} END", T.INTEGER),
    ("SUBPARTITION_TYPE", f"CASE WHEN {_BY_BOTH} THEN 'HASH' END", T.STRING),
    ("SUBPARTITION_COLUMN", f"nullif({_spread('sub_column')}, '')", T.STRING),
    ("SUBPARTITION_INTERVAL_VALUE", _NOTHING, T.STRING),
    ("SUBPARTITION_INTERVAL_UNIT", _NOTHING, T.STRING),
    ("SUBPARTITION_DIVISION_COUNT", f"CASE WHEN {_BY_BOTH} THEN {_spread('hash_count')} END", T.INTEGER),
    # A store file is a cluster of one partition.
    ("CLUSTER_PARTITION_INDEX", "0", T.INTEGER),
    ("EXPIRATION_TYPE", _positive("expiration", "'PARTITION'"), T.STRING),
    ("PARTITION_INTERVAL_WORKER_GROUP", _NOTHING, T.INTEGER),
    ("PARTITION_INTERVAL_WORKER_GROUP_POSITION", _NOTHING, T.INTEGER),
)

_KIND = "json_extract(j.value, '$[1]')"
_DIGITS = (
    f"CASE {_KIND} WHEN 'TIMESTAMP' THEN {{0}} WHEN 'TIMESTAMP(6)' THEN {{1}} WHEN 'TIMESTAMP(9)' THEN {{2}} "
    "ELSE {3} END"
)
_COLUMNS: _Columns = (
    *_HOME,
    ("ORDINAL_POSITION", "j.key + 1", T.INTEGER),
    ("COLUMN_NAME", "json_extract(j.value, '$[0]')", T.STRING),
    ("TYPE_NAME", f"CASE WHEN {_KIND} LIKE 'TIMESTAMP(%' THEN 'TIMESTAMP' ELSE {_KIND} END", T.STRING),
    ("NULLABLE", "json_extract(j.value, '$[2]')", T.BOOL),
    ("COMPRESSION_RELATIVE", _NOTHING, T.BOOL),
    ("COMPRESSION_RATE", _NOTHING, T.DOUBLE),
    ("COMPRESSION_SPAN", _NOTHING, T.DOUBLE),
    ("COMPRESSION_WIDTH", _NOTHING, T.DOUBLE),
    ("DECIMAL_DIGITS", _DIGITS.format(3, 6, 9, _NOTHING), T.INTEGER),
    ("CHAR_OCTET_LENGTH", _DIGITS.format(30, 33, 36, 2_000_000_000), T.INTEGER),
)

_KEYS: _Columns = (*_HOME, ("COLUMN_NAME", "j.value", T.STRING), ("KEY_SEQ", "j.key + 1", T.SHORT))

# The key of a collection is an index without a name; then those without and those with one.
_INDEXES = (
    "(SELECT g.info, NULL AS name, j.key + 1 AS place, j.value AS field "
    f"FROM {_CONTAINERS}, json_each(g.info, '$.row_key') AS j WHERE json_extract(g.info, '$.type') = 'COLLECTION' "
    f"UNION ALL SELECT g.info, NULL, 1, j.value FROM {_CONTAINERS}, json_each(g.info, '$.indexes') AS j "
    "WHERE NOT EXISTS (SELECT 1 FROM json_each(g.info, '$.named_indexes') AS n "
    "WHERE json_array_length(n.value, '$[0]') = 1 AND lower(json_extract(n.value, '$[0][0]')) = lower(j.value)) "
    "UNION ALL SELECT g.info, nullif(json_extract(n.value, '$[1]'), ''), c.key + 1, c.value "
    f"FROM {_CONTAINERS}, json_each(g.info, '$.named_indexes') AS n, json_each(n.value, '$[0]') AS c) AS g"
)
_INDEX_COLUMNS: _Columns = (
    *_HOME,
    ("INDEX_NAME", "g.name", T.STRING),
    ("INDEX_TYPE", "'TREE'", T.STRING),
    ("ORDINAL_POSITION", "g.place", T.SHORT),
    ("COLUMN_NAME", "g.field", T.STRING),
)

_VIEWS: _Columns = (
    ("DATABASE_NAME", "'public'", T.STRING),
    ("VIEW_NAME", "v.name", T.STRING),
    ("VIEW_DEFINITION", "' ' || v.query || char(10) || ';'", T.STRING),
)

# GridDB 5 has no triggers.
_TRIGGERS: _Columns = (
    *_HOME,
    ("ORDINAL_POSITION", _NOTHING, T.SHORT),
    *(
        (name, _NOTHING, T.STRING)
        for name in (
            *("TRIGGER_NAME", "EVENT_TYPE", "COLUMN_NAME", "TRIGGER_TYPE", "URI"),
            *("JMS_DESTINATION_TYPE", "JMS_DESTINATION_NAME", "USER", "PASSWORD"),
        )
    ),
)

# Name to its FROM clause and its columns: name, SQL, type.
_META: dict[str, tuple[str, _Columns]] = {
    "#tables": (_CONTAINERS, _TABLES),
    "#columns": (f"{_CONTAINERS}, json_each(g.info, '$.columns') AS j", _COLUMNS),
    "#primary_keys": (f"{_CONTAINERS}, json_each(g.info, '$.row_key') AS j", _KEYS),
    "#index_info": (_INDEXES, _INDEX_COLUMNS),
    "#event_triggers": (f"{_CONTAINERS} WHERE false", _TRIGGERS),
    "#views": ("gridwatch_views AS v", _VIEWS),
}


def source(context: Context, name: str, alias: str) -> Source:
    """Return a meta table as an entry of FROM.

    Raises:
        SqlRefusedError: There is no such table (240007).
    """
    if name not in _META:
        raise refused(f"the system table {name}", code=240007, hint=f"there are {', '.join(_META)}")
    tables, columns = _META[name]
    short = context.source_name()
    body = ", ".join(f"{sql} AS m{number}" for number, (_, sql, _) in enumerate(columns))
    exprs = []
    for number, (column, _, kind) in enumerate(columns):
        sql = f"{short}.m{number}"
        exprs.append((column, Expr(sql, kind, free=frozenset({sql}))))
    return Source(alias, f"(SELECT {body} FROM {tables}) AS {short}", tuple(exprs))
