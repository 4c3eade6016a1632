"""The load that the servers get, and the process that makes it."""
