"""In which order GridDB finds rows: along an index where it uses one, else as they were put or by time."""

from __future__ import annotations

from gridwatch.containers import _sqlite_format as layout
from gridwatch.containers.dialect.kinds import T
from gridwatch.containers.schema import ColumnType, ContainerInfo, ContainerType
from gridwatch.containers.tql.conditions import Condition, Term, alternative_sql
from gridwatch.containers.tql.expressions import NO_COLUMN, Expressions
from gridwatch.containers.tql.lexer import refused
from gridwatch.containers.tql.operators import TIMES
from gridwatch.containers.tql.tree import Name, TqlQuery

__all__ = ["base_order", "by_key_alone", "check_indexes", "column_sql", "found_order", "order_of", "rank_of"]

NOT_A_COLUMN = 151004
CANNOT_SORT = 152010

_ALONG_INDEX = frozenset({"", "=", "<", "<=", ">", ">=", "IS", "IS NOT"})
_RANGES = frozenset({"=", "<", "<=", ">", ">="})
# GridDB gives up that order itself beyond a hundred hits.
_RANKED_MAX = 100

SORTED = frozenset({T.BOOL, T.STRING, T.BYTE, T.SHORT, T.INTEGER, T.LONG, T.FLOAT, T.DOUBLE, *TIMES})


def column_sql(name: str) -> str:
    """Return a column of the container's table, which statements call `c`."""
    return f"c.{layout.quoted(name)}"


def base_order(info: ContainerInfo) -> str:
    """Return the order in which rows lie: by time, or as they were put."""
    if info.type is ContainerType.TIME_SERIES:
        return column_sql(info.columns[0].name)
    return f"c.{layout.row_number_of(info)}"


def _indexes(info: ContainerInfo) -> list[tuple[str, ...]]:
    """Return the columns of each index; the key of a collection has one."""
    key = [info.row_key] if info.row_key and info.type is ContainerType.COLLECTION else []
    found = [*layout.index_columns(info), *key]
    return list(dict.fromkeys(tuple(info.column(name).name for name in columns) for columns in found))


def _index_of(info: ContainerInfo, terms: tuple[Term, ...]) -> tuple[str, ...]:
    """Return the columns of the index along which GridDB scans for an alternative, or nothing.

    It is one that begins with the column of the first term that has any, among several the one with most conditions.
    """
    known = _indexes(info)
    for term in terms:
        alone = (term.column,) if term.simple and term.operator in _ALONG_INDEX else ()
        for name in (*alone, *term.scanned):
            fitting = [columns for columns in known if columns[0] == name]
            if fitting:
                return max(fitting, key=lambda columns: (_conditions(columns, terms), -len(columns)))
    return ()


def _conditions(columns: tuple[str, ...], terms: tuple[Term, ...]) -> int:
    return sum(term.simple and term.column in columns and term.operator in {*_RANGES, ""} for term in terms)


def check_indexes(info: ContainerInfo, condition: Condition | None) -> None:
    """Refuse what GridDB looks for in an index by the bits of a number of another type, and so answers at random.

    Raises:
        SqlRefusedError: A column with an index beside a constant that its type cannot hold.
    """
    for terms in condition.alternatives if condition is not None else ():
        index = _index_of(info, terms)
        for term in terms:
            if term.misfit and term.column in index and term.operator in _RANGES:
                raise refused(
                    f"a search of the index on column {term.column!r} for a number that its type cannot hold",
                    code=None,
                    hint="GridDB's own answer to it is wrong; use a number of the column's type",
                )


def by_key_alone(info: ContainerInfo, condition: Condition | None) -> bool:
    """Tell whether only a range of a time series' key decides which rows there are."""
    if condition is None:
        return True
    if len(condition.alternatives) > 1:
        return False
    key = info.columns[0].name
    return all(term.simple and term.column == key and term.operator in _RANGES for term in condition.alternatives[0])


def found_order(info: ContainerInfo, condition: Condition | None) -> list[str]:
    """Return the keys of the order in which GridDB finds rows: a time series' by time, a collection's along indexes."""
    base = base_order(info)
    if condition is None or info.type is ContainerType.TIME_SERIES:
        return [base]
    indexes = [_index_of(info, terms) for terms in condition.alternatives]
    if len(indexes) == 1:
        return [*(f"{column_sql(name)} NULLS LAST" for name in indexes[0]), base]
    if len(indexes) > _RANKED_MAX:
        return [base]
    # Rows of the first alternative come first, then those that only the second finds, and so on.
    tests = [alternative_sql(terms) for terms in condition.alternatives]
    keys = [rank_of(condition)]
    for number, index in enumerate(indexes):
        earlier = "".join(f"WHEN {test} THEN NULL " for test in tests[:number])
        keys += [f"CASE {earlier}WHEN {tests[number]} THEN {column_sql(name)} END NULLS LAST" for name in index]
    return [*keys, base]


def rank_of(condition: Condition | None) -> str:
    """Return the number of the first alternative that finds a row."""
    tests = [alternative_sql(terms) for terms in condition.alternatives] if condition is not None else []
    return f"CASE {' '.join(f'WHEN {test} THEN {number}' for number, test in enumerate(tests))} END"


def order_of(info: ContainerInfo, query: TqlQuery, expressions: Expressions, condition: Condition | None) -> list[str]:
    """Return the keys of ORDER BY, and behind them what decides between equal rows.

    Null is the greatest value.

    Raises:
        SqlRefusedError: A key that is no column (151004).
    """
    keys: list[tuple[str, ColumnType, bool]] = []
    for order in query.order:
        if not isinstance(order.key, Name):
            raise refused("ORDER BY anything but columns", code=NOT_A_COLUMN)
        column = expressions.column(order.key)
        if column is None:
            raise refused(f"column {order.key.text!r}, which does not exist", code=NO_COLUMN)
        keys.append((column.name, column.type, order.descending))
    for _, kind, _ in keys:
        if kind not in SORTED:
            fail = expressions.context.failing(CANNOT_SORT, "Rows cannot be sorted by this type")
            where = f" WHERE {condition.sql}" if condition is not None else ""
            # One row needs no sorting.
            return [f"CASE WHEN (SELECT count(*) FROM {layout.table_of(info)} AS c{where}) > 1 THEN {fail} END"]
    sql = [
        f"{column_sql(name)} {'DESC NULLS FIRST' if descending else 'ASC NULLS LAST'}" for name, _, descending in keys
    ]
    # Equal rows come in the order in which they lie; read backwards along an index, they come backwards too.
    backwards = len(keys) == 1 and keys[0][2] and _sorted_by_index(info, keys[0][0], condition)
    return [*sql, f"{base_order(info)} DESC" if backwards else base_order(info)]


def _sorted_by_index(info: ContainerInfo, name: str, condition: Condition | None) -> bool:
    if condition is None:
        return (name,) in _indexes(info)
    return len(condition.alternatives) == 1 and _index_of(info, condition.alternatives[0])[:1] == (name,)
