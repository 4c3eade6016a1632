"""The console's list of deliveries and one delivery whole, on real Kafka."""
