"""Reads what dropstream writes: events and gaps as typed values, out of the standard library alone.

`events` and `gaps` read a record's value; `memory` drops repeats and tells what came late. No Kafka client in here.
"""
