"""The stages as plain functions: load, ingest, validate, train, detect."""
