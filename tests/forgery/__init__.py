"""Histories of deliveries and their records, and faults forged into them, for tests of the audit.

`stages` makes deliveries, `history` holds what they led to; `changes` spoil one record, `forges` and `outcomes` the
records of a delivery, and say how the audit is to name that; `faults` is the table of them all, `applied` does them;
`memory` audits a history without Kafka.
"""
