"""The operations page: what goes on, what is wrong since when, and the few acts of a person on call."""
