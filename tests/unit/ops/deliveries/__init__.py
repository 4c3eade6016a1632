"""The console's search and list of deliveries, without Kafka."""
