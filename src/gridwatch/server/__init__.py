"""One Flask application: GridDB's Web API, trigger handler, inbox, the anomalies' pages and health."""

from gridwatch.server.app import create_app
from gridwatch.server.run import serve

__all__ = ["create_app", "serve"]
