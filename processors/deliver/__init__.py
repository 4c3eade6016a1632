"""The pure step from one raw delivery to its events, rejection or dropped retry."""
