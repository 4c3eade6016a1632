"""`dropstream audit`: judges every delivery of `raw` again, and compares every record that it led to with the topics.

`command` is the verb, `run` runs an audit. A snapshot (`reading.snapshot`) fixes what there is; an assignment is the
share of one process (`partitions`, `workers`). A writer is the live group, a replay or a redrive: its judge makes the
records that ought to be there, `judging.matcher` matches them with those that are, `judging.explanation` names faults.
"""
