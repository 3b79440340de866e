"""Change data capture: the replication log of Postgres becomes event topics in Kafka."""
