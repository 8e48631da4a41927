"""Rows through Kafka: envelope, producer, sink, dead letters, and the broker."""
