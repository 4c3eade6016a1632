"""How long a replay takes before its first event."""
