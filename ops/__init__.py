"""The `dropstream` command line, and the modules behind its verbs."""
