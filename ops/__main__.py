"""`python -m ops` is `dropstream`."""

from ops.cli import main

main()
