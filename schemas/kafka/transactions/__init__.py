"""Transactions that commit positions as a member of a consumer group: their requests and their producer."""
