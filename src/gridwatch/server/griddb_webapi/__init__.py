"""GridDB's Web API v2 over whatever store the server opened: any client of it works with gridwatch as with GridDB.

`routes` maps addresses to functions; `bodies` reads JSON as strictly or loosely as GridDB's own does; `cells` and
`columns` turn JSON into columns; `answers` turns columns into JSON; `errors` knows which refusal has which status.
"""

from gridwatch.server.griddb_webapi.routes import blueprint

__all__ = ["blueprint"]
