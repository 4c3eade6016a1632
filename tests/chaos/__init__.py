"""Faults, really caused, at length: run by `make chaos`."""
