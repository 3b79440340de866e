"""Alembic: the ledger's own revisions, and the environment in which a slice's revisions run."""
