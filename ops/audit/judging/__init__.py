"""Compares the records that ought to be on the topics with those that are."""
