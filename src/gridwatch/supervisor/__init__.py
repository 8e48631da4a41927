"""Starts, watches and stops what the platform needs."""
