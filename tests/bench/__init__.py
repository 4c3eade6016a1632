"""What is measured, not judged: `make bench`, or `python -m tests.bench [--quick] [--only PART] [--publish]`."""
