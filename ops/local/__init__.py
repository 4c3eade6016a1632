"""Verbs `up` and `kafka`: the whole system on this machine."""
