"""What is measured, not judged: run by `make bench`."""
