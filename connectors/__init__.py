"""What users configure and operate: the native connector, and Kafka Connect clusters over their REST API."""
