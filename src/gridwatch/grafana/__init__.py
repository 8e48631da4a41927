"""Grafana's files: provisioning and dashboards, made from the datasets for two data sources.

`build` gives every file's text, `write` puts them below a folder, `compare` tells how a folder differs. Panels are
described once, in queries of their own (`queries`), which `infinity` and `griddb_plugin` put into what their plugin
sends: SQL or TQL over the GridDB Web API.
"""

from gridwatch.grafana.files import PAGES, Drift, build, compare, write

__all__ = ["PAGES", "Drift", "build", "compare", "write"]
