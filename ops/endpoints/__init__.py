"""Verbs `endpoints`: which endpoints are configured, and a new one with its files."""
