"""The acts of the console: what a person on call may do, what it would do, and what was done."""
