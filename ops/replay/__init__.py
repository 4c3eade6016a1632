"""Verbs `replay` and `redrive`: plan, compare, run, resume."""
