"""`dropstream audit`: judges every delivery of `raw` again, and holds every record that it led to against the topics.

`command` is the verb, `run` the way through: `logs` looks at the topics once, `stream` reads them side by side, `judge`
makes the records that ought to be there, `ledger` matches them with those that are, `explain` names what is left over.
"""
