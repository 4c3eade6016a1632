"""What each program may do at Kafka: one table, whether the cluster grants it, and how it is granted."""
