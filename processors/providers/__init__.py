"""One platform a file. `processors.provider.discover` finds every file here that sets PROVIDER."""
