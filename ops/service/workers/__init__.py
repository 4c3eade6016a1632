"""Several processes of one service under a parent."""
