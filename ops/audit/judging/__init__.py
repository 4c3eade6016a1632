"""What ought to be on the topics, held against what is."""
