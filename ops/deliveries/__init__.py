"""Finds deliveries in the topics for the console: lists and searches them, newest first, and opens one of them."""
