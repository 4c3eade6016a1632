"""The records that are no events: about deliveries, sequences, rules, replays and audits."""
