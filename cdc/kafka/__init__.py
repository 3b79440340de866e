"""Everything that talks to Kafka: producer, consumer, admin, registry, and the topics of our own."""
