"""The spool: deliveries on this machine's disk that wait for Kafka."""
