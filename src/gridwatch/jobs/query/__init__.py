"""Elasticsearch's query DSL as a condition in SQL.

`compile_query(query, fields, now_ms=...)` returns what WHERE takes. Each kind of query has a reader in `leaves` or
`compound`; what is not supported is refused by name, with its path, and never ignored. A query is true or false for
each row, whatever is null in it: a field that a row has not, or that the container has not, matches nothing, and so
does match under `must_not`.
"""

from gridwatch.jobs.query.compiler import Condition, compile_query

__all__ = ["Condition", "compile_query"]
