"""GridDB's SQL on SQLite: the same answer as GridDB gives, or a refusal that names what it refuses.

A statement is parsed (`parse`), every node is looked up in an allow-list, given GridDB's static type and written anew
as SQLite's SQL (`expressions`, `functions`, `times`, `select`, `changes`); nothing of the given text is passed through.
What SQLite would answer differently is rewritten so that it agrees or fails with GridDB's error number. `definitions`
reads CREATE, DROP and ALTER.
"""

from gridwatch.containers.dialect.changes import Change, compile_change
from gridwatch.containers.dialect.definitions import Definition, read_definition
from gridwatch.containers.dialect.parse import verb_of
from gridwatch.containers.dialect.queries import Query
from gridwatch.containers.dialect.select import compile_query

__all__ = ["Change", "Definition", "Query", "compile_change", "compile_query", "read_definition", "verb_of"]
