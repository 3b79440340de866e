"""What users configure and operate: the native connector, and connectors on a Kafka Connect cluster."""
