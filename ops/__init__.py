"""What a person runs: the `dropstream` command line and what stands behind its verbs."""
