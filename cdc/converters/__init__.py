"""Converters turn a record's key, value and headers into bytes, as Kafka Connect's own converters do."""
