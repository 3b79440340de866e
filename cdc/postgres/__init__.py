"""Everything that talks to Postgres: the walsender, slots, publications, the catalogue, the preflight."""
