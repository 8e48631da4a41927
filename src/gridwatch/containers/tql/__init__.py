"""TQL, GridDB's query language for one container, on SQLite: the same answer as GridDB, or a refusal.

`lexer` and `parser` read a statement, `expressions`, `functions`, `times` and `conditions` compile it, `select` and
`series` plan what is selected (`plans`); nothing of the given text is passed through. `aggregates` adds up as GridDB
does.
"""

from gridwatch.containers.tql.parser import parse
from gridwatch.containers.tql.plans import AggregatePlan, RowsPlan, SamplePlan
from gridwatch.containers.tql.select import compile_tql
from gridwatch.containers.tql.tree import TqlQuery

__all__ = ["AggregatePlan", "RowsPlan", "SamplePlan", "TqlQuery", "compile_tql", "parse"]
