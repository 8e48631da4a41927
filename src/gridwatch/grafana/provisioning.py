"""Grafana's provisioning files. Addresses and credentials are environment variables that Grafana fills in itself."""

from __future__ import annotations

from typing import Any

from gridwatch.grafana.griddb_plugin import GridDBPlugin
from gridwatch.grafana.infinity import Infinity
from gridwatch.grafana.panels import Source

__all__ = ["VARIABLES", "data_sources", "providers"]

VARIABLES = {
    "GRIDWATCH_GRAFANA_DIR": "this folder, as Grafana sees it, such as /etc/gridwatch/grafana",
    "GRIDWATCH_GRAFANA_URL": "server of the Web API, such as http://127.0.0.1:8090",
    "GRIDWATCH_GRAFANA_CLUSTER": "name of the cluster, such as gridwatch",
    "GRIDWATCH_GRAFANA_DATABASE": "name of the database, such as public (GridDB's plugin knows no other)",
    "GRIDWATCH_GRAFANA_USER": "a user that may read",
    "GRIDWATCH_GRAFANA_PASSWORD": "the user's password",
}
"""What the files name, and what it is for. They are Grafana's: gridwatch does not read them."""


def data_sources() -> dict[str, Any]:
    """Return both data sources."""
    common = {
        "access": "proxy",
        "basicAuth": True,
        "basicAuthUser": "${GRIDWATCH_GRAFANA_USER}",
        "secureJsonData": {"basicAuthPassword": "${GRIDWATCH_GRAFANA_PASSWORD}"},
        "editable": False,
    }
    database = "${GRIDWATCH_GRAFANA_URL}/griddb/v2/${GRIDWATCH_GRAFANA_CLUSTER}/dbs/${GRIDWATCH_GRAFANA_DATABASE}"
    return {
        "apiVersion": 1,
        "datasources": [
            {
                "name": "gridwatch",
                **Infinity.ref,
                **common,
                "url": database,
                "jsonData": {
                    "auth_method": "basicAuth",
                    "timeoutInSeconds": 60,
                    "customHealthCheckEnabled": True,
                    "customHealthCheckUrl": "/containers?limit=1",
                },
            },
            {
                "name": "gridwatch (GridDB plugin)",
                **GridDBPlugin.ref,
                **common,
                "url": "${GRIDWATCH_GRAFANA_URL}",
                "jsonData": {"xgridcluster": "${GRIDWATCH_GRAFANA_CLUSTER}", "minInterval": "1s"},
            },
        ],
    }


def providers(sources: list[Source]) -> dict[str, Any]:
    """Return a provider of dashboards for each data source, with a folder of its own."""
    return {
        "apiVersion": 1,
        "providers": [
            {
                "name": f"gridwatch-{source.folder}",
                "orgId": 1,
                "folder": source.title,
                "folderUid": f"gridwatch-{source.folder}",
                "type": "file",
                "disableDeletion": False,
                "allowUiUpdates": False,
                "updateIntervalSeconds": 30,
                "options": {"path": f"${{GRIDWATCH_GRAFANA_DIR}}/dashboards/{source.folder}"},
            }
            for source in sources
        ],
    }
