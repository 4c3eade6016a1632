"""Verb `send`: signed deliveries over HTTP."""
