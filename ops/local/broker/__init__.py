"""The local broker: real Apache Kafka of one or three nodes, or an in-memory one for a first look."""
