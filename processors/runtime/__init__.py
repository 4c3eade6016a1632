"""The runtime of any consumer group: assignment, transactions, state with its changelog."""
