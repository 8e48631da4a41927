"""The rows of a GROUP BY RANGE: its steps, what each holds, and what FILL puts where a step holds nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gridwatch.containers.dialect.kinds import FLOATING, INTEGRAL, Expr, T, failing

if TYPE_CHECKING:
    from gridwatch.containers.dialect.ranges import RangeKey

__all__ = ["steps_query"]

# GridDB works out its line through whole numbers in millionths, on 64 bits without a sign, and lets them run over.
_UNIT = 1_000_000
_RUN_OVER = (2**64 - 1) // _UNIT


def steps_query(leaves: Sequence[Expr], body: str, column: str, key: RangeKey, bounds: tuple[str, str]) -> str:
    """Return the SQL of the steps, in brackets: x is the start of each, a0, a1, ... are the leaves.

    Args:
        leaves: Aggregates over the rows of a step.
        body: SQL of FROM and WHERE.
        column: SQL of the time column.
        key: How wide the steps are, where they begin, and what fills them.
        bounds: SQL of the first and the last instant.
    """
    cells = [f"{_start(column, key)} AS k", *(f"{leaf.sql} AS a{place}" for place, leaf in enumerate(leaves))]
    grouped = f"g AS MATERIALIZED (SELECT {', '.join(cells)}{body} GROUP BY 1)"
    names = [f"a{place}" for place in range(len(leaves))]
    if key.fill == "NONE":
        rows = ", ".join(["k AS x", *names])
        return f"(WITH {grouped} SELECT {rows} FROM g)"
    first, last = (_start(bound, key) for bound in bounds)
    steps = (
        f"r(x, last) AS (SELECT {first}, {last} WHERE {first} <= {last} "
        f"UNION ALL SELECT x + {key.step_ms}, last FROM r WHERE x + {key.step_ms} <= last LIMIT 1000001)"
    )
    if key.fill == "NULL":
        rows = ", ".join(["r.x AS x", *(f"g.{name} AS {name}" for name in names)])
        return f"(WITH RECURSIVE {grouped}, {steps} SELECT {rows} FROM r LEFT JOIN g ON g.k = r.x)"
    near = (
        "n AS MATERIALIZED (SELECT r.x AS x, max(g.k) OVER (ORDER BY r.x) AS before, "
        "min(g.k) OVER (ORDER BY r.x DESC) AS after FROM r LEFT JOIN g ON g.k = r.x)"
    )
    filled = [
        f"{f'p.{name}' if key.fill == 'PREVIOUS' else _line(name, leaf)} AS {name}"
        for name, leaf in zip(names, leaves, strict=True)
    ]
    rows = ", ".join(["n.x AS x", *filled])
    joins = "n LEFT JOIN g AS p ON p.k = n.before LEFT JOIN g AS q ON q.k = n.after"
    return f"(WITH RECURSIVE {grouped}, {steps}, {near} SELECT {rows} FROM {joins})"


def _start(time: str, key: RangeKey) -> str:
    """Return the SQL of the start of the step that holds an instant; an offset leads to times before 1970 as well."""
    if not key.offset_ms:
        return f"({time} - {time} % {key.step_ms})"
    rest = f"(({time} - {key.offset_ms}) % {key.step_ms} + {key.step_ms}) % {key.step_ms}"
    return f"({time} - {rest})"


def _line(name: str, expr: Expr) -> str:
    """Between the steps before and after; what is no number stays what it was before."""
    low, high = f"p.{name}", f"q.{name}"
    missing = f"n.after IS NULL OR {low} IS NULL OR {high} IS NULL"
    share = "(n.x - n.before)"
    width = "(n.after - n.before)"
    if expr.kind in FLOATING:
        moved = f"{low} + (CAST({share} AS REAL) * ({high} - {low})) / CAST({width} AS REAL)"
    elif expr.kind in INTEGRAL | {T.BOOL, T.TIMESTAMP}:
        moved = _whole_line(low, high, share, width)
    else:
        moved = low
    return f"(CASE WHEN n.before = n.x THEN {low} WHEN {missing} THEN NULL ELSE {moved} END)"


def _whole_line(low: str, high: str, share: str, width: str) -> str:
    product = f"({share} * abs({high} - {low}) * {_UNIT})"
    scale = f"max({product} / {_RUN_OVER}, 1)"
    over, under = f"({product} / ({scale}))", f"({width} / ({scale}))"
    rest = f"(CASE WHEN {over} <= {_RUN_OVER} THEN {over} ELSE {over} - {_RUN_OVER + 1} END)"
    quotient = f"({rest} / {under})"
    down = f"({quotient} / {_UNIT} + ({quotient} % {_UNIT} <> 0))"
    fail = failing(75000, "FILL (LINEAR) of whole numbers that are too large", width)
    sign = f"CASE WHEN {high} < {low} THEN -1 ELSE 1 END"
    return (
        f"CASE WHEN typeof({product}) <> 'integer' THEN {fail} "
        f"WHEN {under} = 0 THEN {low} + {sign} * ({product} / ({width} * {_UNIT})) "
        f"WHEN {high} >= {low} THEN {low} + {quotient} / {_UNIT} ELSE {low} - {down} END"
    )
