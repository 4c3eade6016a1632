"""The edge to aiokafka: client arguments, partitioning, workarounds; README.md here lists each with its source."""
