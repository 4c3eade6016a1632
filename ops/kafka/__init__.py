"""Short visits to the Kafka cluster: clients, readers, ranges, topics, offsets."""
