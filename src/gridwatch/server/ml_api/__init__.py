"""Elasticsearch's API of anomaly detection and transforms, over the store that the server opened.

`endpoint` makes addresses of functions; `media` reads and writes JSON; `asked` reads parameters; `access` knows who
may; `jobs`, `feeds`, `results`, `transforms`, `home` and `others` hold the addresses; `edge` answers errors.
"""

from gridwatch.server.ml_api import feeds, jobs, others, results, transforms
from gridwatch.server.ml_api.edge import blueprint, http_error
from gridwatch.server.ml_api.home import home

__all__ = ["blueprint", "feeds", "home", "http_error", "jobs", "others", "results", "transforms"]
