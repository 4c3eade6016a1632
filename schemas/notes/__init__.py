"""The records that are no events: what is noted of deliveries, and of the system's own work."""
