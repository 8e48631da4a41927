"""One Flask application: trigger handler, inbox and health."""
