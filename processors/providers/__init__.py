"""One platform a file. `processors.deliver.provider.discover` finds every file here that sets PROVIDER."""
