"""What crosses the wire to a broker, where aiokafka takes long over it."""
