"""A safe part of Painless, compiled to SQL: scripts of runtime fields.

`parser` turns a script into a tree by a grammar, `compiler` follows its statements and `expressions` gives each
expression its type and its SQL; nothing of a script is ever evaluated as code. What the part does not hold, or what SQL
cannot answer as Painless would, is refused with line, column and name.
"""

from gridwatch.jobs.painless.compiler import compile_script
from gridwatch.jobs.painless.parser import parse

__all__ = ["compile_script", "parse"]
