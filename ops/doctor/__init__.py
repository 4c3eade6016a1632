"""`dropstream doctor`: one file for each thing that it looks at."""
