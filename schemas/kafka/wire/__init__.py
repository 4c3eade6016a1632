"""What crosses the wire to a broker, where aiokafka has none of it or takes long over it."""
