"""The path to topic `raw`: batches, the publisher, the supervised producer."""
