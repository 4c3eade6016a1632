"""Verbs that read and show: `tail`, `trace`, `gaps`."""
