"""The long-running verbs `ingest` and `process`: signals, admin port, reload."""
