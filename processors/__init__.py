"""`raw` to events: verified, read, in UTC, routed, exactly once."""
