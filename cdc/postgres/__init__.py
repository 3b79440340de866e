"""Postgres: the source, and the embedded server."""
