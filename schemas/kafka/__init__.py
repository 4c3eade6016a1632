"""The edge to aiokafka: client arguments, partitioning, and workarounds of its faults."""
